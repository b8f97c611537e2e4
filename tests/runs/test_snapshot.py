from __future__ import annotations

import importlib
import math
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support import loss_at, run_record, step_record, write_run
from tuitrain.config import load_config
from tuitrain.events import End, Eval, EventWriter, Record, System
from tuitrain.runs import RunDirectory, RunMetadata, SnapshotReader, Status, load_history, read_snapshot
from tuitrain.runs.curve import MAX_POINTS, Points, joined, resampled
from tuitrain.runs.log_ends import HEAD_BYTES, SEARCH_BYTES, TAIL_BYTES

MODULE = importlib.import_module("tuitrain.runs.log_ends")
CONFIG = load_config("llama2-tiny")


@pytest.mark.parametrize("steps", [1, 100, 700, 800, 1000, 4000])
def test_a_snapshot_has_the_same_values_as_the_whole_log(tmp_path: Path, steps: int) -> None:
    run = write_run(tmp_path, steps=steps, overrides=("train.max_steps=10000",))
    snapshot, history = read_snapshot(run), load_history(run)
    assert snapshot.run == history.run
    assert snapshot.end == history.end
    assert snapshot.last_time == history.last_time
    assert snapshot.step is not None
    assert (snapshot.step.step, snapshot.step.tokens) == (history.step, history.tokens)
    assert snapshot.evaluation is not None
    assert snapshot.evaluation.loss == history.evals.last("loss")
    assert (snapshot.name, snapshot.status) == ("llama2-tiny", Status.COMPLETED)


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
def test_the_newest_evaluation_is_read_anywhere_in_the_log(tmp_path: Path, newest: int) -> None:
    run = RunDirectory(tmp_path / "a")
    long_log(run, 2500, evaluations=[100, 200, newest])
    assert HEAD_BYTES + TAIL_BYTES < run.metrics.stat().st_size < SEARCH_BYTES
    evaluation = read_snapshot(run).evaluation
    assert evaluation is not None
    assert evaluation.step == newest


def test_an_old_evaluation_is_not_reported_as_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "SEARCH_BYTES", 2 * TAIL_BYTES)
    run = RunDirectory(tmp_path / "a")
    long_log(run, 2500, evaluations=[100, 1000])
    assert read_snapshot(run).evaluation is None


def grow(run: RunDirectory, *records: Record) -> None:
    with EventWriter(run.metrics) as log:
        for record in records:
            log.write(record)


@pytest.mark.parametrize("reached", [95, 950])
def test_an_evaluation_that_a_resume_superseded_is_not_the_newest(tmp_path: Path, reached: int) -> None:
    run, snapshot_reader = RunDirectory(tmp_path / "a"), SnapshotReader()
    long_log(run, reached, evaluations=[10, 50, 90, 900])
    assert snapshot_reader.read(run).val_loss == {95: 0.09, 950: 0.9}[reached]
    again = [step_record(CONFIG, step, at=0.0) for step in (51, 52, 53)]
    grow(run, run_record(CONFIG, run.run_id, at=0.0, attempt=2), *again)
    for snapshot in (snapshot_reader.read(run), read_snapshot(run)):
        assert (snapshot.val_loss, snapshot.step and snapshot.step.step) == (0.05, 53)
    assert load_history(run).evals.last("loss") == 0.05


