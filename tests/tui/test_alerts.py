"""Alerts that rules find on the dashboard: the tab, its count, the marks below the charts, notices."""

from __future__ import annotations

import math
from pathlib import Path

from tuitrain.alerts.rules_file import parse_rules
from tuitrain.events import Alert, AnyRecord, Step
from tuitrain.plots.event_markers import event_markers
from tuitrain.runs import Batch, RunDirectory, Status
from tuitrain.runs.updates import Update
from tuitrain.tui.content.tabs import alert_count, alerts
from tuitrain.tui.text import plain
from tuitrain.tui.view_state import ViewState


def steps(*losses: float, first: int = 1) -> tuple[AnyRecord, ...]:
    return tuple(Step(time=float(step), step=step, loss=loss) for step, loss in enumerate(losses, start=first))


def state_of(**rules: object) -> ViewState:
    state = ViewState(rules=parse_rules(rules))
    state.show_runs([RunDirectory(Path("runs/a"))])
    return state


def read(state: ViewState, *records: AnyRecord, status: Status = Status.RUNNING, reset: bool = False) -> list[Alert]:
    return state.runs[0].absorb(Update(Batch(records, reset=reset), status))


def test_what_a_rule_finds_is_listed_counted_marked_and_said_once() -> None:
    state = state_of(nan={"cooldown": "100 steps"})
    assert read(state, *steps(2.0, math.nan)) == [], "it was there when the log was opened"
    assert alert_count(state) == 1
    (new,) = read(state, *steps(2.0, math.inf, first=2000))
    assert new.message == "The loss is inf at step 2,001."
    assert [marker.x for marker in event_markers(state) if marker.kind == "alert"] == [2.0, 2001.0]
    first, second = map(plain, alerts(state, 100))
    assert "critical" in first and "step 2,001" in first and "The loss is nan" in second
    assert read(state, *steps(2.0, math.nan), reset=True) == [] and alert_count(state) == 1


def test_how_a_run_stands_is_an_alert_as_long_as_it_is_so() -> None:
    state = state_of()
    assert read(state, *steps(*[2.0] * 30)) == []
    assert [alert.code for alert, _ in state.runs[0].alerts] == ["stall"], "the records are decades old"
    read(state, status=Status.COMPLETED)
    assert alert_count(state) == 0
    (crash,) = read(state, status=Status.CRASHED)
    assert (crash.code, alert_count(state)) == ("crash", 1)
    assert [marker.x for marker in event_markers(state)] == [30.0]


def test_the_rules_are_those_of_the_settings() -> None:
    state = state_of(nan=False, when={"low": "loss < 1"})
    read(state, *steps(2.0, math.nan, 0.5))
    assert [alert.code for alert, _ in state.runs[0].alerts] == ["low"]
