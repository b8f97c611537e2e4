"""Where the runs of the frameworks go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tuitrain


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for variable in ("TUITRAIN_RUN_DIR", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TUITRAIN_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("TUITRAIN_SYSTEM", "0")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "runs"
    tuitrain.finish()