def test_splits_are_kept_apart_in_a_long_log_too(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a")
    long_log(run, 1000, evaluations=[100])
    grow(run, *(Eval(step=step, split="train", loss=9.0) for step in (500, 1000)), *(
        step_record(CONFIG, step, at=0.0) for step in range(1001, 1200)
    ))  # fmt: skip
    assert read_snapshot(run).val_loss == load_history(run).evals.last("loss") == 0.1


def test_readings_of_the_machine_alone_do_not_hide_the_newest_step(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a")
    long_log(run, 1000, evaluations=[100])
    grow(run, *(System(host="h" * 100) for _ in range(1000)))
    snapshot = read_snapshot(run)
    assert (snapshot.step and snapshot.step.step, snapshot.val_loss) == (1000, 0.1)


def test_readings_of_the_machine_before_the_run_record_do_not_hide_it(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a")
    run.path.mkdir()
    reading = System(time=1.0, host="a long name of a host" * 50)
    with EventWriter(run.metrics) as log:
        for record in (*[reading] * 150, run_record(CONFIG, run.run_id, at=0.0), *[reading] * 150):
            log.write(record)
    assert run.metrics.stat().st_size > 2 * (HEAD_BYTES + TAIL_BYTES)
    assert read_snapshot(run).run is not None


def test_the_newest_attempt_is_read_in_the_middle_of_a_long_log(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a")
    long_log(run, 500, evaluations=[])
    at = run.metrics.stat().st_size
    run.write_metadata(RunMetadata(name="a", created=0.0, log_bytes=at))
    again = run_record(load_config("llama2-tiny", ["train.max_steps=7777"]), run.run_id, at=0.0, attempt=2)
    grow(run, again, *(step_record(CONFIG, step, at=0.0) for step in range(501, 1500)))
    snapshot = read_snapshot(run)
    assert (snapshot.run and snapshot.run.total_steps, snapshot.run and snapshot.run.attempt) == (7777, 2)


def test_lines_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    short, long = write_run(tmp_path, "a"), RunDirectory(tmp_path / "b")
    long_log(long, 2500, evaluations=[2400])
    for run in (short, long):
        with run.metrics.open("ab") as log:
            log.write(b'{"type":"step","step":"ten"}\n' * 3)
    assert [(snapshot.broken_lines, snapshot.every_line_read) for snapshot in map(read_snapshot, (short, long))] == [
        (3, True),
        (3, False),
    ]


def test_the_end_of_a_resumed_attempt_is_not_the_end_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(tmp_path / "a")
    long_log(run, 2500, evaluations=[], ended_at=100)
    # The head ends between the `end` record and the `run` record of the second attempt.
    text = run.metrics.read_bytes()
    monkeypatch.setattr(MODULE, "HEAD_BYTES", text.index(b"\n", text.index(b'{"type":"end"')))
    assert read_snapshot(run).end is None


def test_a_run_without_a_log_has_a_snapshot_too(tmp_path: Path) -> None:
    snapshot = read_snapshot(RunDirectory(tmp_path / "nothing"))
    assert (snapshot.run, snapshot.step, snapshot.evaluation, snapshot.end, snapshot.last_time) == (None,) * 5
    assert (snapshot.name, snapshot.status) == ("nothing", Status.UNKNOWN)


def test_broken_and_torn_lines_are_skipped(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=30, status=None)
    with run.metrics.open("ab") as log:
        log.write(b'rubbish\n{"type":"step","st')
    snapshot = read_snapshot(run)
    assert snapshot.step is not None
    assert snapshot.step.step == 30


def grown(run: RunDirectory, first: int, last: int, loss: float | None = None) -> None:
    with EventWriter(run.metrics) as log:
        for step in range(first, last + 1):
            record = step_record(CONFIG, step, at=float(step))
            log.write(record if loss is None else type(record)(time=record.time, step=step, loss=loss))


def test_of_a_log_that_grows_only_the_new_lines_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path / "a")
    long_log(run, 2500, evaluations=[1000])
    snapshot_reader = SnapshotReader()
    before = snapshot_reader.read(run)
    monkeypatch.setattr(MODULE, "_read_anew", lambda *_: pytest.fail("read anew"))
    assert snapshot_reader.read(run) is before
    grown(run, 2501, 2510)
    with run.metrics.open("ab") as log:
        log.write(b'{"type":"eval","time":2510.5,"step":2510,"lo')
    snapshot = snapshot_reader.read(run)
    assert snapshot.step is not None
    assert (snapshot.step.step, snapshot.curve[-1][0]) == (2510, 2510)
    assert snapshot.evaluation == before.evaluation
    with run.metrics.open("ab") as log:
        log.write(b'ss":1.5}\n')
    assert snapshot_reader.read(run).val_loss == 1.5


def test_a_replaced_or_shortened_log_is_read_again(tmp_path: Path) -> None:
    run, snapshot_reader = write_run(tmp_path, steps=60), SnapshotReader()
    snapshot_reader.read(run)
    run.metrics.unlink()
    assert snapshot_reader.read(run).step is None
    grown(run, 1, 5)
    snapshot = snapshot_reader.read(run)
    assert snapshot.step is not None
    assert (snapshot.step.step, snapshot.run) == (5, None)


def test_a_removed_run_is_dropped_from_the_cache(tmp_path: Path) -> None:
    first, second = write_run(tmp_path, "a-20260101-120000-aaaa"), write_run(tmp_path, "b-20260101-120000-bbbb")
    snapshot_reader = SnapshotReader()
    assert len(snapshot_reader.read_all([first, second])) == 2
    shutil.rmtree(second.path)
    gone = snapshot_reader.read_all([first, second])[1]
    assert (gone.status, gone.step, gone.curve) == (Status.UNKNOWN, None, ())
    assert [snapshot.directory for snapshot in snapshot_reader.read_all([first])] == [first]


def test_a_snapshot_names_what_cannot_be_read(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    run.info.write_text("{ not json", encoding="utf-8")
    snapshot = read_snapshot(run)
    assert snapshot.problem == "run.json cannot be read"
    assert (snapshot.info, snapshot.tags, snapshot.status, snapshot.name) == (None, [], Status.COMPLETED, "llama2-tiny")
    run.metrics.unlink()
    run.metrics.mkdir()
    assert "cannot read the log" in read_snapshot(run).problem


@pytest.mark.parametrize("steps", [30, 4000])
def test_the_curve_goes_from_the_first_to_the_newest_step(tmp_path: Path, steps: int) -> None:
    curve = read_snapshot(write_run(tmp_path, steps=steps, overrides=("train.max_steps=10000",))).curve
    assert len(curve) <= MAX_POINTS
    assert curve[-1][0] == steps
    assert [step for step, _ in curve] == sorted({step for step, _ in curve})
    shape = resampled(curve, 12)
    assert all(loss is not None for loss in shape)
    # The ripple on the curve is 0.05 high.
    assert all(later < earlier + 0.1 for earlier, later in pairwise(shape) if earlier and later)
    assert shape[-1] == pytest.approx(loss_at(steps), abs=0.1)


def test_a_curve_of_two_attempts_is_monotonic_in_steps(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a")
    long_log(run, 2500, evaluations=[])
    grown(run, 1000, 2000, loss=1.0)
    curve = read_snapshot(run).curve
    assert [step for step, _ in curve] == sorted({step for step, _ in curve})
    assert curve[-1] == (2000, 1.0)
    # Between the restart and the next sampled position the superseded values are unknown.
    assert all(loss == 1.0 for step, loss in curve if step > 1200)


def test_a_loss_of_nan_is_in_the_curve() -> None:
    points = tuple((step, math.nan if step > 5 else 2.0) for step in range(11))
    assert [loss is not None and math.isfinite(loss) for loss in resampled(points, 11)] == [True] * 6 + [False] * 5


def test_a_live_curve_stays_short_and_keeps_its_ends() -> None:
    points: Points = ((0, 9.0),)
    for step in range(1, 1000):
        points = joined(points, [(step, 1.0)])
        assert len(points) <= MAX_POINTS
        assert (points[0][0], points[-1][0]) == (0, step)


def test_a_curve_without_points_is_empty() -> None:
    assert resampled((), 8) == []
    assert resampled(((7, 2.0),), 3) == [2.0, None, None]
