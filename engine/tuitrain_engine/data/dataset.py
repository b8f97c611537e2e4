"""`data` of a configuration, opened: a tokenizer, a training split and a held-out split, of one source or several."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuitrain.config.requirements import check_vocabulary
from tuitrain.config.sections import DataConfig
from tuitrain_engine.data.cache import cache_directory, tokenizer_cache
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.mixture import FiniteMixture, MixtureSplit
from tuitrain_engine.data.open_source import OpenSource, open_source, tokenizer_line
from tuitrain_engine.data.prefetch import FiniteSplit, Split
from tuitrain_engine.data.progress import human
from tuitrain_engine.data.scatter import ScatteredSplit, world
from tuitrain_engine.data.sources import MixedSource, make_source
from tuitrain_engine.data.tokenizers import Tokenizer
from tuitrain_engine.data.vocabulary import given_tokenizer, learn_tokenizer, learned


@dataclass(frozen=True)
class Dataset:
    """What a run trains and evaluates on."""

    tokenizer: Tokenizer
    train: Split
    val: FiniteSplit
    held_out_text: str | None
    """Identifies the text that `val` is of, whatever the tokenizer; None: unknown."""
    lines: tuple[str, ...]

    @property
    def vocab_size(self) -> int:
        """Ids of the tokenizer; the embedding table has at least as many rows."""
        return self.tokenizer.vocab_size

    def describe(self) -> list[str]:
        """Lines for the startup report: sources, tokenizer, tokens, the shards and whether they were made."""
        return list(self.lines)


def open_dataset(
    data: DataConfig,
    *,
    seq_len: int,
    seed: int,
    vocab_size: int | None,
    token_limit: int | None = None,
    should_stop: Callable[[], str | None] | None = None,
) -> Dataset:
    """Open the data of a run, tokenizing it first where the cache does not have it.

    `vocab_size` is model.vocab_size where it is set. `token_limit` is how many tokens the run will consume, where
    that is known: the report states the epochs of the run. With several processes each calls this,
    after torch.distributed is initialised; a source that is streamed is read by rank 0 alone, and `train.batch` is
    then collective (see ScatteredSplit). Raises DataError, or ConfigError for a vocabulary larger than the model's.

    `should_stop` returns the origin of a stop request (`SIGTERM`), or None. While `train.batch` waits for the rows
    of a stream, rank 0 calls it once a second, from the thread that waits; if a stop is requested, `train.batch`
    raises ReadingStopped on every rank, and `train.state_at` still has the steps before.
    """
    rank, size = world()
    shares = data.shares
    sources = _open_sources(data, seq_len, seed, rank == 0, should_stop)
    weights = list(shares.values())
    tokenizer, single = sources[0].tokenizer, data.mixture is None
    check_vocabulary(vocab_size, data.tokenizer, tokenizer.vocab_size)
    lines: list[str] = []
    for source, share in zip(sources, weights, strict=True):
        if not single:
            lines.append(f"mixture    {share:.1%} of the sequences are of {source.name}")
        lines += [*source.lines, *_epochs(source, token_limit, share, always=not single)]
    lines.insert(1 if single else 0, sources[0].tokenizer_line if single else tokenizer_line(data, tokenizer))

    train: Split | None = sources[0].train
    val = sources[0].val
    if not single:
        val = FiniteMixture({name: source.val for name, source in zip(shares, sources, strict=True)}, weights, seed)
        trains = {name: source.train for name, source in zip(shares, sources, strict=True) if source.train is not None}
        train = MixtureSplit(trains, weights, seed) if len(trains) == len(sources) else None
    if size > 1 and any(map(data.streams, shares)):
        train = ScatteredSplit(train if rank == 0 else None, seq_len)
    assert train is not None
    return Dataset(tokenizer, train, val, _held_out_text(sources, weights), tuple(lines))


def _held_out_text(sources: Sequence[OpenSource], weights: Sequence[float]) -> str | None:
    """The digest of the held-out text; of a mixture that of each source with its share."""
    texts = [source.held_out_text for source in sources]
    if len(texts) == 1 or None in texts:
        return None if None in texts else texts[0]
    shares = "\n".join(f"{weight:.6g} of {text}" for weight, text in zip(weights, texts, strict=True))
    return hashlib.blake2b(shares.encode(), digest_size=8).hexdigest()


def _open_sources(
    data: DataConfig, seq_len: int, seed: int, reads_streams: bool, should_stop: Callable[[], str | None] | None
) -> list[OpenSource]:
    """Each source of the configuration, all with one tokenizer."""
    if data.mixture is None:
        return [open_source(data, seq_len, seed, reads_streams=reads_streams, should_stop=should_stop)]
    configs = [data.model_copy(update={"source": source, "mixture": None}) for source in data.mixture]
    tokenizer = _common_tokenizer(data, configs)
    return [
        open_source(one, seq_len, seed, tokenizer, reads_streams=reads_streams, should_stop=should_stop)
        for one in configs
    ]


def _common_tokenizer(data: DataConfig, each: Sequence[DataConfig]) -> Tokenizer:
    """The tokenizer of a mixture; a learned one learns from all the sources in their shares."""
    ids = next((one.source for one in each if one.source.startswith("bin:")), None)
    if ids is not None and (data.tokenizer == "byte" or learned(data.tokenizer)):
        raise DataError(
            f"data.mixture: the ids of {ids} were made by another tokenizer than data.tokenizer = {data.tokenizer!r}: "
            "name the tokenizer that made them."
        )
    if not learned(data.tokenizer):
        return given_tokenizer(data.tokenizer)
    sources = [make_source(one, cache_directory() / "downloads") for one in each]
    mixed = MixedSource(sources, list(data.shares.values()), data.max_tokens)
    streamed = any(map(data.streams, data.shares))
    return learn_tokenizer(data.tokenizer, mixed, tokenizer_cache(), None, streamed=streamed)


def _epochs(source: OpenSource, token_limit: int | None, share: float, always: bool) -> list[str]:
    """The epochs of a run over a source: always for one of several, for a single one if it is more than one."""
    tokens = source.train.tokens if source.train is not None else None
    if token_limit is None or tokens is None:
        return []
    times = token_limit * share / tokens
    if always:
        often = f"{times:,.1f}" if times >= 0.1 else "less than 0.1"
        return [f"epochs     its share of the run, {human(token_limit * share)} tokens, goes over them {often} times"]
    return [f"epochs     the run's {human(token_limit)} tokens go over them {times:,.1f} times"] if times > 1.5 else []
