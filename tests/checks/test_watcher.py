"""Watching runs: each alert once, across restarts, of runs that come and go, and what is done about it."""

from __future__ import annotations

import math
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import write_run
from tuitrain.alerts.rules_file import parse_rules
from tuitrain.checks import watcher as module
from tuitrain.checks.actions import act
from tuitrain.checks.reported import Reported
from tuitrain.checks.watcher import NewAlert, Watcher
from tuitrain.events import Alert, End, EventWriter, Run, Step
from tuitrain.runs import RunDirectory, RunMetadata

NOW = time.time()


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("TUITRAIN_STATE_DIR", str(tmp_path / "state"))
    # Every poll looks for new runs.
    monkeypatch.setattr(module, "LIST_EVERY_S", 0.0)


class SavingWatcher(Watcher):
    """One whose alerts are always delivered."""

    def poll(self, now: float) -> list[NewAlert]:
        new = super().poll(now)
        self._reported.save(now)
        return new


def watcher(tmp_path: Path, now: float = NOW, level: Any = "warning", **rules: Any) -> Watcher:
    folder = tmp_path / "runs"
    folder.mkdir(exist_ok=True)
    return SavingWatcher([folder], [], parse_rules(rules), level, Reported(tmp_path / "told.json"), now)


def live_run(tmp_path: Path, name: str = "a", *losses: float, at: float = NOW - 30) -> EventWriter:
    run = RunDirectory(tmp_path / "runs" / name)
    run.path.mkdir(parents=True, exist_ok=True)
    log = EventWriter(run.metrics)
    log.write(Run(time=at, run_id=name, name=name))
    write(log, *losses, at=at)
    return log


def write(log: EventWriter, *losses: float, first: int = 1, at: float = NOW - 20) -> None:
    for step, loss in enumerate(losses, start=first):
        log.write(Step(time=at + step / 10, step=step, loss=loss))


def codes(new: list[NewAlert]) -> list[tuple[str, str, int | None]]:
    return [(each.run.run_id, each.alert.code, each.alert.step) for each in new]


def test_an_alert_is_told_once_also_by_a_watcher_that_is_started_again(tmp_path: Path) -> None:
    log = live_run(tmp_path, "a", 2.0, math.nan)
    first = watcher(tmp_path)
    assert codes(first.poll(NOW)) == [("a", "non_finite_loss", 2)]
    assert first.poll(NOW + 5) == []
    again = watcher(tmp_path, NOW + 10)
    assert again.poll(NOW + 10) == []
    log.write(Alert(time=NOW, level="critical", code="loop", message="mine", step=3))
    assert codes(again.poll(NOW + 15)) == [("a", "loop", 3)]
    log.write(Alert(time=NOW, level="critical", code="loop", message="another", step=3))
    assert codes(watcher(tmp_path, NOW + 20).poll(NOW + 20)) == [("a", "loop", 3)]


def test_runs_that_come_later_and_of_other_tools_are_watched(tmp_path: Path) -> None:
    watching = watcher(tmp_path)
    assert watching.poll(NOW) == []
    live_run(tmp_path, "new", math.nan)
    table = tmp_path / "runs" / "exp" / "metrics.csv"
    table.parent.mkdir()
    table.write_text("step,train/loss\n" + "".join(f"{step},2.0\n" for step in range(40)) + "40,nan\n")
    told = watching.poll(time.time())
    assert sorted((each.alert.code, each.alert.step) for each in told) == [
        ("non_finite_loss", 1),
        ("non_finite_loss", 40),
    ]


def test_the_end_of_a_run_is_told_and_it_is_not_watched_any_more(tmp_path: Path) -> None:
    log = live_run(tmp_path, "a", 2.0)
    watching = watcher(tmp_path, level="info")
    watching.poll(NOW)
    assert len(watching.watched) == 1
    log.write(End(time=NOW, status="completed", step=1))
    assert codes(watching.poll(NOW + 1)) == [("a", "completed", 1)]
    assert watching.watched == {}
    write(log, math.nan, first=2)
    assert codes(watching.poll(NOW + 2)) == [("a", "non_finite_loss", 2)], "it was resumed"


