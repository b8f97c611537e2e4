"""Halving of a sweep: its rungs, the rule, and runs of which the worse ones are stopped, also by a second runner."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from tests.support import write_run
from tuitrain.config import ConfigError, RunConfig, load_config
from tuitrain.events import End, Eval, EventWriter, Step
from tuitrain.events.layout import Halving
from tuitrain.events.requests import is_requested, reason_of
from tuitrain.launch.halving import Judge, goes_on, halvings
from tuitrain.launch.metadata_cache import MetadataCache
from tuitrain.runs import RunDirectory, RunMetadata
from tuitrain.runs.editing import edited_metadata


def config(*overrides: str) -> RunConfig:
    return load_config("gpt2-tiny", ["train.max_steps=400", "eval.interval=25", *overrides])


def test_rungs_are_at_evaluations_and_the_same_share_of_every_run() -> None:
    (one,) = halvings([config()])
    assert (one.metric, one.rungs, one.factor) == ("val_loss", [50, 100, 200], 2)
    short, long = halvings([config(), config("train.max_steps=1200")], factor=3, first=0.1)
    assert (short.rungs, long.rungs) == ([50, 125, 375], [125, 375, 1100])
    assert halvings([config("eval.interval=0")])[0] == Halving(factor=2, metric="loss", rungs=[50, 100, 200])
    # Too seldom for the first rung.
    assert halvings([config("eval.interval=100"), config()])[0].metric == "loss"
    with pytest.raises(ConfigError, match="no rung before the last step"):
        halvings([config("train.max_steps=1")])
    with pytest.raises(ConfigError, match=r"another data\.source do not measure the same"):
        halvings([config(), config("data.source=shakespeare")])


def test_a_run_goes_on_if_it_is_the_best_or_among_the_best_share() -> None:
    assert [goes_on(rank, 4, 2) for rank in (1, 2, 3, 4)] == [True, True, False, False]
    assert [goes_on(1, of, 2) for of in (1, 2, 3)] == [True] * 3
    assert [goes_on(2, of, 2) for of in (2, 3, 4)] == [False, False, True]
    assert [goes_on(rank, 9, 3) for rank in (3, 4)] == [True, False]


@pytest.fixture
def group(tmp_path: Path) -> list[RunDirectory]:
    """Four live runs of one sweep, whose process is this one, and one that waits."""
    here, now = psutil.Process(), time.time()
    runs = []
    for name in "abcde":
        info = RunMetadata(
            name=name, created=now, started=now, host=os.uname().nodename, group="grid",
            halving=Halving(factor=2, metric="val_loss", rungs=[10, 20]),
        )  # fmt: skip
        if name == "e":
            info.queued = now
        else:
            info.pid, info.pid_started = here.pid, here.create_time()
        runs.append(write_run(tmp_path, name, steps=0, status=None, info=info))
    return runs


def evaluate(run: RunDirectory, step: int, loss: float) -> None:
    with EventWriter(run.metrics) as log:
        log.write(Step(step=step, loss=loss))
        log.write(Eval(step=step, loss=loss))


def results(run: RunDirectory) -> list[tuple[int, int, int, bool]]:
    info = run.read_metadata()
    assert info is not None and info.halving is not None
    return [(each.step, each.rank, each.of, each.goes_on) for each in info.halving.results]


def test_runs_are_judged_as_they_reach_a_rung_and_by_any_runner(group: list[RunDirectory]) -> None:
    a, b, c, d, _ = group
    runs = MetadataCache(a.path.parent)
    judge = Judge(runs)
    assert judge.poll()
    evaluate(a, 10, 3.0)
    evaluate(b, 5, 1.0)
    judge.poll()
    assert (results(a), results(b)) == ([(10, 1, 1, True)], [])
    evaluate(b, 10, 3.5)
    evaluate(c, 10, float("nan"))
    judge.poll()
    assert (results(b), results(c)) == ([(10, 2, 2, False)], [(10, 3, 3, False)])
    assert reason_of(b.path, "stop") == "stopped by halving at step 10: rank 2 of 2"
    # A runner that is killed between its decision and the request: the next one makes it, once.
    (b.control / "stop").unlink()
    judge.poll()
    assert not is_requested(b.path, "stop")
    judge = Judge(MetadataCache(a.path.parent))
    assert judge.poll()
    assert is_requested(b.path, "stop")
    # One that was resumed after that goes on to its end.
    (b.control / "stop").unlink()
    with edited_metadata(b) as facts:
        facts["started"] = time.time()
    judge = Judge(MetadataCache(a.path.parent))
    judge.poll()
    assert not is_requested(b.path, "stop")
    evaluate(d, 10, 2.0)
    evaluate(a, 20, 2.0)
    judge.poll()
    assert (results(d), results(a)) == ([(10, 1, 4, True)], [(10, 1, 1, True), (20, 1, 1, True)])
    for run in (c, d):
        with EventWriter(run.metrics) as log:
            log.write(End(status="completed"))
        with edited_metadata(run) as facts:
            facts["pid"] = None
    assert not judge.poll()
