"""A cache of its own for each test, and corpora small enough to count by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuitrain.config.sections import DataConfig
from tuitrain_engine.data import Dataset, open_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(directory))
    return directory


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A directory of 40 text files of different lengths, each with its own number in each line."""
    directory = tmp_path / "corpus"
    directory.mkdir()
    for number in range(40):
        (directory / f"{number:02d}.txt").write_text(f"{number:02d} naïve text\n" * (number + 3), encoding="utf-8")
    return directory


@pytest.fixture
def opened() -> Callable[..., Dataset]:
    """open_dataset with a short way to give its configuration."""

    def open_(
        source: object,
        *,
        seq_len: int = 16,
        seed: int = 7,
        vocab_size: int | None = None,
        token_limit: int | None = None,
        **keys: Any,
    ) -> Dataset:
        data = DataConfig(source=str(source), **keys)
        return open_dataset(data, seq_len=seq_len, seed=seed, vocab_size=vocab_size, token_limit=token_limit)

    return open_
