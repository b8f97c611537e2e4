"""Existing nanoGPT data: `bin:DIR` with train.bin and val.bin, uint16 or uint32 ids, read in place.

A meta.pkl beside them is not opened: it is a pickle, and loading one runs the code in it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from tuitrain.config.source import bin_files, without_tail
from tuitrain.files import expanded
from tuitrain_engine.data.files import naming
from tuitrain_engine.data.progress import Progress
from tuitrain_engine.data.shards import TokenShards

_SCAN_TOKENS = 1 << 24


def open_bins(spec: str, dtype: str, val_fraction: float, max_tokens: int | None) -> tuple[TokenShards, TokenShards]:
    """Train and validation ids of a directory; without a val.bin the last `val_fraction` of train.bin is held out.

    `max_tokens` limits the training ids to the first. Raises DataError when there is no usable train.bin.
    """
    files = _files(spec, dtype)
    train, *others = (TokenShards([path], dtype) for path in files)
    if others:
        val = others[0]
    else:
        kept = without_tail(train.tokens, val_fraction)
        train, val = TokenShards([*files], dtype, 0, kept), TokenShards([*files], dtype, kept)
    if max_tokens is not None:
        train.tokens = min(train.tokens, max_tokens)
    return train, val


def largest_id(spec: str, dtype: str, cache: Path) -> int:
    """The largest id in the .bin files of a directory; read once and stored in `cache` until a file changes."""
    paths = _files(spec, dtype)
    stats = [(path, path.stat()) for path in paths]
    facts = "\n".join([dtype, *(f"{path}\t{stat.st_size}\t{stat.st_mtime_ns}" for path, stat in stats)])
    stored = cache / f"{hashlib.sha256(facts.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.txt"
    with suppress(OSError, ValueError):
        return int(stored.read_text())
    largest = 0
    with Progress(f"reading {paths[0].parent.name}", sum(path.stat().st_size for path in paths)) as progress:
        for path in paths:
            shards = TokenShards([path], dtype)
            for start in range(0, shards.tokens, _SCAN_TOKENS):
                ids = shards.read(start, min(_SCAN_TOKENS, shards.tokens - start))
                largest = max(largest, int(ids.max()))
                progress.advance(ids.nbytes, len(ids))
    # Without a cache it is read again next time.
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        partial = stored.with_suffix(f".{os.getpid()}")
        partial.write_text(str(largest))
        partial.replace(stored)
    return largest


def _files(spec: str, dtype: str) -> list[Path]:
    with naming("data.source", f"bin:{spec}"):
        return list(bin_files(expanded(spec).absolute(), dtype))
