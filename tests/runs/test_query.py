"""The query language that selects runs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import write_run
from tuitrain.runs import RunMetadata, RunSnapshot, read_snapshot
from tuitrain.runs.order import SORT_KEYS, ordered
from tuitrain.runs.query import QueryError, parse_query

NOW = 1.7e9
DAY = 86400.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunSnapshot]:
    where = tmp_path_factory.mktemp("runs")

    def made(name: str, floor: float, tags: list[str], notes: list[str], created: float, **more: object) -> RunSnapshot:
        info = RunMetadata(name=name, created=created, tags=tags, notes=notes, host="node7")
        more["overrides"] = (f"name={name}",)
        run = write_run(where, f"{name}-20260101-120000-abcd", floor=floor, info=info, start=created, **more)  # type: ignore[arg-type]
        return read_snapshot(run, NOW)

    return {
        "old": made("old", 3.0, ["baseline"], ["first try"], NOW - 10 * DAY, preset="gpt2-tiny"),
        "new": made("new", 2.0, ["big batch", "lr"], ["Warm-up doubled"], NOW - 3600.0, status="stopped"),
        "bare": replace(made("bare", 2.0, [], [], NOW - 60.0), step=None, evaluation=None, run=None),
    }


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", "old new bare"),
        ("status:completed", "old bare"),
        ("status:COMP", "old bare"),
        ("status:stopped,completed", "old new bare"),
        ("status:live", ""),
        ("gpt2", "old"),
        ("warm-UP", "new"),
        ('"first try"', "old"),
        ("-first", "new bare"),
        ("tag:baseline", "old"),
        ("tag:base", ""),
        ('tag:"big batch"', "new"),
        ("tag:lr,baseline", "old new"),
        ("-tag:lr", "old bare"),
        ("name:ne", "new"),
        ("preset:llama", "new"),
        ("model:4L", "old new"),
        ("host:node", "old new bare"),
        ("strategy:single", "old new"),
        ("loss<3", "new"),
        ("loss>=3", "old"),
        ("-loss<3", "old bare"),
        ("step=100", "old new"),
        ("step!=100", ""),
        ("tokens>100k", "old new"),
        ("progress<50%", "old new"),
        ("progress<0.3", ""),
        ("mfu>0%", "old new"),
        ("tok/s>300k", "old new"),
        ("params<1B params>0.1M", "old new"),
        ("age<2h", "new bare"),
        ("age>1w", "old"),
        ("loss=nan", ""),
        ("val<3.2 status:stopped", "new"),
    ],
)
def test_a_query_selects_runs(runs: dict[str, RunSnapshot], text: str, chosen: str) -> None:
    query = parse_query(text)
    assert [name for name, run in runs.items() if query.matches(run, NOW)] == chosen.split()
    assert parse_query(str(query)) == query


def test_a_diverged_run_matches_nan(runs: dict[str, RunSnapshot]) -> None:
    step = runs["new"].step
    assert step is not None
    diverged = replace(runs["new"], step=type(step)(step=7, loss=math.nan))
    assert parse_query("loss=nan").matches(diverged, NOW)
    assert not parse_query("loss<3").matches(diverged, NOW)
    assert not parse_query("loss>=3").matches(diverged, NOW)
    assert parse_query("loss!=3").matches(diverged, NOW)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour:red", "known: status, tag, name, preset, model, host, strategy"),
        ("qwen speed>3", "'speed' in speed>3 is no key"),
        ("loss:3", "compare it with <"),
        ("status=running", "write status:VALUE"),
        ("status:done", "no status; known: live, queued, starting, running"),
        ("tag:", "lacks a value"),
        ("tag:a,", "lacks a value"),
        ("loss<", "lacks a number"),
        ("loss<much", "lacks a number"),
        ("loss<3h", "ends in a unit"),
        ("age<3", "lacks a unit of time"),
        ("mfu>40", "between 0 and 1"),
        ('tag:"big', "does not close it"),
        ("a - b", "'-'"),
        ('""', "empty word"),
    ],
)
def test_an_invalid_term_is_named_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(QueryError, match=r"^[^\n]*$") as error:
        parse_query(text)
    assert sentence in str(error.value)


@given(st.text(alphabet=st.one_of(st.sampled_from('ab1 .:,<>=!-"\\%kMd'), st.characters()), max_size=40))
def test_any_text_is_a_query_or_is_refused(text: str) -> None:
    try:
        query = parse_query(text)
    except QueryError:
        return
    assert parse_query(str(query)) == query


@pytest.mark.parametrize("key", SORT_KEYS)
def test_unknown_numbers_sort_last_in_either_order(runs: dict[str, RunSnapshot], key: str) -> None:
    for reverse in (False, True):
        names = [run.name for run in ordered(runs.values(), key, reverse=reverse, now=NOW)]
        assert sorted(names) == sorted(run.name for run in runs.values())
        if key not in ("name", "status", "age"):
            assert names[-1] == runs["bare"].name


def test_the_best_or_newest_sorts_first(runs: dict[str, RunSnapshot]) -> None:
    def first(key: str, *, reverse: bool = False) -> RunSnapshot:
        return ordered(runs.values(), key, reverse=reverse, now=NOW)[0]

    assert first("loss") == runs["new"]
    assert first("loss", reverse=True) == runs["old"]
    assert first("age") == runs["bare"]
    assert first("age", reverse=True) == runs["old"]
