"""`tuitrain check`: what it prints and how it exits; `show` has the same alerts."""

from __future__ import annotations

import math
import time
from pathlib import Path

from tests.cli.conftest import Cli
from tests.support import write_run
from tuitrain.cli.json_output import check_output
from tuitrain.events import EventWriter, Run, Step
from tuitrain.runs import RunDirectory


def broken_run(runs_dir: Path, name: str = "broken", at: float = 0.0) -> RunDirectory:
    run = RunDirectory(runs_dir / name)
    run.path.mkdir(parents=True)
    with EventWriter(run.metrics) as log:
        log.write(Run(time=at, run_id=name, name=name))
        for step in range(1, 60):
            loss = math.nan if step == 40 else 2.0
            log.write(Step(time=at + step, step=step, loss=loss, metrics={"reward": 0.05, "x\x1b[31m": 1.0}))
    return run


def test_a_broken_run_is_code_6_and_a_healthy_one_0(cli: Cli, runs_dir: Path) -> None:
    broken_run(runs_dir)
    write_run(runs_dir, "healthy")
    done = cli("check", "broken")
    assert done.code == 6
    assert "unknown  broken  1 alert" in done.out and "The loss is nan at step 40." in done.out
    quiet = cli("check", "healthy", "--level", "critical")
    assert (quiet.code, quiet.out) == (0, "completed  healthy  quiet\n")
    both = cli("check", "broken", "healthy", "--json")
    assert both.code == 6
    first, second = check_output("check", both.out)
    assert [alert.code for alert in first.alerts] == ["non_finite_loss"]
    assert [alert.code for alert in second.alerts] == ["mfu_drop"], "the log's own"
    everything = cli("check", "healthy", "--level", "info")
    assert (everything.code, "Completed" in everything.out) == (6, True)


def test_only_what_is_new(cli: Cli, runs_dir: Path) -> None:
    broken_run(runs_dir, at=time.time() - 3600)
    assert cli("check", "broken", "--since", "30 min").code == 0
    assert cli("check", "broken", "--since", "2h").code == 6
    assert cli("check", "broken", "--since", "5 steps").err == (
        "tuitrain: --since: '5 steps' is no time: write 30 min, 2 h or 1 d.\n"
    )


def test_without_a_run_those_that_are_live(cli: Cli, runs_dir: Path) -> None:
    broken_run(runs_dir, "old")
    assert cli("check").err == "No run is live here; name one to check it.\n"
    broken_run(runs_dir, "live", at=time.time() - 70)
    done = cli("check")
    assert (done.code, done.out.count("alert")) == (6, 1)


def test_conditions_of_a_file_and_names_that_no_log_has(cli: Cli, runs_dir: Path) -> None:
    broken_run(runs_dir)
    rules = runs_dir / "rules.toml"
    rules.write_text(
        '[alerts]\nnan = false\n[alerts.when]\nlow = "reward < 0.1 for 30 steps"\ntypo = "rewrad < 0.1"\n'
        'odd = "\\"x\\u001b[31m\\" > 0"'
    )
    done = cli("check", "broken", "--rules", str(rules))
    assert done.code == 6
    assert "reward < 0.1 for 30 steps: reward is 0.05 since step 1." in done.out
    assert "\x1b" not in done.out
    assert done.err == (
        "broken: the condition typo is about 'rewrad', which its log has not had. Did you mean 'reward'?\n"
    )
    missing = cli("check", "broken", "--rules", "nowhere.toml")
    assert (missing.code, missing.err) == (3, "tuitrain: nowhere.toml: no such file or directory.\n")


def test_show_has_the_same_alerts(cli: Cli, runs_dir: Path) -> None:
    broken_run(runs_dir)
    assert "step 40: The loss is nan at step 40." in cli("show", "broken").out
    (checked,) = cli("check", "broken", "--json").json()
    assert cli("show", "broken", "--json").json()["alerts"] == checked["alerts"]


def test_options_that_mean_nothing_are_refused(cli: Cli) -> None:
    for words, said in (
        (("--every", "2"), "--every: a single check polls once: give --follow too."),
        (("--follow", "--since", "1h"), "--since: it is of a single check: --follow remembers what it told."),
    ):
        wrong = cli("check", *words)
        assert (wrong.code, wrong.err.splitlines()[0]) == (2, f"tuitrain: {said}")
    refused = cli("check", "--command", " ")
    assert refused.code == 2 and "--command: it is empty" in refused.err
