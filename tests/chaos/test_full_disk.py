"""A run on a disk that gets full, and has space again later: nothing that was trained is lost."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.attempts import Attempts
from tests.engine.engine_runs import environment, make_run
from tests.support import check_that_the_log_agrees
from tests.warm_engine import WarmProcess
from tuitrain.runs import RunDirectory, load_history, read_snapshot

STEPS, FULL_AT, SIZE_KIB = 60, 20, 8_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SIZE_KIB}k", "none", str(folder)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this user or machine does not mount: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(path: Path) -> None:
    """Take all the space of a disk."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def test_a_full_disk_costs_no_step(small_disk: Path, tmp_path: Path) -> None:
    sections = {
        "train": {"max_steps": STEPS}, "eval": {"interval": 15}, "sampling": {"interval": 0},
        "checkpoint": {"interval": 5}, "telemetry": {"grad_stats_interval": 0},
    }  # fmt: skip
    whole = Attempts(make_run(tmp_path, "run", **sections))
    ended = WarmProcess(whole.next(), env=environment(whole.path), cwd=whole.path)
    ended.communicate(timeout=120)
    assert ended.returncode == 0

    run, ballast = Attempts(small_disk / "run"), small_disk / "ballast"
    run.path.mkdir()
    shutil.copy(whole.path / "config.toml", run.path)
    # What is kept for later lies on another disk.
    process = WarmProcess(run.next(), env=environment(whole.path), cwd=run.path)
    next(line for line in process.stdout if line.startswith("step ") and f" {FULL_AT}/" in line)
    fill(ballast)
    # It says so, whether it ends at once or goes on.
    said = process.stderr.readline()
    assert "No space left on device" in said or "could not be written" in said
    ballast.unlink()
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    assert read_snapshot(RunDirectory(run.path)).step is not None
    if process.returncode:
        again = WarmProcess(run.next(), env=environment(whole.path), cwd=run.path)
        _, errors = again.communicate(timeout=120)
        assert again.returncode == 0, errors

    history, expected = (load_history(RunDirectory(each.path)) for each in (run, whole))
    for key in ("step", "loss", "grad_norm", "lr"):
        assert history.steps[key].tolist() == expected.steps[key].tolist()
    assert history.evals["loss"].tolist() == expected.evals["loss"].tolist()
    assert history.end is not None and history.end.status == "completed"
    # A record that was cut off by the full disk is written again.
    assert history.broken_count <= 2
    check_that_the_log_agrees(run.path)
