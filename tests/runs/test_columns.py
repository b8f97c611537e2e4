"""The growing table against the plainest model of it: a list of rows."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.events import Step
from tuitrain.runs import Columns

KEYS = ("step", "loss", "mfu", "grad_mean")
VALUES = st.one_of(st.none(), st.floats(0, 10), st.just(math.nan), st.just(math.inf))
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=6)
DOINGS = st.lists(st.tuples(st.sampled_from(["extend", "append", "row", "cut"]), ROWS, st.integers(0, 8)), max_size=8)


@given(DOINGS)
def test_whatever_is_done_to_it_it_holds_the_rows_that_are_left(doings: list) -> None:
    table, model, step = Columns(KEYS), [], 0
    for doing, rows, number in doings:
        records = [
            Step(step=step + index, loss=loss, mfu=mfu, **({} if mean is None else {"grad_mean": mean}))
            for index, (loss, mfu, mean) in enumerate(rows)
        ]
        step += len(rows)
        if doing == "cut":
            row = min(number, len(model))
            tail = table.cut(row)
            assert rows_of(tail) == model[row:]
            del model[row:]
            continue
        if doing == "extend":
            table.extend(records)
        elif doing == "append":
            other = Columns(KEYS)
            other.extend(records)
            table.append_columns(other)
        else:
            for record in records:
                mean = record.grad_mean if isinstance(record.grad_mean, float) else None
                table.append_row(step=float(record.step), loss=record.loss, mfu=record.mfu, grad_mean=mean)
        model += rows_of_records(records)
    assert rows_of(table) == model
    for index, key in enumerate(KEYS):
        known = [row[index] for row in model if row[index] != "absent"]
        assert table.has(key) == bool(known)
        assert shown(table.last(key)) == (known[-1] if known else "absent")


def rows_of_records(records: list[Step]) -> list[tuple[object, ...]]:
    def value(record: Step, key: str) -> object:
        found = getattr(record, key)
        return shown(float(found)) if isinstance(found, int | float) else "absent"

    return [tuple(value(record, key) for key in KEYS) for record in records]


def rows_of(table: Columns) -> list[tuple[object, ...]]:
    columns = [
        np.where(table.present(key), [str(value) for value in table[key]], "absent").tolist()
        if len(table)
        else []
        for key in KEYS
    ]  # fmt: skip
    for key in KEYS:
        assert np.isnan(table[key][~table.present(key)]).all()
    return list(zip(*columns, strict=True))


def shown(value: float | None) -> str:
    return "absent" if value is None else str(np.float64(value))
