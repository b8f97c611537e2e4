"""`tuitrain check --follow` as a process; where a single check sends them; the unit; the test message."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tests.cli.conftest import Cli
from tests.cli.test_checking import broken_run
from tests.e2e.conftest import wait_for
from tuitrain.cli.json_output import check_output
from tuitrain.events import Alert, EventWriter, Run, Step


def test_it_tells_of_a_live_run_and_repeats_nothing_after_a_restart(cli: Cli, runs_dir: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = [sys.executable, "-m", "tuitrain.cli", "check", "--follow", "--json", "--every", "0.1"]
    following = partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    (runs_dir / "a").mkdir(parents=True)
    with EventWriter(runs_dir / "a" / "metrics.jsonl") as log:
        log.write(Run(time=time.time(), run_id="a", name="a"))
        log.write(Step(time=time.time(), step=1, loss=math.nan))
        with following([*command, "--command", f"tee -a {told}"]) as first:
            alert = json.loads(first.stdout.readline())
            assert (alert["run_id"], alert["code"], alert["step"]) == ("a", "non_finite_loss", 1)
            assert first.stderr.readline().startswith("Watching 1 run and all that come below")
            wait_for(lambda: told.exists() and told.read_text().startswith("The loss is nan at step 1."))
            # What was told is kept once it was delivered.
            wait_for(lambda: list((tmp_path / "own-state" / "checks").glob("*.json")))
            first.send_signal(signal.SIGINT)
            assert first.wait(30) == 130
        with following(command) as again:
            log.write(Alert(time=time.time(), level="warning", code="loop", message="new", step=2))
            assert json.loads(again.stdout.readline())["message"] == "new"
            again.terminate()


def test_a_single_check_tells_of_each_alert_once(cli: Cli, runs_dir: Path, tmp_path: Path) -> None:
    broken_run(runs_dir)
    told = tmp_path / "told"
    assert cli("check", "broken", "--command", f"tee -a {told}").code == 6
    assert told.read_text().count("The loss is nan") == 1
    assert cli("check", "broken", "--command", f"tee -a {told}").code == 6
    assert told.read_text().count("The loss is nan") == 1
    assert cli("check", "broken", "--command", "false").err == ""


def test_the_test_message_and_the_unit(cli: Cli, runs_dir: Path) -> None:
    assert cli("check", "--test", "--command", "true").out == "the command: a test message was sent.\n"
    failed = cli("check", "--test", "--command", "false")
    assert (failed.code, failed.err) == (1, "the command ended with exit code 1.\n")
    assert cli("check", "--test").err.startswith("tuitrain: --test: there is no address: give --notify or --command")
    wrong = cli("check", "--test", "--notify", "nowhere://SECRET")
    assert (wrong.code, "SECRET" in wrong.err) == (2, False)
    unit = cli("check", "--follow", "--systemd", "--notify", "ntfy://SECRET", "--level", "critical")
    assert f"check --follow --level=critical --runs-dir={runs_dir}" in unit.out
    assert "SECRET" not in unit.out + unit.err


def test_a_rule_that_is_wrong_ends_it_before_it_begins(cli: Cli, runs_dir: Path) -> None:
    rules = runs_dir / "rules.toml"
    runs_dir.mkdir()
    rules.write_text("[alerts.nan]\ncommand = 'a \"b'\n")
    done = cli("check", "--follow", "--rules", str(rules))
    assert (done.code, "is no command line" in done.err) == (2, True)
    assert cli("check", "--follow", "nowhere").code == 3
    assert check_output("check", cli("check", "--json").out) == []
