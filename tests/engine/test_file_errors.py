"""Errors of the file system while a run starts, trains and ends: one sentence with a path, never a traceback."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_runs import make_run
from tests.file_operations import ERRORS, operations

from tuitrain import events
from tuitrain_engine.__main__ import main


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Restore signal handlers and close the locked file: the engine does neither in its process."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP]
    handlers = {number: signal.getsignal(number) for number in numbers}
    yield
    operations.below = ""
    for number, handler in handlers.items():
        signal.signal(number, handler)


def micro_run(parent: Path) -> Path:
    """A run of one step of a very small model, with its own corpus and cache."""
    parent.mkdir()
    return make_run(
        parent,
        model={"n_layers": 1, "d_model": 16, "n_heads": 1, "seq_len": 16},
        train={"max_steps": 1, "global_batch_size": 2, "micro_batch_size": 2, "compile": False, "device": "cpu"},
        eval={"interval": 1, "steps": 1},
        sampling={"interval": 0},
        checkpoint={"interval": 0, "async_save": False},
    )


def train(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(run_dir.parent / "cache"))
    gc.collect()
    return main(["train", "--run-dir", str(run_dir)])


def ends(run_dir: Path) -> list[events.End]:
    """The end records of the log, if it exists; its last line may be torn."""
    log = run_dir / "metrics.jsonl"
    lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    records = [events.decode(line) for line in lines if line.endswith(b"\n")]
    return [record for record in records if isinstance(record, events.End)]


def test_no_file_system_error_is_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refuse each operation of a whole run in turn, with alternating errors."""
    run_dir = micro_run(tmp_path / "case")
    operations.below = str(tmp_path / "case")
    assert train(run_dir, monkeypatch) == 0
    observed = list(dict.fromkeys(operations.observed))
    assert len(observed) > 30
    problems, refused = [], 0
    capsys.readouterr()
    for operation, code in zip(observed, itertools.cycle(ERRORS), strict=False):
        shutil.rmtree(tmp_path / "case")
        run_dir = micro_run(tmp_path / "case")
        operations.below, operations.refused, operations.hits = str(run_dir.parent), (operation, code), 0
        case = f"{operation} {os.strerror(code)}"
        try:
            result = train(run_dir, monkeypatch)
        except BaseException as error:
            problems.append(f"{case}: {error!r}")
            continue
        finally:
            operations.refused, operations.below = None, ""
        stderr = capsys.readouterr().err
        if not operations.hits:
            problems.append(f"{case}: was not met")
        elif "Traceback" in stderr:
            problems.append(f"{case}: traceback: {stderr.strip().splitlines()[-1]}")
        elif result and not (stderr.strip() and str(run_dir.parent) in stderr):
            problems.append(f"{case}: ends with {result} and says {stderr!r}")
        elif result and any(end.status == "completed" for end in ends(run_dir)):
            problems.append(f"{case}: failed, and its end is completed")
        refused += result != 0
    assert not problems, "\n".join(problems)
    assert refused > len(observed) / 3


@contextlib.contextmanager
def longest_file(size: int) -> Iterator[None]:
    """Limit every file of this process to so many bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("size", [0, 100, 2000, 30_000])
def test_a_full_disk_is_one_sentence_with_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    run_dir = micro_run(tmp_path / "run")
    with longest_file(size):
        result = train(run_dir, monkeypatch)
    stderr = capsys.readouterr().err
    assert result == 1 or (result == 2 and "cache" in stderr)
    assert "Traceback" not in stderr
    assert str(tmp_path) in stderr
    assert not [end for end in ends(run_dir) if end.status == "completed"]
