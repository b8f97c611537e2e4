"""The growing table against a simple model, a list of rows."""

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
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["extend", "append", "row", "cut"]), ROWS, st.integers(0, 8)), max_size=8
)


@given(OPERATIONS)
def test_the_table_equals_a_list_of_rows_after_any_operations(operations: list) -> None:
    table, model, step = Columns(), [], 0
    for operation, rows, number in operations:
        records = [
            Step(step=step + index, loss=loss, mfu=mfu, **({} if mean is None else {"grad_mean": mean}))
            for index, (loss, mfu, mean) in enumerate(rows)
        ]
        step += len(rows)
        if operation == "cut":
            row = min(number, len(model))
            tail = table.cut(row)
            assert rows_of(tail) == model[row:]
            del model[row:]
            continue
        if operation == "extend":
            table.extend(records)
        elif operation == "append":
            other = Columns()
            other.extend(records)
            table.append_columns(other)
        else:
            for record in records:
                mean = record.grad_mean if isinstance(record.grad_mean, float) else None
                row = {"step": float(record.step), "loss": record.loss, "mfu": record.mfu, "grad_mean": mean}
                table.append_row(row)
        model += rows_of_records(records)
    assert rows_of(table) == model
    for index, key in enumerate(KEYS):
        values = [row[index] for row in model if row[index] != "absent"]
        assert table.has(key) == bool(values)
        assert shown(table.last(key)) == (values[-1] if values else "absent")
        assert [shown(value) for value in table.points(key)[1]] == values
        assert table.points(key)[0].tolist() == [at for at, row in enumerate(model) if row[index] != "absent"]


def test_a_column_of_any_name_exists_from_its_first_value() -> None:
    table = Columns()
    for step in range(1000):
        table.append_row({"step": float(step), "reward/mean": 0.5 * step if step in (10, 500) else None})
    assert table.keys == ("step", "reward/mean")
    assert [part.tolist() for part in table.series("reward/mean")] == [[10.0, 500.0], [5.0, 250.0]]
    assert table.last("reward/mean") == 250.0
    assert np.flatnonzero(table.present("reward/mean")).tolist() == [10, 500]
    assert table["reward/mean"][500] == 250.0
    assert np.isnan(table["reward/mean"][501])
    table.cut(100)
    assert table.last("reward/mean") == 5.0
    table.cut(10)
    assert not table.has("reward/mean")


def rows_of_records(records: list[Step]) -> list[tuple[object, ...]]:
    def value(record: Step, key: str) -> object:
        number = getattr(record, key)
        return shown(float(number)) if isinstance(number, int | float) else "absent"

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
