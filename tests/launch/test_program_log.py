"""The log of an external program on a disk that is full for a while."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tuitrain.files import FollowedDirectory
from tuitrain.launch.program_log import ConsoleReader, ProgramLog
from tuitrain.runs import RunDirectory, load_history
from tuitrain.runs.foreign import Given


def test_what_a_full_disk_did_not_take_is_written_once_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files simulates the full disk."""
    monkeypatch.setenv("TUITRAIN_SYSTEM", "0")
    run, before = RunDirectory(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    run.console.write_text("".join(f"step {step}: loss {5 / step:.4f}\n" for step in range(1, 101)))
    log = ProgramLog(FollowedDirectory(tmp_path), ConsoleReader(run.console, "a"), "a", 1.7e9, Given({}, {}))
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        for _ in range(3):
            log.poll()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert run.metrics.stat().st_size == 3000
    log.finish()
    assert load_history(run).steps["step"].tolist() == list(range(1, 101))
    assert load_history(run).broken_count == 1
    assert capsys.readouterr().err.count("It is tried again.") == 1
