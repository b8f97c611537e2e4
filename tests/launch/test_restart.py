"""When a crashed run is restarted, with what, and when its supervisor gives up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import write_run
from tuitrain.alerts import load_rules, watched_history
from tuitrain.cli.run_view import run_json, sections, status_line
from tuitrain.config import RunConfig
from tuitrain.events import Alert, End, EventWriter, Step
from tuitrain.events.requests import write_request
from tuitrain.launch import restart
from tuitrain.launch.restart import Restarts
from tuitrain.launch.stop import end_retries
from tuitrain.runs import RunDirectory, RunMetadata, load_history, read_snapshot
from tuitrain.runs.editing import edited_metadata
from tuitrain.runs.snapshot import read_whole


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """The configurations of the attempts, which are processes that end at once."""
    made: list[RunConfig] = []

    def with_config(run: RunDirectory, config: RunConfig, *size: object) -> list[str]:
        made.append(config)
        return [sys.executable, "-c", ""]

    monkeypatch.setattr(restart, "with_config", with_config)
    monkeypatch.setattr(restart, "LONGEST_WAIT_S", 0.0)
    return made


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return crashed_run(tmp_path)


def crashed_run(tmp_path: Path, skip: bool = False, retries: int = 3) -> RunDirectory:
    info = RunMetadata(name="a", created=0.0, retries=retries, skip_bad_batch=skip, supervisor=os.getpid())
    return write_run(tmp_path, "a", steps=20, status=None, info=info)


@pytest.fixture
def begun() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.wait()


def restarted(restarts: Restarts, begun: list[subprocess.Popen[bytes]], code: int = -9) -> bool:
    process = restarts.next_attempt(code)
    if process is not None:
        begun.append(process)
    return process is not None


def end_supervision(run: RunDirectory, begun: list[subprocess.Popen[bytes]]) -> None:
    """As if the supervisor, which is this process, had ended."""
    begun[-1].wait()
    with edited_metadata(run) as facts:
        facts["supervisor"] = None


def write(run: RunDirectory, *records: Step | Alert | End) -> None:
    with EventWriter(run.metrics) as log:
        for record in records:
            log.write(record)


def alerts(run: RunDirectory) -> list[str]:
    return [f"{each.level} {each.code}: {each.message}" for each in load_history(run).alerts][1:]


def test_a_crash_is_restarted_until_it_repeats_at_the_same_step(
    run: RunDirectory, configs: list[RunConfig], begun: list[subprocess.Popen[bytes]]
) -> None:
    restarts = Restarts(run, lambda: False)
    assert restarted(restarts, begun)
    info = run.read_metadata()
    assert info is not None and (info.pid, info.retries, info.log_bytes) == (
        begun[0].pid,
        2,
        run.metrics.stat().st_size,
    )
    write(run, Step(step=25, loss=2.0))
    assert restarted(restarts, begun)
    assert not restarted(restarts, begun)
    assert [config.train.skip_steps for config in configs] == [(), ()]
    first, _, last = alerts(run)
    assert first.startswith(
        "warning restart: It crashed: the process is gone and left no end record. It is restarted in"
    )
    assert first.endswith("2 more restarts are possible.")
    assert last.startswith("critical restarts_ended: It crashed at the same step again, so it is not restarted: ")
    end_supervision(run, begun)
    assert read_snapshot(run).reason == last.removeprefix("critical restarts_ended: ").rstrip(".")
    # A later attempt is not what that was about.
    with edited_metadata(run) as facts:
        facts["started"] = time.time() + 60
    assert "restart" not in (read_snapshot(run).reason or "")


@pytest.mark.parametrize(("retries", "why"), [(1, "its one restart is"), (2, "all 2 restarts are")])
def test_what_ended_the_retries_is_said_where_the_run_is_listed(
    tmp_path: Path, configs: list[RunConfig], begun: list[subprocess.Popen[bytes]], retries: int, why: str
) -> None:
    run = crashed_run(tmp_path, retries=retries)
    restarts = Restarts(run, lambda: False)
    for step in range(30, 30 + retries):
        assert restarted(restarts, begun)
        write(run, Step(step=step, loss=2.0))
    assert not restarted(restarts, begun)
    end_supervision(run, begun)
    sentence = f"It crashed again and {why} used, so it is not restarted: the process is gone and left no end record"
    snapshot, history = read_whole(run, history=watched_history(load_rules()))
    assert sentence in status_line(snapshot)
    assert run_json(snapshot)["reason"] == sentence
    shown = [message for level, message in sections(snapshot, history)["alerts"] if level == "critical"]
    assert [sentence in message for message in shown] == [True, False]
    assert shown[1].endswith("Crashed: the process is gone and left no end record.")


def test_an_attempt_without_a_record_crashed_for_a_reason_of_its_own(
    run: RunDirectory, configs: list[RunConfig], begun: list[subprocess.Popen[bytes]]
) -> None:
    restarts = Restarts(run, lambda: False)
    write(run, End(status="failed", reason="the data are damaged", step=20))
    assert restarted(restarts, begun)
    assert not restarted(restarts, begun)
    first, last = alerts(run)
    assert "the data are damaged" in first and "the process is gone" in last


@pytest.mark.parametrize(
    ("records", "skipped"),
    [
        ([], (21,)),
        ([End(status="failed", reason="the data are damaged", step=22)], (23,)),
        (
            [
                Alert(level="critical", code="non_finite_loss", message="The loss is nan at step 20.", step=20),
                End(status="failed", reason="The loss is nan at step 20.", step=20),
            ],
            (20,),
        ),
    ],
    ids=["killed", "said where", "no number"],
)
def test_the_batch_at_which_it_crashed_twice_is_passed_over_once(
    tmp_path: Path,
    configs: list[RunConfig],
    begun: list[subprocess.Popen[bytes]],
    records: list[Alert | End],
    skipped: tuple[int, ...],
) -> None:
    run = crashed_run(tmp_path, skip=True)
    restarts = Restarts(run, lambda: False)
    write(run, *records)
    assert restarted(restarts, begun)
    write(run, *records)
    assert restarted(restarts, begun)
    assert not restarted(restarts, begun)
    assert [config.train.skip_steps for config in configs] == [(), skipped]


@pytest.mark.parametrize("code", [0, 2, 3, 130])
def test_what_another_attempt_cannot_mend_is_not_restarted(
    run: RunDirectory, configs: list[RunConfig], code: int
) -> None:
    assert Restarts(run, lambda: False).next_attempt(code) is None
    assert not configs and not alerts(run)


def test_a_stop_ends_the_retries(run: RunDirectory, configs: list[RunConfig]) -> None:
    assert Restarts(run, lambda: True).next_attempt(1) is None
    write_request(run.path, "stop")
    assert Restarts(run, lambda: False).next_attempt(1) is None
    (run.control / "stop").unlink()
    end_retries(run)
    assert Restarts(run, lambda: False).next_attempt(1) is None
    assert not configs and not alerts(run)


def test_a_stop_while_it_waits_to_be_restarted_is_the_end(run: RunDirectory, configs: list[RunConfig]) -> None:
    asked = iter([False, True])
    assert Restarts(run, lambda: next(asked)).next_attempt(1) is None
    snapshot = read_snapshot(run)
    assert (snapshot.status, snapshot.reason) == ("stopped", "stopped before it was restarted")
    assert not configs
