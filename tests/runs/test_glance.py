from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.support import run_record, step_record, write_run
from tuitrain.config import load_config
from tuitrain.events import End, Eval, EventWriter
from tuitrain.runs import RunDirectory, Status, glance, load_history
from tuitrain.runs.glance import HEAD_BYTES, SEARCH_BYTES, TAIL_BYTES

MODULE = importlib.import_module("tuitrain.runs.glance")
CONFIG = load_config("llama2-tiny")


@pytest.mark.parametrize("steps", [1, 100, 700, 800, 1000, 4000])
def test_a_glance_tells_the_same_as_the_whole_log(tmp_path: Path, steps: int) -> None:
    run = write_run(tmp_path, steps=steps, overrides=("train.max_steps=10000",))
    seen, history = glance(run), load_history(run)
    assert seen.run == history.run
    assert seen.end == history.end
    assert seen.last_time == history.last_time
    assert seen.step is not None
    assert (seen.step.step, seen.step.tokens) == (history.step, history.tokens)
    assert seen.evaluation is not None
    assert seen.evaluation.loss == history.evals.last("loss")
    assert (seen.name, seen.status) == ("llama2-tiny", Status.COMPLETED)


def long_log(run: RunDirectory, steps: int, *, evaluations: list[int], ended_at: int | None = None) -> None:
    run.path.mkdir(parents=True)
    with EventWriter(run.metrics) as log:
        log.write(run_record(CONFIG, run.run_id, at=0.0))
        for step in range(1, steps + 1):
            log.write(step_record(CONFIG, step, at=float(step)))
            if step in evaluations:
                log.write(Eval(time=float(step), step=step, loss=step / 1000))
            if step == ended_at:
                log.write(End(time=float(step), status="stopped", step=step))
                log.write(run_record(CONFIG, run.run_id, at=float(step), attempt=2))


@pytest.mark.parametrize("newest", [300, 590, 600, 610, 1000, 1500, 2300])
def test_the_newest_evaluation_is_found_wherever_it_lies(tmp_path: Path, newest: int) -> None:
    run = RunDirectory(tmp_path / "a")
    long_log(run, 2500, evaluations=[100, 200, newest])
    assert HEAD_BYTES + TAIL_BYTES < run.metrics.stat().st_size < SEARCH_BYTES
    evaluation = glance(run).evaluation
    assert evaluation is not None
    assert evaluation.step == newest


def test_an_old_evaluation_is_not_taken_for_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "SEARCH_BYTES", 2 * TAIL_BYTES)
    run = RunDirectory(tmp_path / "a")
    long_log(run, 2500, evaluations=[100, 1000])
    assert glance(run).evaluation is None


def test_the_end_of_an_attempt_that_was_resumed_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path / "a")
    long_log(run, 2500, evaluations=[], ended_at=100)
    # The head ends between the `end` record and the `run` record of the second attempt.
    text = run.metrics.read_bytes()
    monkeypatch.setattr(MODULE, "HEAD_BYTES", text.index(b"\n", text.index(b'{"type":"end"')))
    assert glance(run).end is None


def test_a_run_without_a_log_is_seen_too(tmp_path: Path) -> None:
    seen = glance(RunDirectory(tmp_path / "nothing"))
    assert (seen.run, seen.step, seen.evaluation, seen.end, seen.last_time) == (None,) * 5
    assert (seen.name, seen.status) == ("nothing", Status.UNKNOWN)


def test_broken_and_torn_lines_do_no_harm(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=30, status=None)
    with run.metrics.open("ab") as log:
        log.write(b'rubbish\n{"type":"step","st')
    seen = glance(run)
    assert seen.step is not None
    assert seen.step.step == 30
