"""The held-out split of a stream: its first documents, tokenized once, which training skips."""

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
from tuitrain_engine.data.prepare import Prepared, load_or_build, manifest_of
from tuitrain_engine.data.progress import Progress
from tuitrain_engine.data.reader import DocumentStream
from tuitrain_engine.data.shards import HeldOut, Manifest, ShardWriter, SplitManifest, TextDigest, dtype_for
from tuitrain_engine.data.sources import HuggingFaceSource
from tuitrain_engine.data.tokenizers import Tokenizer, save_tokenizer
from tuitrain_engine.data.vocabulary import make_tokenizer

LARGEST_SHARE = 0.1
"""If data.val_bytes are more than this share of a source, data.val_fraction of it is held out instead."""


class _Extent(NamedTuple):
    """The text of a stream up to the end of a document."""

    tokens: int
    bytes: int
    after: Position
    text: str
    """Identifies it."""


def prepare_held_out(source: HuggingFaceSource, data: DataConfig, tokenizer: Tokenizer | None) -> Prepared:
    """Shards with only a `val` split; its manifest's `held_out` identifies the documents. Raises DataError."""
    request = {"held_out": True, "val_bytes": data.val_bytes, "val_fraction": data.val_fraction}
    return load_or_build(request, source, data, tokenizer, lambda directory: _build(directory, source, data, tokenizer))


def _build(directory: Path, source: HuggingFaceSource, data: DataConfig, tokenizer: Tokenizer | None) -> Manifest:
    started = time.monotonic()
    if tokenizer is None:
        tokenizer = make_tokenizer(data.tokenizer, source, tokenizer_cache(), None, streamed=True)
    writer = ShardWriter(directory, "val", dtype_for(tokenizer.vocab_size))
    documents = DocumentStream(source.dataset, source.policy)
    try:
        with Progress(f"holding out the first documents of {source.name}", data.val_bytes) as progress:
            extents = _fill(writer, documents, tokenizer, data.val_bytes, progress)
        held, number = _share(extents, documents, data.val_fraction)
    finally:
        documents.close()
    whole = writer.close()
    save_tokenizer(tokenizer, directory / "tokenizer")
    return manifest_of(
        source, data, tokenizer, started, source_bytes=held.bytes,
        splits={"val": SplitManifest(held.tokens, number, 0, whole.files, whole.documents_file, whole.documents_crc32)},
        held_out_text=held.text, held_out=HeldOut(held.after.shard_index, held.after.row, documents.n_shards),
    )  # fmt: skip


def _fill(
    writer: ShardWriter, documents: DocumentStream, tokenizer: Tokenizer, limit: int, progress: Progress
) -> list[_Extent]:
    """Tokenize documents up to `limit` bytes, the last one cut. Raises DataError if there is no text."""
    ending = np.array([] if tokenizer.end_of_document is None else [tokenizer.end_of_document], dtype=np.int64)
    extents: list[_Extent] = []
    digest = TextDigest()
    for document in documents:
        before, left = writer.tokens, limit - digest.bytes
        whole = utf8_size(document.text) <= left
        text = document.text if whole else document.text.encode()[:left].decode(errors="ignore")
        writer.append(tokenizer.encode(text))
        if whole:
            writer.append(ending)
        writer.end_document()
        digest.add(text, whole)
        extents.append(_Extent(writer.tokens, digest.bytes, document.after, digest.identify()))
        progress.advance(utf8_size(text), writer.tokens - before)
        if not whole or digest.bytes == limit:
            return extents
    if not extents:
        raise DataError(f"{documents.name} contains no text.")
    return extents


def _share(extents: list[_Extent], documents: DocumentStream, val_fraction: float) -> tuple[_Extent, int]:
    """The extent to hold out, and its documents: all of `extents`, unless the source is too small for that."""
    whole, number = extents[-1], len(extents)
    size = whole.bytes
    for document in documents:
        size += utf8_size(document.text)
        if whole.bytes <= size * LARGEST_SHARE:
            return whole, number
    number = max(1, sum(each.bytes <= size * val_fraction for each in extents))
    return extents[number - 1], number
