"""Tokenizing a source once: shards in the cache, identified by what they were made from."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from tuitrain.config.sections import DataConfig
from tuitrain.config.source import without_tail
from tuitrain_engine.data.cache import cache_directory, cache_errors, tokenizer_cache
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.files import Piece, first_characters
from tuitrain_engine.data.progress import Progress, note, note_stage
from tuitrain_engine.data.shards import (
    FORMAT,
    HeldOut,
    Manifest,
    ShardWriter,
    SplitManifest,
    TextDigest,
    TokenShards,
    dtype_for,
    read_manifest,
    split_tail,
    write_manifest,
)
from tuitrain_engine.data.sources import Source
from tuitrain_engine.data.token_bytes import token_bytes
from tuitrain_engine.data.tokenizers import CharTokenizer, Tokenizer, load_tokenizer, save_tokenizer
from tuitrain_engine.data.vocabulary import learned, make_tokenizer, tokenizer_identity

BATCH_BYTES = 8_000_000
"""Text that goes to the tokenizer at once; large enough for its threads, small enough for any memory."""

_READ_TOKENS = 1 << 20


@dataclass(frozen=True)
class Prepared:
    """Shards on disk, complete and checked."""

    directory: Path
    manifest: Manifest
    tokenizer: Tokenizer
    built: bool
    """Whether they were made by this call, and not read from the cache."""


def prepare(source: Source, data: DataConfig, tokenizer: Tokenizer | None = None) -> Prepared:
    """The shards of a source, data.max_tokens of it at most, with a given tokenizer or the one that `data` names.

    From the cache, or tokenized now by one process while others wait. Raises DataError.
    """
    request = {"val_fraction": data.val_fraction, "token_limit": data.max_tokens}
    return load_or_build(
        request, source, data, tokenizer, lambda directory: _tokenize(directory, source, data, tokenizer)
    )


def load_or_build(
    request: dict[str, Any],
    source: Source,
    data: DataConfig,
    tokenizer: Tokenizer | None,
    build: Callable[[Path], Manifest],
) -> Prepared:
    """The shards that `build` makes in a directory, from the cache if it has those of an equal request."""
    identity = f"learned:{tokenizer.fingerprint}" if tokenizer and learned(data.tokenizer) else None
    request = {
        "format": FORMAT,
        "source": source.identity,
        "tokenizer": identity or tokenizer_identity(data.tokenizer),
    } | request
    slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{source.name}-{Path(data.tokenizer).name}").strip("-").lower()[:48]
    stem = f"{slug}-{_digest(json.dumps(request))[:10]}"
    root = cache_directory() / "datasets"
    directory = root / f"{stem}-{_digest(source.fingerprint)[:8]}"
    prepared = _load(directory)
    if prepared is None:
        with cache_errors(directory):
            root.mkdir(parents=True, exist_ok=True)
            with _locked(root / f"{directory.name}.lock", source.name):
                prepared = _load(directory)
                if prepared is None:
                    _note_reason(root, stem, directory, source)
                    _build(directory, build)
                    prepared = _load(directory, built=True)
    if prepared is None:
        raise DataError(f"{directory} was written but does not read back unchanged: check the disk.")
    return prepared


def _load(directory: Path, built: bool = False) -> Prepared | None:
    """The shards in a directory; None when anything of them is missing or broken."""
    manifest = read_manifest(directory)
    if manifest is None:
        return None
    try:
        tokenizer = load_tokenizer(directory / "tokenizer")
    except DataError:
        return None
    whole = tokenizer.fingerprint == manifest.tokenizer_fingerprint
    return Prepared(directory, manifest, tokenizer, built) if whole else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@contextmanager
def _locked(path: Path, name: str) -> Iterator[None]:
    """Hold a lock file; the operating system releases it if this process dies."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        note_stage(f"{name} is being tokenized by another process; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _note_reason(root: Path, stem: str, directory: Path, source: Source) -> None:
    if directory.exists():
        note(f"{directory} is incomplete or damaged: tokenizing {source.name} again")
    elif any(read_manifest(path) for path in root.glob(f"{stem}-*") if path.is_dir()):
        note(f"{source.name} has changed since it was tokenized: tokenizing it again")


def _build(directory: Path, build: Callable[[Path], Manifest]) -> None:
    """Build in a directory beside the final one and rename it in one step."""
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    for stale in (unfinished, directory):
        if stale.is_file():
            stale.unlink()
        shutil.rmtree(stale, ignore_errors=True)
    unfinished.mkdir()
    try:
        write_manifest(unfinished, build(unfinished))
        unfinished.rename(directory)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _tokenize(directory: Path, source: Source, data: DataConfig, tokenizer: Tokenizer | None) -> Manifest:
    started, token_limit = time.monotonic(), data.max_tokens
    if tokenizer is None:
        tokenizer = make_tokenizer(data.tokenizer, source, tokenizer_cache(), token_limit)
    dtype = dtype_for(tokenizer.vocab_size)
    train, val = ShardWriter(directory, "train", dtype), ShardWriter(directory, "val", dtype)
    texts = {"train": TextDigest(), "val": TextDigest()}
    with Progress(f"tokenizing {source.name}", source.size, token_limit) as progress:
        whole = _fill(train, val, source, tokenizer, data.val_fraction, token_limit, texts, progress)
    if not train.tokens:
        raise DataError(f"data.source = {data.source!r} contains no text.")
    splits = {"train": train.close(), "val": val.close()}
    held_out_text: str | None = texts["val"].identify()
    if not val.tokens:
        splits, held_out_text = _split_tail(directory, splits["train"], texts["train"], tokenizer, data.val_fraction)
    save_tokenizer(tokenizer, directory / "tokenizer")
    return manifest_of(
        source, data, tokenizer, started, source_bytes=progress.bytes, token_limit=token_limit, splits=splits,
        held_out_text=held_out_text if whole else None,
    )  # fmt: skip


