"""Streams and new files, recognised while they come: our records, consoles, JSON Lines, separated values."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.support import write_run
from tuitrain.events import EventWriter, Run, Step
from tuitrain.runs import RunDirectory, RunHistory, drain, open_follower
from tuitrain.runs.follow import Batch
from tuitrain.runs.foreign import Given
from tuitrain.runs.stream import StreamFollower, StreamRecords

CONSOLE = b"".join(b"iter %d: loss %.4f, time 9.50ms, mfu 30.00%%\n" % (step, 4 - step / 100) for step in range(100))
JSON_LINES = b"".join(b'{"step": %d, "train/loss": %.2f, "mine": 1}\n' % (step, 4 - step / 100) for step in range(100))
TABLE = b"step,loss,mine\n" + b"".join(b"%d,%.2f,1\n" % (step, 4 - step / 100) for step in range(100))
TEXT = b"loading the data\nUsing device: cuda:0\n\n"
UNKNOWN = b"".join(b"Epoch 1 step %d | loss: %.2f | mine=1\n" % (step, 4 - step / 100) for step in range(100))


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "config"))


def fed(records: StreamRecords, data: bytes, seed: int | None) -> RunHistory:
    """The history of these bytes, fed in pieces of random sizes, or at once."""
    chance, history = random.Random(seed), RunHistory()

    def absorb(batch: Batch) -> None:
        nonlocal history
        history = RunHistory() if batch.reset else history
        history.absorb(batch.records, batch.broken)

    while data:
        size = len(data) if seed is None else chance.randint(1, 200)
        absorb(records.feed(data[:size]))
        data = data[size:]
    absorb(records.feed(b"\n"))
    return history


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize(
    "data", [CONSOLE, JSON_LINES, TABLE, UNKNOWN, TEXT + CONSOLE, TEXT + JSON_LINES, TEXT + UNKNOWN],
    ids=["console", "jsonl", "csv", "unknown", "text console", "text jsonl", "text unknown"],
)  # fmt: skip
def test_any_format_is_recognised_while_it_comes(data: bytes, seed: int | None) -> None:
    history = fed(StreamRecords(), data, seed)
    assert (history.step, history.steps.last("loss"), len(history.steps)) == (99, 3.01, 100)
    assert history.run is not None and history.run.name == "standard input"


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("before", [b"", b"step 5 loss 9.0\nstep 6 loss 9.0\n"], ids=["whole", "after other lines"])
def test_a_log_of_ours_is_one_wherever_it_begins(tmp_path: Path, before: bytes, seed: int | None) -> None:
    log = write_run(tmp_path, steps=40).metrics.read_bytes()
    history = fed(StreamRecords(), before + log, seed)
    assert (history.step, len(history.steps)) == (40, 40)
    assert history.end is not None and history.end.status == "completed"


def test_what_the_user_supplies_counts_in_a_stream() -> None:
    given = Given({"objective": "loss"}, {"tokens_per_step": 100})
    history = fed(StreamRecords(given), b"step 1: objective 3.5\nstep 2: objective 3.0\n", None)
    assert (history.steps.last("loss"), history.tokens) == (3.0, 200)


def test_text_before_the_first_metric_is_kept_as_the_console() -> None:
    records = StreamRecords()
    assert not records.feed(b"loading\n 10%|#  | 1/10\r 20%|## | 2/10")
    assert records.console == ("loading", " 20%|## | 2/10")
    records.feed(b"\n" + b"x" * 100 + b"\n" + b"y\n" * 100_000)
    assert set(records.console) == {"y"}
    assert len(records.console) <= 1000


def test_a_pipe_with_a_console_is_followed_to_its_end() -> None:
    reader, writer = os.pipe()
    try:
        follower = StreamFollower(reader, wait_s=0)
        os.write(writer, CONSOLE[:-1])
        history = drain(follower, RunHistory())
        assert history.step == 98
        os.close(writer)
        history = drain(follower, history)
        assert (history.step, follower.ended) == (99, True)
    finally:
        os.close(reader)


@pytest.mark.parametrize("data", [CONSOLE, JSON_LINES, TABLE], ids=["console", "jsonl", "csv"])
def test_an_empty_file_is_waited_for_whatever_it_will_hold(tmp_path: Path, data: bytes) -> None:
    log = tmp_path / "train.log"
    log.touch()
    follower = open_follower(RunDirectory(tmp_path / "train", log))
    history = drain(follower, RunHistory())
    assert len(history.steps) == 0
    log.write_bytes(data[:1000])
    history = drain(follower, history)
    assert history.step is not None and 5 < history.step < 99
    log.write_bytes(data)
    assert drain(follower, history).step == 99


def test_an_empty_file_may_become_a_log_of_ours_and_be_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.touch()
    follower = open_follower(RunDirectory(tmp_path, log))
    history = drain(follower, RunHistory())
    with EventWriter(log) as writer:
        writer.write(Run(run_id="a", name="ours"))
        writer.write(Step(step=1, loss=2.0))
    history = drain(follower, history)
    assert history.run is not None and history.run.name == "ours"
    log.write_bytes(CONSOLE)
    assert drain(follower, history).step == 99
