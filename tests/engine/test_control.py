"""Requests left in the run directory."""

from __future__ import annotations

from pathlib import Path

from tuitrain_engine.control import POLL_INTERVAL_S, Control


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_request_is_taken_once_and_its_file_is_deleted(tmp_path: Path) -> None:
    clock = Clock()
    control = Control(tmp_path, clock)
    (tmp_path / "control" / "eval").touch()
    assert control.poll() == {"eval": "control file"}
    assert not (tmp_path / "control" / "eval").exists()
    clock.now += POLL_INTERVAL_S
    assert control.poll() == {}


def test_the_directory_is_not_looked_at_more_often_than_the_interval(tmp_path: Path) -> None:
    clock = Clock()
    control = Control(tmp_path, clock)
    control.poll()
    (tmp_path / "control" / "stop").touch()
    clock.now += POLL_INTERVAL_S / 2
    assert control.poll() == {}
    clock.now += POLL_INTERVAL_S
    assert control.poll() == {"stop": "control file"}


def test_a_request_made_before_the_start_counts_and_other_files_are_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "control"
    directory.mkdir()
    for name in ("checkpoint", "notes.txt"):
        (directory / name).touch()
    assert Control(tmp_path, Clock()).poll() == {"checkpoint": "control file"}
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]
