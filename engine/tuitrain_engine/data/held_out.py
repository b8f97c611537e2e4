"""The held-out split of a stream: its first documents, tokenized once, which training then passes over."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tuitrain.config.sections import DataConfig
from tuitrain_engine.data.cache import tokenizer_cache
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.files import utf8_size
from tuitrain_engine.data.hub import Position
from tuitrain_engine.data.prepare import Prepared, obtain
from tuitrain_engine.data.progress import Progress
from tuitrain_engine.data.reader import DocumentStream
from tuitrain_engine.data.shards import FORMAT, HeldOut, Manifest, ShardWriter, SplitManifest, dtype_for
from tuitrain_engine.data.sources import HuggingFaceSource
from tuitrain_engine.data.tokenizers import Tokenizer, save_tokenizer
from tuitrain_engine.data.vocabulary import make_tokenizer

LARGEST_SHARE = 0.1
"""Of a source in which data.val_tokens are more than this, data.val_fraction is held out."""


class _Taken(NamedTuple):
    """How much there is up to the end of a held-out document."""

    tokens: int
    bytes: int
    after: Position


def prepare_held_out(source: HuggingFaceSource, data: DataConfig, tokenizer: Tokenizer | None) -> Prepared:
    """Shards with only a `val` split; its manifest's `held_out` tells which documents. Raises DataError."""
    request = {"held_out": True, "val_tokens": data.val_tokens, "val_fraction": data.val_fraction}
    return obtain(request, source, data, tokenizer, lambda directory: _build(directory, source, data, tokenizer))


def _build(directory: Path, source: HuggingFaceSource, data: DataConfig, tokenizer: Tokenizer | None) -> Manifest:
    started = time.monotonic()
    if tokenizer is None:
        tokenizer = make_tokenizer(data.tokenizer, source, tokenizer_cache(), None, streamed=True)
    writer = ShardWriter(directory, "val", dtype_for(tokenizer.vocab_size))
    documents = DocumentStream(source.dataset, source.patience)
    try:
        with Progress(f"holding out the first documents of {source.name}", None, data.val_tokens) as progress:
            taken = _fill(writer, documents, tokenizer, data.val_tokens, progress)
        held, number = _share(taken, documents, data.val_fraction)
    finally:
        documents.close()
    whole = writer.close()
    save_tokenizer(tokenizer, directory / "tokenizer")
    return Manifest(
        format=FORMAT,
        source=source.name,
        source_identity=source.identity,
        source_fingerprint=source.fingerprint,
        source_bytes=held.bytes,
        tokenizer=data.tokenizer,
        tokenizer_fingerprint=tokenizer.fingerprint,
        vocab_size=tokenizer.vocab_size,
        end_of_document=tokenizer.end_of_document,
        dtype=dtype_for(tokenizer.vocab_size),
        val_fraction=data.val_fraction,
        token_limit=data.val_tokens,
        created=time.time(),
        seconds=time.monotonic() - started,
        splits={"val": SplitManifest(held.tokens, number, 0, whole.files, whole.documents_file, whole.documents_crc32)},
        held_out=HeldOut(held.after.place, held.after.row, documents.n_shards),
    )


def _fill(
    writer: ShardWriter, documents: DocumentStream, tokenizer: Tokenizer, limit: int, progress: Progress
) -> list[_Taken]:
    """Tokenize documents until there are `limit` tokens, the last one cut. Raises DataError when there is no text."""
    ending = [] if tokenizer.end_of_document is None else [tokenizer.end_of_document]
    taken: list[_Taken] = []
    size = 0
    for document in documents:
        before, here = writer.tokens, utf8_size(document.text)
        for part in (tokenizer.encode(document.text), np.array(ending, dtype=np.int64)):
            writer.append(part[: limit - writer.tokens])
        writer.end_document()
        size += here
        taken.append(_Taken(writer.tokens, size, document.after))
        progress.advance(here, writer.tokens - before)
        if writer.tokens == limit:
            return taken
    if not taken:
        raise DataError(f"{documents.name} contains no text.")
    return taken


def _share(taken: list[_Taken], documents: DocumentStream, val_fraction: float) -> tuple[_Taken, int]:
    """How much of what was taken is held out, and its documents: all, unless the source turns out to be too small."""
    whole, number = taken[-1], len(taken)
    size = whole.bytes
    for document in documents:
        size += utf8_size(document.text)
        if whole.bytes <= size * LARGEST_SHARE:
            return whole, number
    number = max(1, sum(each.bytes <= size * val_fraction for each in taken))
    return taken[number - 1], number
