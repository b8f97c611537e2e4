"""A cache of its own for each test, and corpora small enough to count by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.data import hub

from tuitrain.config.sections import DataConfig
from tuitrain_engine.data import Dataset, open_dataset, reader


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(directory))
    return directory


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network for Hugging Face's libraries; their caches are below tmp_path; retries do not wait."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-datasets")
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", tmp_path / "hf-modules")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(reader, "FIRST_PAUSE_S", 0.001)


@pytest.fixture(params=[hub.parquet_dataset, hub.jsonl_dataset], ids=["parquet", "jsonl"])
def streamed(request: pytest.FixtureRequest, tmp_path: Path, offline: None) -> str:
    """A source of 60 documents in five shards, read by `datasets`."""
    return f"hf:{request.param(tmp_path / 'rows')}"


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
    """open_dataset with the configuration given as keywords."""

    def open_(
        source: object,
        *,
        seq_len: int = 16,
        seed: int = 7,
        vocab_size: int | None = None,
        token_limit: int | None = None,
        should_stop: Callable[[], str | None] | None = None,
        **keys: Any,
    ) -> Dataset:
        data = DataConfig(source=str(source), **keys)
        return open_dataset(
            data, seq_len=seq_len, seed=seed, vocab_size=vocab_size, token_limit=token_limit, should_stop=should_stop
        )

    return open_
