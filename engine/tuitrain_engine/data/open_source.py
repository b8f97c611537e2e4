"""One source of a run, opened: its tokenizer, its training and held-out splits, its lines of the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tuitrain.config.sections import DataConfig
from tuitrain.config.source import too_few_tokens
from tuitrain_engine.data.bins import largest_id, open_bins
from tuitrain_engine.data.cache import cache_directory
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.held_out import prepare_held_out
from tuitrain_engine.data.hub import HubDataset, Position
from tuitrain_engine.data.loader import PackedSplit, SampleSplit
from tuitrain_engine.data.prefetch import FiniteSplit, Split
from tuitrain_engine.data.prepare import Prepared, prepare
from tuitrain_engine.data.progress import human, megabytes
from tuitrain_engine.data.reader import DocumentStream, RetryPolicy
from tuitrain_engine.data.shards import HeldOut, TokenShards, open_split
from tuitrain_engine.data.sources import HuggingFaceSource, make_source
from tuitrain_engine.data.stream import ShuffledShards, StreamSplit, TokenStream
from tuitrain_engine.data.tokenizers import IdTokenizer, Tokenizer
from tuitrain_engine.data.vocabulary import given_tokenizer, learned


@dataclass(frozen=True)
class OpenSource:
    """An opened source of a run."""

    name: str
    tokenizer: Tokenizer
    train: Split | None
    """None for a stream on a process that does not read it."""
    val: FiniteSplit
    held_out_text: str | None
    """Identifies the text of the held-out split; None: unknown."""
    lines: tuple[str, ...]
    """For the startup report: source, tokens, shards."""
    tokenizer_line: str


def open_source(
    data: DataConfig,
    seq_len: int,
    seed: int,
    tokenizer: Tokenizer | None = None,
    *,
    reads_streams: bool = True,
    should_stop: Callable[[], str | None] | None = None,
) -> OpenSource:
    """Open `data.source`, with a given tokenizer or the one that `data` names. Raises DataError.

    `should_stop` as in open_dataset.
    """
    if data.source.startswith("bin:"):
        return _open_bins(data, seq_len, seed, tokenizer)
    if data.streams(data.source):
        return _open_stream(data, seq_len, seed, tokenizer, reads_streams, should_stop)
    started = time.monotonic()
    source = make_source(data, cache_directory() / "downloads")
    prepared = prepare(source, data, tokenizer)
    padding = prepared.tokenizer.end_of_document or 0
    train, val = (
        _sequences(name, *open_split(prepared.directory, prepared.manifest, name), data, seq_len, padding, seed)
        for name in ("train", "val")
    )
    lines = [*_corpus_lines(prepared, data.max_tokens), _shards_line(prepared, time.monotonic() - started)]
    if isinstance(train, SampleSplit) and train.truncated:
        lines.append(f"packing    sample: {train.truncated:,} of {train.n_sequences:,} documents cut at {seq_len:,}")
    return OpenSource(
        source.name, prepared.tokenizer, train, val, prepared.manifest.held_out_text, tuple(lines),
        tokenizer_line(data, prepared.tokenizer),
    )  # fmt: skip


def tokenizer_line(data: DataConfig, tokenizer: Tokenizer) -> str:
    """The line of the startup report on the tokenizer."""
    end = tokenizer.end_of_document
    return (
        f"tokenizer  {data.tokenizer}: {tokenizer.vocab_size:,} ids, "
        f"{'documents joined' if end is None else f'id {end} ends a document'}"
    )


def _sequences(
    name: str,
    shards: TokenShards,
    documents: np.ndarray | None,
    data: DataConfig,
    seq_len: int,
    padding: int,
    seed: int,
) -> FiniteSplit:
    """The split as sequences; raises DataError when it has none."""
    order = seed if name == "train" else None
    if data.packing == "sample":
        if documents is None:
            raise DataError("data.packing = 'sample' needs documents, and bin:DIR has only ids: use 'packed'.")
        split = SampleSplit(shards, documents, seq_len, padding, order)
        if split.n_sequences:
            return split
    elif shards.tokens > seq_len:
        return PackedSplit(shards, seq_len, order)
    which = "training" if name == "train" else "held-out"
    held_by = "data.val_bytes or data.val_fraction" if data.streams(data.source) else "data.val_fraction"
    problem = too_few_tokens(which, f"{shards.tokens:,}", seq_len, held_by)
    raise DataError(f"data.source = {data.source!r}{problem}")


def _corpus_lines(prepared: Prepared, limit: int | None) -> Sequence[str]:
    manifest = prepared.manifest
    train, val = manifest.splits["train"], manifest.splits["val"]
    tail = train.files == val.files
    documents = train.documents if tail and train.documents == val.documents == 1 else train.documents + val.documents
    held = "the tail of the text" if tail else f"{val.documents:,} documents held out"
    limited = ""
    if limit is not None and train.tokens + val.tokens >= limit:
        limited = f", cut at {human(limit)} tokens (data.max_tokens)"
    return (
        f"source     {manifest.source}: {documents:,} document{'s' if documents > 1 else ''}, "
        f"{megabytes(manifest.source_bytes)} of text{limited}",
        f"tokens     {human(train.tokens)} train, {human(val.tokens)} val ({held}), {manifest.dtype}",
    )


def _shards_line(prepared: Prepared, seconds: float) -> str:
    state = f"tokenized in {seconds:.1f} s, stored" if prepared.built else "cached"
    return f"shards     {state} in {prepared.directory}"


def _open_stream(
    data: DataConfig,
    seq_len: int,
    seed: int,
    tokenizer: Tokenizer | None,
    reads_streams: bool,
    should_stop: Callable[[], str | None] | None,
) -> OpenSource:
    started = time.monotonic()
    source = HuggingFaceSource(data)
    prepared = prepare_held_out(source, data, tokenizer)
    manifest, held_out, tokenizer = prepared.manifest, prepared.manifest.held_out, prepared.tokenizer
    assert held_out is not None
    padding = tokenizer.end_of_document or 0
    val = _sequences("val", *open_split(prepared.directory, manifest, "val"), data, seq_len, padding, seed)
    train = None
    if reads_streams:
        policy = RetryPolicy(data.stall_timeout_s, data.max_retries, should_stop)
        train = _stream_split(source, data, held_out, tokenizer, seq_len, seed, policy)
    shards = f"{held_out.shards:,} shards, each epoch in another order" if held_out.shards > 1 else "one shard"
    documents = manifest.splits["val"].documents
    held = f"the first {documents:,} documents" if documents > 1 else "the first document"
    lines = (
        f"source     {source.name}: streamed while training, {shards}",
        f"tokens     train: the whole stream; {human(val.tokens)} val ({held}), {manifest.dtype}",
        _shards_line(prepared, time.monotonic() - started),
    )
    return OpenSource(
        source.name, tokenizer, train, val, manifest.held_out_text, lines, tokenizer_line(data, tokenizer)
    )


def _stream_split(
    source: HuggingFaceSource,
    data: DataConfig,
    held_out: HeldOut,
    tokenizer: Tokenizer,
    seq_len: int,
    seed: int,
    policy: RetryPolicy,
) -> StreamSplit:
    dataset = HubDataset(data.source.removeprefix("hf:"), data.split, data.text_column)
    dataset.expected_shards = held_out.shards
    documents = DocumentStream(
        dataset,
        policy,
        order=ShuffledShards(seed),
        held_out=Position(0, held_out.shard_index, held_out.row),
    )
    of = {
        "source": source.identity,
        "tokenizer": tokenizer.fingerprint,
        "seed": seed,
        "shards": held_out.shards,
        "held_out": [held_out.shard_index, held_out.row],
        "packing": data.packing,
    }
    return StreamSplit(
        dataset,
        TokenStream(documents, tokenizer),
        packed=data.packing == "packed",
        seq_len=seq_len,
        padding=tokenizer.end_of_document or 0,
        of=of,
    )


def _open_bins(data: DataConfig, seq_len: int, seed: int, tokenizer: Tokenizer | None) -> OpenSource:
    spec = data.source.removeprefix("bin:")
    train, val = open_bins(spec, data.bin_dtype, data.val_fraction, data.max_tokens)
    size = largest_id(spec, data.bin_dtype, cache_directory() / "bins") + 1
    if tokenizer is None and (data.tokenizer == "byte" or learned(data.tokenizer)):
        # Another tokenizer made the ids: bytes or characters counted here would not match them.
        tokenizer = IdTokenizer(size)
        about = f"none: the largest id gives {size:,} ids; text is shown as ids, unless data.tokenizer names theirs"
    else:
        tokenizer = tokenizer or given_tokenizer(data.tokenizer)
        about = f"{data.tokenizer}: {tokenizer.vocab_size:,} ids, {size:,} in the files"
        if size > tokenizer.vocab_size:
            raise DataError(
                f"{data.source} contains the id {size - 1:,}, which data.tokenizer = {data.tokenizer!r} "
                f"({tokenizer.vocab_size:,} ids) does not have: name the tokenizer that made the files"
                f"{' and their data.bin_dtype' if tokenizer.vocab_size > 1 << 16 else ''}."
            )
    lines = (
        f"source     {data.source}: memory-mapped, nothing copied",
        f"tokens     {human(train.tokens)} train, {human(val.tokens)} val, {data.bin_dtype}",
    )
    train.vocab_size = val.vocab_size = tokenizer.vocab_size
    sequences = [
        _sequences(name, shards, None, data, seq_len, 0, seed) for name, shards in (("train", train), ("val", val))
    ]
    return OpenSource(data.source, tokenizer, sequences[0], sequences[1], None, lines, f"tokenizer  {about}")
