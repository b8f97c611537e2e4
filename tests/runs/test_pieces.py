"""Reading a log in pieces equals reading it at once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import history_contents
from tuitrain.events import Alert, AnyRecord, Checkpoint, Control, End, Eval, Layers, Run, Sample, Step, System, encode
from tuitrain.runs import RunHistory
from tuitrain.runs.follow import LONGEST_LINE, LineParser

SHUFFLED = Path(__file__).parents[1] / "data/faults/shuffled-restarts.jsonl"
"""A log whose attempts were shuffled, with lines cut, doubled and altered."""

numbers = st.one_of(st.integers(0, 12), st.sampled_from([2**53, 2**53 + 1, 2**60, 2**60 + 1, 2**63 - 1]))
times = st.sampled_from([0.0, 1.0, 2.0, 1e9, 1e18, -5.0])
values = st.sampled_from([None, 0.0, 1.0, float("nan"), float("inf"), 1e308, 5e-324])
own = st.dictionaries(st.sampled_from(["a", "b", "loss"]), values, max_size=2)
records = st.one_of(
    st.builds(Step, time=times, step=numbers, metrics=own, late=st.booleans()),
    st.builds(Step, time=times, step=numbers, loss=values, tokens=st.none() | numbers),
    st.builds(Step, time=times, step=numbers, loss=values, tokens=st.none() | numbers),
    st.builds(Run, time=times, run_id=st.just("r"), name=st.just("r"), attempt=st.integers(1, 3)),
    st.builds(Eval, time=times, step=numbers, loss=values.filter(lambda value: value is not None)),
    st.builds(Sample, time=times, step=numbers, text=st.just("t"), prompt=st.sampled_from(["", "a"])),
    st.builds(Checkpoint, time=times, step=numbers, path=st.just("p")),
    st.builds(Layers, time=times, step=numbers, grad_norm=st.lists(st.floats(), max_size=2)),
    st.builds(System, time=times, host=st.just("h"), cpu_percent=values),
    st.builds(Alert, time=times, level=st.just("info"), code=st.just("c"), message=st.just("m")),
    st.builds(Control, time=times, request=st.just("r"), result=st.just("r")),
    st.builds(End, time=times, status=st.just("stopped"), step=st.none() | numbers),
)
STEP = encode(Step(time=1.0, step=3, loss=1.0))[:-1]
odd_lines = st.sampled_from(
    [b"", b"  ", b"\r", STEP + STEP, STEP[:20], STEP.replace(b",", b",\n"), b"[1]", b'{"type":"new"}', b"\xff", b"null"]
)
lines = st.one_of(records.map(lambda record: encode(record)[:-1]), odd_lines)
ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"])


def read(data: bytes, cuts: list[int]) -> RunHistory:
    """The history of these bytes, read up to each cut and then to the end."""
    parser, history, at = LineParser(), RunHistory(), 0
    for cut in [*sorted(cuts), len(data)]:
        history.absorb(*parser.feed(data[at:cut]))
        at = max(at, cut)
    return history


@settings(max_examples=100)
@given(st.lists(st.tuples(lines, ends), max_size=40), st.binary(max_size=10), st.data())
def test_any_log_can_be_read_in_any_pieces(log: list[tuple[bytes, bytes]], torn: bytes, data: st.DataObject) -> None:
    whole = b"".join(line + end for line, end in log) + torn
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=12))
    at_once = history_contents(read(whole, []))
    assert history_contents(read(whole, cuts)) == at_once
    assert history_contents(read(whole, list(range(len(whole))))) == at_once


@pytest.mark.parametrize("size", [997, 65536])
def test_a_log_of_shuffled_restarts_can_be_read_in_pieces(size: int) -> None:
    data = SHUFFLED.read_bytes()
    assert history_contents(read(data, list(range(0, len(data), size)))) == history_contents(read(data, []))


def test_lines_of_a_real_log_in_any_order_can_be_read_in_pieces() -> None:
    lines = SHUFFLED.read_bytes().splitlines(keepends=True)[:400]
    for seed in range(5):
        random.Random(seed).shuffle(lines)
        data = b"".join(lines)
        assert history_contents(read(data, list(range(0, len(data), 4001)))) == history_contents(read(data, []))


def test_two_records_on_a_line_are_a_broken_line_anywhere_in_the_log() -> None:
    parser = LineParser()
    records, broken = parser.feed(STEP + b"\n" + STEP + STEP + b"\n" + STEP + b"\n")
    assert len(records) == 2
    assert [line.number for line in broken] == [2]


@pytest.mark.parametrize("piece", [1 << 16, 1 << 30])
def test_an_endless_line_is_dropped_and_counted(piece: int) -> None:
    parser = LineParser()
    data = STEP + b"\n" + b"x" * (LONGEST_LINE + 1) + b"\n" + STEP + b"\n"
    records: list[AnyRecord] = []
    broken = []
    for start in range(0, len(data), piece):
        parsed = parser.feed(data[start : start + piece])
        records += parsed[0]
        broken += parsed[1]
    assert len(records) == 2
    assert [line.number for line in broken] == [2]


def test_samples_of_one_step_are_kept_by_prompt() -> None:
    history = RunHistory()
    history.absorb([Sample(time=1.0, step=5, text="old", prompt=str(number)) for number in range(3000)])
    history.absorb([Sample(time=1.0, step=5, text="new", prompt="7"), Sample(time=1.0, step=5, text="x", prompt="y")])
    assert len(history.samples) == 3001
    assert [sample.text for sample in history.samples if sample.prompt == "7"] == ["new"]
