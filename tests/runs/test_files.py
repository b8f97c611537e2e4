"""Paths of a run's files that are not regular files do not stop reading."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import write_run
from tuitrain.files import read_regular
from tuitrain.runs import LogFollower, RunDirectory, SnapshotReader, list_runs, load_history
from tuitrain.runs.console import ConsoleFile


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


ODD: dict[str, Callable[[Path], None]] = {
    "a named pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a directory": lambda path: path.mkdir(),
    "a socket": make_socket,
}


@pytest.mark.parametrize("kind", ODD)
def test_a_log_that_is_not_a_file_is_an_error_that_names_its_type(kind: str, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    ODD[kind](run.metrics)
    with pytest.raises(OSError, match=f"it is {kind}, not a regular file"):
        load_history(run)
    with pytest.raises(OSError, match=f"it is {kind}, not a regular file"):
        LogFollower(run.metrics).poll()


@pytest.mark.parametrize("kind", ODD)
def test_metadata_and_consoles_that_are_not_files_are_not_read(kind: str, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    ODD[kind](run.info)
    ODD[kind](run.console)
    assert run.read_metadata() is None
    with pytest.raises(OSError, match=f"it is {kind}, not a regular file"):
        ConsoleFile(run.console).lines_from(0, 1)


@pytest.mark.parametrize("kind", ODD)
def test_a_run_without_regular_files_does_not_hide_the_others(kind: str, tmp_path: Path) -> None:
    good = write_run(tmp_path, "good")
    irregular, facts = RunDirectory(tmp_path / "odd"), write_run(tmp_path, "facts")
    irregular.path.mkdir()
    ODD[kind](irregular.metrics)
    facts.info.unlink()
    ODD[kind](facts.info)
    snapshots = {each.directory.run_id: each for each in SnapshotReader().read_all(list_runs(tmp_path))}
    assert snapshots[good.run_id].step is not None
    assert snapshots["odd"].problem == f"cannot read the log: it is {kind}, not a regular file"
    assert snapshots["facts"].problem == "run.json cannot be read"


def test_oversized_or_deeply_nested_metadata_is_not_read(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.info.write_text('{"name": "a", "created": 1, "x": "' + "y" * (2 << 20) + '"}', encoding="utf-8")
    assert run.read_metadata() is None
    run.info.write_text('{"name": "a", "created": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}", encoding="utf-8")
    assert run.read_metadata() is None


def test_a_symbolic_link_to_a_file_is_read(tmp_path: Path) -> None:
    real = write_run(tmp_path / "real")
    link = RunDirectory(tmp_path / "link")
    link.path.mkdir()
    link.metrics.symlink_to(real.metrics)
    assert load_history(link).step == load_history(real).step


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4096)
    assert read_regular(path, 4096) == b"x" * 4096
    with pytest.raises(OSError, match="more than 3 KiB"):
        read_regular(path, 4095)