def test_runs_that_were_over_before_are_left_alone(tmp_path: Path) -> None:
    old = live_run(tmp_path, "old", math.nan, at=NOW - 1e6)
    old.close()
    os.utime(tmp_path / "runs/old/metrics.jsonl", (NOW - 1e6, NOW - 1e6))
    write_run(tmp_path / "runs", "failed", status="failed", start=NOW - 4000)
    os.utime(tmp_path / "runs/failed/metrics.jsonl", (NOW - 3000, NOW - 3000))
    watching = watcher(tmp_path)
    assert watching.poll(NOW) == [] and watching.watched == {}
    # What ended while nobody watched is news for the next one.
    write_run(tmp_path / "runs", "later", status="failed", start=NOW - 100)
    assert ("later", "failed") in [(run, code) for run, code, _ in codes(watcher(tmp_path, NOW + 60).poll(NOW + 60))]


def test_a_crash_is_told_again_after_it_was_resumed(tmp_path: Path) -> None:
    log = live_run(tmp_path, "a", 2.0)
    run = RunDirectory(tmp_path / "runs" / "a")
    dead = next(pid for pid in range(2**22 - 5, 0, -1) if not Path(f"/proc/{pid}").exists())
    run.write_metadata(RunMetadata(name="a", created=NOW, launcher="local", pid=dead, host=socket.gethostname()))
    watching = watcher(tmp_path)
    assert codes(watching.poll(NOW)) == [("a", "crash", 1)]
    assert watching.poll(NOW + 1) == []
    log.write(Run(time=NOW, run_id="a", name="a", attempt=2))
    log.write(Step(time=NOW, step=1, loss=2.0))
    assert codes(watching.poll(NOW + 2)) == [("a", "crash", 1)]


def test_a_file_of_what_was_told_that_is_damaged_is_no_end(tmp_path: Path) -> None:
    live_run(tmp_path, "a", math.nan)
    (tmp_path / "told.json").write_text('{"checked": "x"')
    reported = Reported(tmp_path / "told.json")
    assert "What was told before is not known" in reported.problem
    assert len(watcher(tmp_path).poll(NOW)) == 1
    assert watcher(tmp_path).poll(NOW + 1) == []


def test_an_alert_that_was_not_delivered_is_told_by_the_next_watcher(tmp_path: Path) -> None:
    live_run(tmp_path, "a", math.nan)
    reported = Reported(tmp_path / "told.json")
    (new,) = Watcher([tmp_path / "runs"], [], parse_rules({}), "warning", reported, NOW).poll(NOW)
    reported.save(NOW, {(str(new.run.metrics), new.key)})
    assert len(watcher(tmp_path).poll(NOW)) == 1
    assert watcher(tmp_path).poll(NOW) == []


def test_a_rule_acts_only_where_it_is_asked_to(tmp_path: Path) -> None:
    now = time.time()  # Requests are for runs that are live by the clock of the machine.
    live_run(tmp_path, "a", 2.0, math.nan, 1.0, at=now - 30)
    rules = {
        "nan": {"do": ["checkpoint", "stop"]},
        "when": {"low": {"condition": "loss < 1.5", "level": "info", "command": f"touch {tmp_path / 'ran'}"}},
    }
    watching = watcher(tmp_path, **rules)
    told = watching.poll(now)
    assert [(each.alert.code, each.told) for each in told] == [("non_finite_loss", True), ("low", False)]
    said = [sentence for each in told for sentence in act(each, parse_rules(rules))]
    assert (tmp_path / "runs/a/control/stop").exists() and (tmp_path / "runs/a/control/checkpoint").exists()
    assert (tmp_path / "ran").exists()
    assert len(said) == 3 and "stop requested" in said[1]
    quiet = [sentence for each in told for sentence in act(each, parse_rules({}))]
    assert quiet == []


def test_nothing_is_done_about_what_is_old_or_of_another_tool(tmp_path: Path) -> None:
    rules = {"nan": {"do": "stop"}}
    log = live_run(tmp_path, "a", math.nan, at=NOW - 4000)
    write(log, 2.0, first=2)
    told = watcher(tmp_path, **rules).poll(NOW)
    assert codes(told) == [("a", "non_finite_loss", 1)]
    assert act(told[0], parse_rules(rules)) == []
    table = tmp_path / "runs" / "b.csv"
    table.write_text("step,loss\n1,2.0\n2,nan\n")
    (foreign,) = watcher(tmp_path, **rules).poll(time.time())
    (said,) = act(foreign, parse_rules(rules))
    assert "it is the log of another tool, which reads no requests" in said