def manifest_of(
    source: Source, data: DataConfig, tokenizer: Tokenizer, started: float, *, source_bytes: int,
    splits: dict[str, SplitManifest], held_out_text: str | None, token_limit: int | None = None,
    held_out: HeldOut | None = None,
) -> Manifest:  # fmt: skip
    """The manifest of finished shards. started: when their making began, on the monotonic clock."""
    return Manifest(
        format=FORMAT,
        source=source.name,
        source_identity=source.identity,
        source_fingerprint=source.fingerprint,
        source_bytes=source_bytes,
        tokenizer=data.tokenizer,
        tokenizer_fingerprint=tokenizer.fingerprint,
        vocab_size=tokenizer.vocab_size,
        end_of_document=tokenizer.end_of_document,
        dtype=dtype_for(tokenizer.vocab_size),
        val_fraction=data.val_fraction,
        token_limit=token_limit,
        created=time.time(),
        seconds=time.monotonic() - started,
        splits=splits,
        held_out_text=held_out_text,
        held_out=held_out,
    )


def _split_tail(
    directory: Path, whole: SplitManifest, text: TextDigest, tokenizer: Tokenizer, val_fraction: float
) -> tuple[dict[str, SplitManifest], str | None]:
    """Train and val of a single stream, of which the last `val_fraction` is held out, and the digest of that text.

    The cut is at the first token that begins among the last bytes, so that any tokenizer holds out the same text up to
    a token; where the bytes of the tokens are unknown, so is the text, and the last tokens are held out.
    """
    starts = np.load(directory / whole.documents_file, allow_pickle=False)
    shards = TokenShards([directory / file.name for file in whole.files], dtype_for(tokenizer.vocab_size))
    held = text.bytes - without_tail(text.bytes, val_fraction)
    length = _tokens_at_end(shards, token_bytes(tokenizer), held)
    if length is None:
        return split_tail(whole, starts, without_tail(whole.tokens, val_fraction)), None
    return split_tail(whole, starts, whole.tokens - length), text.identify(f"the last {held} bytes")


def _tokens_at_end(shards: TokenShards, sizes: np.ndarray | None, held: int) -> int | None:
    """How many tokens the last `held` bytes of text have; None where the bytes of one are unknown."""
    end, size = shards.tokens, 0
    while end > 0 and sizes is not None:
        start = max(0, end - _READ_TOKENS)
        each = sizes[shards.read(start, end - start)]
        if (each < 0).any():
            return None
        # The bytes from each of these tokens to the end of the text.
        remaining = size + np.cumsum(each[::-1], dtype=np.int64)
        if remaining[-1] > held:
            return shards.tokens - end + int(np.searchsorted(remaining, held, side="right"))
        end, size = start, int(remaining[-1])
    return None


def held_out(document: int, val_fraction: float) -> bool:
    """Whether a document, by its number from 0, belongs to the held-out split: evenly spread, f of them in all.

    The first one is number ceil(1/f) - 1, so a source with fewer documents than 1/f has none.
    """
    return int((document + 1) * val_fraction) > int(document * val_fraction)


def _fill(
    train: ShardWriter,
    val: ShardWriter,
    source: Source,
    tokenizer: Tokenizer,
    val_fraction: float,
    token_limit: int | None,
    texts: dict[str, TextDigest],
    progress: Progress,
) -> bool:
    """Tokenize up to exactly `token_limit` tokens, whole documents to either split; returns whether that was all.

    texts: of each split, which grow; that of training only as long as nothing is held out.
    """
    ending = np.array([] if tokenizer.end_of_document is None else [tokenizer.end_of_document], dtype=np.int64)
    left = token_limit
    # The vocabulary of characters was learned from exactly as much text; the rest may have others.
    pieces = first_characters(source.pieces(), token_limit if isinstance(tokenizer, CharTokenizer) else None)
    for batch in _batches(pieces, BATCH_BYTES if left is None else min(BATCH_BYTES, 8 * left)):
        for piece, ids in zip(batch, tokenizer.encode_batch([piece.text for piece in batch]), strict=True):
            writer = val if held_out(train.documents + val.documents, val_fraction) else train
            before = writer.tokens
            if writer is val or not val.tokens:
                texts["val" if writer is val else "train"].add(piece.text, piece.last)
            for part in (ids, ending) if piece.last else (ids,):
                writer.append(part[:left])
                left = left if left is None else left - len(part[:left])
            if piece.last or left == 0:
                writer.end_document()
            progress.advance(piece.size, writer.tokens - before)
            if left == 0:
                return False
    return True


def _batches(pieces: Iterator[Piece], size: int) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    held = 0
    for piece in pieces:
        if not piece.text:
            continue
        batch.append(piece)
        held += piece.size
        if held >= size:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
