"""The figure that is kept up to date while a run trains."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support import run_record, step_record, write_run
from tuitrain.config import load_config
from tuitrain.events import End, EventWriter
from tuitrain.export.latest import keep_latest
from tuitrain.runs import RunDirectory, RunMetadata


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def live_run(path: Path) -> RunDirectory:
    """A run whose process is this one."""
    run = RunDirectory(path / "live")
    run.path.mkdir()
    started = psutil.Process().create_time()
    run.write_metadata(
        RunMetadata(name="live", created=time.time(), started=time.time(), pid=os.getpid(), pid_started=started,
                    host=os.uname().nodename)
    )  # fmt: skip
    return run


def test_the_figure_of_a_finished_run_is_drawn_once_and_the_process_ends(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    keep_latest(run.path, every=1000)
    folder = run.path / "figures"
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["latest.png"]
    assert (folder / "latest.png").read_bytes().startswith(b"\x89PNG")


def test_the_figure_follows_the_steps_and_the_end_of_a_live_run(tmp_path: Path) -> None:
    run, config = live_run(tmp_path), load_config("llama2-tiny")
    figure = run.path / "figures" / "latest.png"
    thread = threading.Thread(target=keep_latest, args=(run.path, 10, 0.01))
    with EventWriter(run.metrics) as log:
        log.write(run_record(config, "live", at=time.time()))
        for step in range(1, 10):
            log.write(step_record(config, step, at=time.time()))
        thread.start()
        wait_for(figure.parent.exists)
        log.write(step_record(config, 10, at=time.time()))
        wait_for(figure.exists)
        first = figure.read_bytes()
        log.write(step_record(config, 11, at=time.time()))
        log.write(End(time=time.time(), status="completed", reason="all steps done", step=11))
    thread.join(60)
    assert not thread.is_alive()
    assert figure.read_bytes() != first


def test_the_process_leaves_its_caller_and_draws(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=20)
    command = [sys.executable, "-m", "tuitrain.export.latest", str(run.path), "--every", "5"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60, check=True)
    assert done.returncode == 0
    wait_for((run.path / "figures" / "latest.png").exists)


def test_a_figure_that_cannot_be_drawn_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path)
    (run.path / "figures" / "latest.png").mkdir(parents=True)
    keep_latest(run.path, every=10)
    assert capsys.readouterr().err.count("latest.png cannot be drawn: ") == 1


def test_a_run_that_was_removed_does_not_come_back(tmp_path: Path) -> None:
    keep_latest(tmp_path / "gone", every=10)
    assert not (tmp_path / "gone").exists()


def test_rules_that_are_wrong_do_not_keep_the_figure_from_being_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tuitrain.toml").write_text("[alerts.nan]\ncolour = 1\n", encoding="utf-8")
    run = write_run(tmp_path, steps=20)
    keep_latest(run.path, every=1000)
    assert (run.path / "figures" / "latest.png").exists()
    assert capsys.readouterr().err.count("marks the alerts of the default rules: ") == 1
