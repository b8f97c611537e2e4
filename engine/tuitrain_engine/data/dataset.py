"""`data` of a configuration, opened: a tokenizer, a training split and a held-out split."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from tuitrain.config.sections import DataConfig
from tuitrain.config.streaming import stream_limit
from tuitrain_engine.data.bins import largest_id, open_bins
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.loader import PackedSplit, SampleSplit
from tuitrain_engine.data.prefetch import Split
from tuitrain_engine.data.prepare import Prepared, cache_directory, prepare
from tuitrain_engine.data.progress import human, megabytes
from tuitrain_engine.data.shards import TokenShards, open_split
from tuitrain_engine.data.sources import HuggingFaceSource, open_source
from tuitrain_engine.data.tokenizers import IdTokenizer, Tokenizer
from tuitrain_engine.data.vocabulary import given_tokenizer, learned


@dataclass(frozen=True)
class Dataset:
    """What a run trains and evaluates on."""

    tokenizer: Tokenizer
    train: Split
    val: Split
    lines: tuple[str, ...]

    @property
    def vocab_size(self) -> int:
        """Ids of the tokenizer; the embedding table has at least as many rows."""
        return self.tokenizer.vocab_size

    def describe(self) -> list[str]:
        """Lines for the startup report: source, tokenizer, tokens, where the shards lie and whether they were made."""
        return list(self.lines)


def open_dataset(
    data: DataConfig, *, seq_len: int, seed: int, vocab_size: int | None, token_limit: int | None = None
) -> Dataset:
    """Open the data of a run, tokenizing it first where the cache does not have it.

    `vocab_size` is model.vocab_size where it is set. `token_limit` is how many tokens the run will consume, where
    that is known: no more than that is streamed from the Hub, and the report tells how often the run goes over its
    data. Raises DataError with one sentence.
    """
    if data.source.startswith("bin:"):
        dataset = _open_bins(data, seq_len, seed)
    else:
        dataset = _open_text(data, seq_len, seed, token_limit)
    if vocab_size is not None and vocab_size < dataset.vocab_size:
        raise DataError(
            f"model.vocab_size ({vocab_size:,}) is smaller than the vocabulary of data.tokenizer = "
            f"{data.tokenizer!r} ({dataset.vocab_size:,}): leave it unset or raise it."
        )
    if token_limit is not None and token_limit > 1.5 * dataset.train.tokens:
        times = token_limit / dataset.train.tokens
        line = f"epochs     the run's {human(token_limit)} tokens go over them {times:,.1f} times"
        return replace(dataset, lines=(*dataset.lines, line))
    return dataset


def _open_text(data: DataConfig, seq_len: int, seed: int, token_limit: int | None) -> Dataset:
    started = time.monotonic()
    source = open_source(data, cache_directory() / "downloads")
    limit, reason = data.max_tokens, "data.max_tokens"
    if limit is None and isinstance(source, HuggingFaceSource):
        limit, reason = stream_limit(token_limit), "data.max_tokens sets another limit"
    prepared = prepare(source, data, limit)
    splits = {}
    for name in ("train", "val"):
        shards, documents = open_split(prepared.directory, prepared.manifest, name)
        padding = prepared.tokenizer.end_of_document or 0
        splits[name] = _sequences(name, shards, documents, data, seq_len, padding, seed)
    lines = _report(prepared, limit, reason, time.monotonic() - started)
    train = splits["train"]
    if isinstance(train, SampleSplit) and train.truncated:
        lines.append(f"packing    sample: {train.truncated:,} of {train.n_sequences:,} documents cut at {seq_len:,}")
    return Dataset(prepared.tokenizer, train, splits["val"], tuple(lines))


def _sequences(
    name: str,
    shards: TokenShards,
    documents: np.ndarray | None,
    data: DataConfig,
    seq_len: int,
    padding: int,
    seed: int,
) -> Split:
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
    remedy = "" if name == "train" else "raise data.val_fraction, "
    raise DataError(
        f"data.source = {data.source!r}: the {which} split has {shards.tokens:,} tokens, too few for one sequence "
        f"(model.seq_len = {seq_len:,}): {remedy}lower model.seq_len or use more text."
    )


def _report(prepared: Prepared, limit: int | None, reason: str, seconds: float) -> list[str]:
    manifest, tokenizer = prepared.manifest, prepared.tokenizer
    train, val = manifest.splits["train"], manifest.splits["val"]
    tail = train.files == val.files
    documents = train.documents if tail and train.documents == val.documents == 1 else train.documents + val.documents
    held = "the tail of the text" if tail else f"{val.documents:,} documents held out"
    end = tokenizer.end_of_document
    limited = ""
    if limit is not None and train.tokens + val.tokens >= limit:
        limited = f", cut at {human(limit)} tokens ({reason})"
    cache = f"tokenized in {seconds:.1f} s, kept" if prepared.built else "found"
    return [
        f"source     {manifest.source}: {documents:,} document{'s' if documents > 1 else ''}, "
        f"{megabytes(manifest.source_bytes)} of text{limited}",
        f"tokenizer  {manifest.tokenizer}: {tokenizer.vocab_size:,} ids, "
        f"{'documents joined' if end is None else f'id {end} ends a document'}",
        f"tokens     {human(train.tokens)} train, {human(val.tokens)} val ({held}), {manifest.dtype}",
        f"shards     {cache} in {prepared.directory}",
    ]


def _open_bins(data: DataConfig, seq_len: int, seed: int) -> Dataset:
    spec = data.source.removeprefix("bin:")
    train, val = open_bins(spec, data.val_fraction, data.max_tokens)
    size = largest_id(spec, cache_directory() / "bins") + 1
    if data.tokenizer == "byte" or learned(data.tokenizer):
        # The ids were made elsewhere: bytes or characters counted here would not be theirs.
        tokenizer: Tokenizer = IdTokenizer(size)
        about = f"none: the largest id gives {size:,} ids; text is shown as ids, unless data.tokenizer names theirs"
    else:
        tokenizer = given_tokenizer(data.tokenizer)
        about = f"{data.tokenizer}: {tokenizer.vocab_size:,} ids, {size:,} in the files"
        if size > tokenizer.vocab_size:
            raise DataError(
                f"{data.source} contains the id {size - 1:,}, which data.tokenizer = {data.tokenizer!r} "
                f"({tokenizer.vocab_size:,} ids) does not have: name the tokenizer that made the files."
            )
    lines = (
        f"source     {data.source}: memory-mapped, nothing copied",
        f"tokenizer  {about}",
        f"tokens     {human(train.tokens)} train, {human(val.tokens)} val, uint16",
    )
    sequences = [
        _sequences(name, shards, None, data, seq_len, 0, seed) for name, shards in (("train", train), ("val", val))
    ]
    return Dataset(tokenizer, sequences[0], sequences[1], lines)
