"""The rules of alerts: each fault is found, healthy logs are quiet, and it does not matter how records are fed."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.alerts.alert_logs import FAULT_STEP, FAULTS, START, broken, healthy
from tuitrain.alerts import AlertMonitor, Rules, watched_history
from tuitrain.alerts.rules_file import load_rules, parse_rules
from tuitrain.events import Alert, AnyRecord, Control, End, Eval, Run, Stage, Step, System
from tuitrain.runs import Status
from tuitrain.settings import SettingsError

LATEST = {"plateau": 700, "overfitting": 200, "gradient vanishes": 200, "leak": 200}
"""Steps after which a fault is found at the latest; else 130."""


def alerts(records: list[AnyRecord], **rules: Any) -> list[Alert]:
    return AlertMonitor(parse_rules(rules)).absorb(records)


def losses(values: list[float], **more: Any) -> list[AnyRecord]:
    return [Step(time=float(step), step=step, loss=value, **more) for step, value in enumerate(values, start=1)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_nothing_before_it(fault: str) -> None:
    found = alerts(broken(fault, 1300))
    code = FAULTS[fault][0]
    first = next(alert for alert in found if alert.code == code)
    assert first.step is not None and first.message.endswith(".")
    if code == "leak":
        assert first.step <= 200
    else:
        assert 0 <= first.step - FAULT_STEP <= LATEST.get(fault, 130)
        assert all(alert.step is not None and alert.step >= FAULT_STEP for alert in found)


@pytest.mark.parametrize("options", [{}, {"noise": 0.2}, {"every": 10, "steps": 6000}, {"step_s": 0.01}])
def test_healthy_logs_are_quiet(options: dict[str, Any]) -> None:
    for seed in range(3):
        assert alerts(healthy(**{"seed": seed, "steps": 800, **options})) == []


@settings(max_examples=10)
@given(st.sampled_from(list(FAULTS)), st.integers(0, 5), st.sampled_from((7, 30, 300)))
def test_it_does_not_matter_how_records_are_divided(fault: str, seed: int, most: int) -> None:
    rules = parse_rules({"when": {"low": "loss < 2.4 for 40 steps", "hot": "gpu_temp_c > 60 for 10 readings"}})
    at_once = AlertMonitor(rules).absorb(broken(fault, 700, seed=seed))
    records, monitor, found = broken(fault, 700, seed=seed), AlertMonitor(rules), list[Alert]()
    rng = random.Random(seed)
    while records:
        size = rng.randint(1, most)
        found += monitor.absorb(records[:size])
        del records[:size]
    assert found == at_once


def test_a_log_that_says_it_itself_has_the_alert_once() -> None:
    step = Step(time=1.0, step=7, loss=math.nan)
    written = Alert(time=1.1, level="critical", code="non_finite_loss", message="The loss is nan.", step=7)
    assert [alert.code for alert in alerts([step, written])] == ["non_finite_loss"]
    assert alerts([written, step]) == [written]
    others = [Alert(time=1.2, level="info", code="loop", message=text, step=7) for text in ("one", "two")]
    assert alerts([step, *others])[1:] == others


def test_a_history_has_the_derived_alerts_among_its_own() -> None:
    history = watched_history(Rules())
    own = Alert(time=2.0, level="info", code="loop", message="hello")
    history.absorb([*losses([2.0, math.inf]), own])
    assert [(alert.code, step) for alert, step in zip(history.alerts, history.alert_steps, strict=True)] == [
        ("non_finite_loss", 2), ("loop", 2),
    ]  # fmt: skip


def test_an_alert_comes_again_only_after_its_cooldown() -> None:
    spiky = [2.0 + 0.001 * (step % 7) + (5.0 if step in (100, 150, 400) else 0.0) for step in range(500)]
    assert [alert.step for alert in alerts(losses(spiky))] == [101, 401]
    again = alerts(losses(spiky), spike={"cooldown": "20 steps", "largest": 0.5})
    assert [alert.step for alert in again] == [101, 151, 401]


def test_another_training_in_the_same_log_is_no_divergence() -> None:
    curve = [8.0 / math.sqrt(step) + 0.001 * (step % 5) for step in range(1, 300)]
    assert alerts([*losses(curve), *losses(curve)]) == []


def test_a_resumed_run_whose_loss_is_higher_is_a_spike() -> None:
    curve = [8.0 / math.sqrt(step) + 0.001 * (step % 5) for step in range(1, 300)]
    again = [Step(time=500.0 + step, step=step, loss=3.0) for step in range(250, 260)]
    found = alerts([*losses(curve), Run(time=400.0, run_id="a", name="a", attempt=2), *again])
    assert [(alert.code, alert.step) for alert in found] == [("spike", 250)]


def test_a_reward_means_that_the_loss_need_not_fall() -> None:
    def log(name: str) -> list[AnyRecord]:
        rising = [2.0 - step / 200 if step < 150 else 4.0 for step in range(400)]
        return losses(rising, metrics={name: 1.0})

    assert "divergence" in [alert.code for alert in alerts(log("accuracy_x"))]
    for name in ("reward", "train/reward", "rollout/ep_rew_mean", "critic/rewards/mean"):
        assert "divergence" not in [alert.code for alert in alerts(log(name))], name


def test_single_infinite_gradients_of_mixed_precision_are_healthy() -> None:
    norms = [math.inf if step % 50 == 0 else 1.0 for step in range(300)]
    records = [Step(time=float(step), step=step, loss=2.0, grad_norm=norm) for step, norm in enumerate(norms)]
    assert alerts(records) == []


def test_conditions_on_any_metric() -> None:
    records: list[AnyRecord] = [
        Step(time=10.0 * step, step=step, metrics={"reward": 1.0 if step < 100 else 0.05, "a < b": 3.0})
        for step in range(300)
    ]
    records += [Eval(time=10.0 * step, step=step, loss=3.0, metrics={"web/acc": 0.2}) for step in range(300, 310)]
    found = alerts(records, when={
        "low": "reward < 0.1 for 150 steps", "short": "reward < 0.1 for 20 min", "odd": '"a < b" >= 3',
        "patience": {"condition": "val_loss not lower for 5 evaluations", "level": "critical"},
        "acc": "web/acc not higher by 10% for 3 evaluations", "never": "reward > 2", "unknown": "rewrad < 1",
    })  # fmt: skip
    assert [(alert.code, alert.step) for alert in found] == [
        ("odd", 0), ("short", 220), ("low", 250), ("acc", 303), ("patience", 305),
    ]  # fmt: skip
    assert found[-1].level == "critical"
    assert found[2].message == "reward < 0.1 for 150 steps: reward is 0.05 since step 100."


def test_late_values_are_seen_by_conditions_and_by_no_trend() -> None:
    late = [Step(time=200.0, step=step, loss=99.0, late=True, metrics={"score": 0.1 * step}) for step in (50, 51)]
    found = alerts([*losses([2.0] * 100), *late], when={"score": "score > 5.05"})
    assert [(alert.code, alert.step) for alert in found] == [("score", 51)]


def test_rules_can_be_turned_off_and_changed() -> None:
    assert alerts(broken("loss is nan"), nan=False) == []
    (first, *_) = alerts(broken("one spike"), spike={"level": "info"})
    assert first.level == "info"


def test_silence_is_measured_by_the_pace_of_the_run() -> None:
    def silent(
        seconds: float, step_s: float = 1.0, status: Status = Status.RUNNING, more: tuple[AnyRecord, ...] = ()
    ) -> list[str]:
        monitor = AlertMonitor(Rules())
        records: list[AnyRecord] = [Step(time=step_s * step, step=step, loss=2.0) for step in range(50)]
        monitor.absorb([*records, *more])
        return [alert.code for alert in monitor.standing(status, 49 * step_s + seconds)]

    assert silent(119) == [] and silent(121) == ["stall"]
    assert silent(800, 60.0) == [] and silent(1300, 60.0) == ["stall"]
    readings = tuple(System(time=50.0 + at, host="a") for at in range(0, 300, 5))
    assert silent(300, more=readings) == ["stall"], "the machine's readings are no progress"
    assert silent(300, more=(Eval(time=340.0, step=49, loss=2.0),)) == []
    assert silent(300, more=(Stage(time=50.0, stage="compile"),)) == []
    assert silent(300, status=Status.PAUSED) == []
    assert silent(300, status=Status.UNKNOWN) == ["stall"]
    assert silent(5000, status=Status.UNKNOWN) == [], "it may have ended long ago"
    assert silent(5000) == ["stall"]


def test_a_silence_that_is_over_is_no_warning() -> None:
    records = [Step(time=float(step + (500 if step > 30 else 0)), step=step, loss=2.0) for step in range(60)]
    (alert,) = alerts(list(records))
    assert (alert.code, alert.level, alert.step, alert.time) == ("stall", "info", 30, 150.0)


def test_a_pause_that_was_asked_for_is_no_stall() -> None:
    before = [Step(time=float(step), step=step, loss=2.0) for step in range(30)]
    after = [Step(time=1000.0 + step, step=step, loss=2.0) for step in range(30, 60)]
    pause = Control(time=30.0, request="pause", result="paused at step 29")
    resumed = Control(time=1029.0, request="continue", result="done")
    assert alerts([*before, pause, resumed, *after]) == []
    assert [alert.code for alert in alerts([*before, *after])] == ["stall"]


def test_logs_without_times_have_no_pace() -> None:
    monitor = AlertMonitor(Rules())
    monitor.absorb([Step(time=START, step=step, loss=2.0) for step in range(100)])
    assert monitor.standing(Status.UNKNOWN, START + 1000) == []


def test_the_end_of_a_run() -> None:
    def ends(status: Status, *records: AnyRecord) -> list[tuple[str, str, int | None]]:
        monitor = AlertMonitor(Rules())
        monitor.absorb([*losses([2.0] * 9), *records])
        return [(alert.code, alert.level, alert.step) for alert in monitor.standing(status, 1e4)]

    assert ends(Status.CRASHED) == [("crash", "critical", 9)]
    assert ends(Status.INTERRUPTED) == [("crash", "critical", 9)]
    assert ends(Status.FAILED, End(time=10.0, status="failed", reason="full", step=9)) == [("failed", "critical", 9)]
    assert ends(Status.COMPLETED, End(time=10.0, status="completed", step=9)) == [("completed", "info", 9)]


def test_files_that_cannot_be_used_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "rules.toml"
    for text, said in {
        "[alerts]\nspik = false": "alerts.spik is not a setting. Did you mean 'alerts.spike'?",
        "[alerts.spike]\nzz = 3": "alerts.spike.zz is not a setting. Did you mean 'alerts.spike.z'?",
        "[alerts.spike]\nz = -1": "alerts.spike.z = -1 is not valid: it should be a number above 0.",
        "[alerts.spike]\nlevel = 'bad'": 'alerts.spike.level = "bad" is not valid: it should be one of info, warning',
        "[alerts.spike]\ncooldown = '5 moons'": "alerts.spike.cooldown: '5 moons' is not a length",
        "[alerts.nan]\ndo = 'explode'": 'alerts.nan.do = ["explode"] is not valid: it should be "stop", "checkpoint"',
        "[alerts.when]\nlow = 'loss << 3'": "alerts.when.low.condition: 'loss << 3' is not a condition: it should be",
        "[alerts.when]\nlow = 'reward <'": "alerts.when.low.condition: 'reward <' is not a condition: it should",
        "[alerts.when]\nlow = 'reward < x'": "alerts.when.low.condition: 'x' is not a number.",
        "[alerts.when]\nspike = 'reward < 1'": "alerts.when.spike: spike is the name of a rule that is there already",
        "[alerts]\nspike = 3": "alerts.spike = 3 is not valid: it should be a table of its keys, or false.",
        "alerts = 3": "alerts should be a table",
        "x = 3": "x is not a table of rules",
        "[alerts": "is not TOML",
        "[alerts]\nnotify = ['ntfy://SECRET', 3]": "alerts.notify is not valid: it should be a URL of apprise",
        "[alerts]\nnotify = {a = 'SECRET'}": "alerts.notify is not valid: it should be a URL of apprise",
        "[alerts.nan]\ncommand = ['curl', 'SECRET']": "alerts.nan.command is not valid: it should be a command line",
    }.items():
        file.write_text(text)
        with pytest.raises(SettingsError) as error:
            load_rules(file)
        sentence = str(error.value)
        assert sentence.startswith(str(file)) and said in sentence and "\n" not in sentence, sentence
        assert "SECRET" not in sentence


def test_the_users_settings_hold_and_a_project_starts_no_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, project = tmp_path / "config", tmp_path / "project"
    config.mkdir()
    project.mkdir()
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(config))
    monkeypatch.chdir(project)
    (config / "config.toml").write_text(
        '[alerts]\nplateau = false\ncommand = "beep"\n[alerts.spike]\nz = 9.0\nrise = 0.3'
    )
    (project / "tuitrain.toml").write_text('[alerts.spike]\nz = 7\n[alerts.nan]\ndo = "stop"')
    rules = load_rules()
    assert not rules.plateau.enabled and rules.command == "beep"
    assert (rules.spike.z, rules.spike.rise, rules.nan.do) == (7.0, 0.3, ["stop"])
    for text in ('[alerts]\ncommand = "rm"', '[alerts]\nnotify = "x://y"', '[alerts.nan]\ncommand = "rm"'):
        (project / "tuitrain.toml").write_text(text)
        with pytest.raises(SettingsError, match="the settings of a project start no programs"):
            load_rules()
