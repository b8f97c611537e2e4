"""The directory of shards, learned tokenizers and downloads, and the error when it cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuitrain import files
from tuitrain_engine.data.errors import CacheError


def cache_directory() -> Path:
    """The directory of all caches. Raises CacheError when TUITRAIN_CACHE_DIR names no usable path."""
    with cache_errors(Path(os.environ.get("TUITRAIN_CACHE_DIR", ""))):
        return files.cache_directory()


def tokenizer_cache() -> Path:
    """The directory of learned tokenizers."""
    return cache_directory() / "tokenizers"


@contextmanager
def cache_errors(path: Path) -> Iterator[None]:
    """An OSError inside becomes a CacheError that names the file, or `path`, and how to choose another cache."""
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"The cache cannot be used: {error.filename2 or error.filename or path}: {error.strerror or error}. "
            "Set TUITRAIN_CACHE_DIR to another directory."
        ) from None
