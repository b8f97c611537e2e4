"""`data` of a configuration, opened: a tokenizer, a training split and a held-out split, of one source or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuitrain.config.requirements import check_vocabulary
from tuitrain.config.sections import DataConfig
from tuitrain_engine.data.cache import cache_directory, tokenizer_cache
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.mixture import FiniteMixture, MixtureSplit
from tuitrain_engine.data.parts import Part, open_part, tokenizer_line
from tuitrain_engine.data.prefetch import FiniteSplit, Split
from tuitrain_engine.data.progress import human
from tuitrain_engine.data.scatter import ScatteredSplit, world
from tuitrain_engine.data.sources import MixedSource, open_source
from tuitrain_engine.data.tokenizers import Tokenizer
from tuitrain_engine.data.vocabulary import given_tokenizer, learn_tokenizer, learned


@dataclass(frozen=True)
class Dataset:
    """What a run trains and evaluates on."""

    tokenizer: Tokenizer
    train: Split
    val: FiniteSplit
    lines: tuple[str, ...]

    @property
    def vocab_size(self) -> int:
        """Ids of the tokenizer; the embedding table has at least as many rows."""
        return self.tokenizer.vocab_size

    def describe(self) -> list[str]:
        """Lines for the startup report: sources, tokenizer, tokens, where the shards lie and whether they were made."""
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
    that is known: the report tells how often the run goes over its data. With several processes each calls this,
    after torch.distributed is initialised; a source that is streamed is read by rank 0 alone, and `train.batch` is
    then collective (see ScatteredSplit). Raises DataError, or ConfigError for a vocabulary larger than the model's.

    `should_stop` returns what asks for a stop (`SIGTERM`), or None. While `train.batch` waits for the rows
    of a stream, rank 0 calls it once a second, from whichever thread waits; if a stop is asked for, `train.batch`
    raises ReadingStopped on every rank, and `train.state_at` still knows the steps before.
    """
    rank, size = world()
    shares = data.shares
    parts = _open_parts(data, seq_len, seed, rank == 0, should_stop)
    weights = list(shares.values())
    tokenizer, single = parts[0].tokenizer, data.mixture is None
    check_vocabulary(vocab_size, data.tokenizer, tokenizer.vocab_size)
    lines: list[str] = []
    for part, share in zip(parts, weights, strict=True):
        own = part.lines if single else (f"mixture    {share:.1%} of the sequences are of {part.name}", *part.lines)
        lines += [*own, *_epochs(part, token_limit, share, always=not single)]
    lines.insert(1 if single else 0, parts[0].tokenizer_line if single else tokenizer_line(data, tokenizer))

    train: Split | None = parts[0].train
    val = parts[0].val
    if not single:
        val = FiniteMixture({name: part.val for name, part in zip(shares, parts, strict=True)}, weights, seed)
        trains = {name: part.train for name, part in zip(shares, parts, strict=True) if part.train is not None}
        train = MixtureSplit(trains, weights, seed) if len(trains) == len(parts) else None
    if size > 1 and any(map(data.streams, shares)):
        train = ScatteredSplit(train if rank == 0 else None, seq_len)
    assert train is not None
    return Dataset(tokenizer, train, val, tuple(lines))


def _open_parts(
    data: DataConfig, seq_len: int, seed: int, reads_streams: bool, should_stop: Callable[[], str | None] | None
) -> list[Part]:
    """Each source of the configuration, all with one tokenizer."""
    if data.mixture is None:
        return [open_part(data, seq_len, seed, reads_streams=reads_streams, should_stop=should_stop)]
    each = [data.model_copy(update={"source": source, "mixture": None}) for source in data.mixture]
    tokenizer = _common_tokenizer(data, each)
    return [
        open_part(one, seq_len, seed, tokenizer, reads_streams=reads_streams, should_stop=should_stop) for one in each
    ]


def _common_tokenizer(data: DataConfig, each: Sequence[DataConfig]) -> Tokenizer:
    """The tokenizer of a mixture; a learned one learns from all the sources in their shares."""
    ids = next((one.source for one in each if one.source.startswith("bin:")), None)
    if ids is not None and (data.tokenizer == "byte" or learned(data.tokenizer)):
        raise DataError(
            f"data.mixture: the ids of {ids} were made elsewhere, not by data.tokenizer = {data.tokenizer!r}: "
            "name the tokenizer that made them."
        )
    if not learned(data.tokenizer):
        return given_tokenizer(data.tokenizer)
    sources = [open_source(one, cache_directory() / "downloads") for one in each]
    mixed = MixedSource(sources, list(data.shares.values()), data.max_tokens)
    streamed = any(map(data.streams, data.shares))
    return learn_tokenizer(data.tokenizer, mixed, tokenizer_cache(), None, streamed=streamed)


def _epochs(part: Part, token_limit: int | None, share: float, always: bool) -> list[str]:
    """The epochs of a run over a source: always for one of several, for a single one if it is more than one."""
    tokens = part.train.tokens if part.train is not None else None
    if token_limit is None or tokens is None:
        return []
    times = token_limit * share / tokens
    if always:
        often = f"{times:,.1f}" if times >= 0.1 else "less than 0.1"
        return [f"epochs     its share of the run, {human(token_limit * share)} tokens, goes over them {often} times"]
    return [f"epochs     the run's {human(token_limit)} tokens go over them {times:,.1f} times"] if times > 1.5 else []
