"""Datasets read through Hugging Face `datasets`: `hf:NAME[:CONFIG]` on the Hub, `hf:DIR[:CONFIG]` on this machine.

A dataset comes in shards (its files). Where a reader stands is the epoch, how many shards of that epoch's order are
done and how many rows of the next one, and nothing else: no library's own state, and no shuffle buffer, whose rows
are lost when a run is resumed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from tuitrain.config.source import source_path
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.files import missing_column, row_text

if TYPE_CHECKING:
    from datasets import IterableDataset

Order = Callable[[int, int], Iterable[int]]
"""The shards of an epoch, in the order they are read: from (number of shards, epoch)."""


class Position(NamedTuple):
    """Where a reader of shards stands."""

    epoch: int = 0
    place: int = 0
    """Shards of this epoch's order that are done."""
    row: int = 0
    """Rows of the next shard that are done."""


class Document(NamedTuple):
    """A text, and where the next one is found."""

    text: str
    after: Position


class HubDataset:
    """One split of a dataset, its texts in order of shards and rows."""

    def __init__(self, spec: str, split: str, text_column: str) -> None:
        """`spec` is NAME[:CONFIG], or DIR[:CONFIG] if it begins with `/`, `.` or `~`."""
        self.name = f"hf:{spec}"
        self.identity = f"hf:{spec}@{split}#{text_column}"
        # The Hub is not asked: a prepared dataset must open without a network.
        self.fingerprint = hashlib.sha256(self.identity.encode("utf-8", "surrogateescape")).hexdigest()
        self._split, self._text_column = split, text_column
        name, _, config = spec.partition(":")
        local = source_path(self.name)
        self._path = name if local is None else str(local.path.absolute())
        self._config = config or None
        self.expected_shards: int | None = None
        """What a run that streams was set up with: positions mean nothing in a dataset of another number."""

    def open(self) -> IterableDataset:
        """The rows, unread. Raises DataError for what trying again cannot mend, else what `datasets` raises."""
        try:
            import datasets
        except ImportError:
            raise DataError(f"data.source = '{self.name}' needs one more package: `pip install datasets`.") from None
        try:
            opened = datasets.load_dataset(self._path, self._config, split=self._split, streaming=True)
        except (FileNotFoundError, ValueError, RuntimeError, NotImplementedError) as error:
            # No such dataset, configuration or split; no access; or one that needs code of its own.
            raise DataError(f"{self.name} cannot be read: {first_line(error)}") from error
        except OSError as error:
            if datasets.config.HF_HUB_OFFLINE:
                raise DataError(f"{self.name} cannot be read: {first_line(error)}; HF_HUB_OFFLINE is set.") from error
            raise
        if self.expected_shards not in (None, opened.num_shards):
            raise DataError(
                f"{self.name} has changed: it has {opened.num_shards:,} shards, and had {self.expected_shards:,} when "
                "documents of it were held out; a new run with another data.val_tokens holds them out anew."
            )
        return opened

    def walk(
        self, dataset: IterableDataset, start: Position, order: Order | None, held_out: Position
    ) -> Iterator[Document | None]:
        """Texts from `start` on; None for a row that is passed over, as a sign of life.

        In the `order` of each epoch, without end; order None: once, in the dataset's own. Never those before
        `held_out` (a position in that own order). Raises DataError when an epoch has no text.
        """
        n_shards = dataset.num_shards
        for epoch in itertools.count(start.epoch):
            found = epoch == start.epoch and start != Position(epoch)
            shards = range(n_shards) if order is None else order(n_shards, epoch)
            for place, shard in enumerate(shards):
                if (epoch == start.epoch and place < start.place) or shard < held_out.place:
                    continue
                first = start.row if (epoch, place) == start[:2] else 0
                if shard == held_out.place:
                    first = max(first, held_out.row)
                for row, text in enumerate(self._texts(dataset, shard)):
                    if row < first or not text:
                        yield None
                        continue
                    found = True
                    yield Document(text, Position(epoch, place, row + 1))
            if order is None:
                return
            if not found:
                held = held_out > Position()
                raise DataError(
                    f"{self.name} has no text{' besides what is held out: lower data.val_tokens' if held else ''}."
                )

    def _texts(self, dataset: IterableDataset, shard: int) -> Iterator[str]:
        column = self._text_column
        for row, fields in enumerate(dataset.shard(dataset.num_shards, shard)):
            where = f"{self.name}, shard {shard}, row {row}"
            if column not in fields:
                raise missing_column(where, column, list(fields))
            yield row_text(fields[column], column, where)


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one line."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
