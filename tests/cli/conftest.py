"""The command line, called in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tuitrain.cli import main


@dataclass(frozen=True)
class Result:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)


Cli = Callable[..., Result]


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for runs, which every command of the test uses."""
    path = tmp_path / "runs"
    monkeypatch.setenv("TUITRAIN_RUNS_DIR", str(path))
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "own-config"))
    monkeypatch.setenv("TUITRAIN_STATE_DIR", str(tmp_path / "own-state"))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def cli(runs_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call `tuitrain ARG …` and return exit code, stdout and stderr."""

    def call(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["tuitrain", *arguments])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call
