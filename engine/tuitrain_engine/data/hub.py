"""Datasets read through Hugging Face `datasets`: `hf:NAME[:CONFIG]` on the Hub, `hf:DIR[:CONFIG]` on this machine.

A dataset comes in shards (its files). Where a reader stands is the epoch, how many shards of that epoch's order are
done and how many rows of the next one, and nothing else: no library's own state, and no shuffle buffer, whose rows
are lost when a run is resumed.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tuitrain.config.source import missing_column, source_path
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.files import first_line, open_decompressed, row_text

if TYPE_CHECKING:
    from datasets import DatasetBuilder, IterableDataset

Order = Callable[[int, int], Iterable[int]]
"""The shards of an epoch, in the order they are read: from (number of shards, epoch)."""


class Position(NamedTuple):
    """The position of a reader of shards."""

    epoch: int = 0
    shard_index: int = 0
    """Index, in this epoch's order, of the shard to read: so many are done."""
    row: int = 0
    """Rows of that shard that are done."""


class Document(NamedTuple):
    """A text, and the position of the next one."""

    text: str
    after: Position


class HubDataset:
    """One split of a dataset, its texts in order of shards and rows."""

    def __init__(self, spec: str, split: str, text_column: str) -> None:
        """`spec` is NAME[:CONFIG], or DIR[:CONFIG] if it begins with `/`, `.` or `~`."""
        self.name = f"hf:{spec}"
        self.identity = f"hf:{spec}@{split}#{text_column}"
        # No query to the Hub: a prepared dataset must open without a network.
        self.fingerprint = hashlib.sha256(self.identity.encode("utf-8", "surrogateescape")).hexdigest()
        self._split, self._text_column = split, text_column
        name, _, config = spec.partition(":")
        local = source_path(self.name)
        self._directory = None if local is None else local.path.absolute()
        self._path = name if self._directory is None else str(self._directory)
        self._config = config or None
        self.expected_shards: int | None = None
        """What a run that streams was set up with: positions mean nothing in a dataset of another number."""
        self.contents: dict[str, str] = {}
        """Identifies the data: `revision`, the commit on the Hub, or `files`, a digest of the names and sizes of
        the files in a directory. Empty until it is opened (and where the Hub was not reached); from then on, or
        when a resume has set it, only that is read."""
        self._files: list[str] = []

    def open(self) -> IterableDataset:
        """The rows, unread. Raises DataError for what a retry cannot correct, else what `datasets` raises."""
        try:
            import datasets
        except ImportError:
            raise DataError(f"data.source = '{self.name}' needs one more package: `pip install datasets`.") from None
        _read_whole_frames()
        try:
            builder = datasets.load_dataset_builder(self._path, self._config, revision=self.contents.get("revision"))
            opened = builder.as_streaming_dataset(split=self._split)
        except (FileNotFoundError, ValueError, RuntimeError, NotImplementedError) as error:
            # No such dataset, configuration or split; no access; or one that needs code of its own.
            raise self._refused(str(error).strip(), first_line(error)) from error
        except OSError as error:
            if datasets.config.HF_HUB_OFFLINE:
                raise DataError(f"{self.name} cannot be read: {first_line(error)}; HF_HUB_OFFLINE is set.") from error
            raise
        if self.expected_shards not in (None, opened.num_shards):
            raise DataError(
                f"{self.name} has changed: it has {opened.num_shards:,} shards, and had {self.expected_shards:,} when "
                "documents of it were held out; a new run with another data.val_bytes holds them out anew."
            )
        self._compare(builder)
        return opened

    def check(self) -> None:
        """Raise DataError when a directory differs from `contents`; a revision on the Hub does not change."""
        if self._directory is not None:
            self.open()

    def _refused(self, message: str, reason: str) -> DataError:
        """The error for what `datasets` does not open, with the key that chooses a configuration or a split."""
        split = re.match(r"Bad split: .*Available splits: (\[.*\])", message)
        if split:
            return DataError(f"data.split = {self._split!r} is not a split of {self.name}: it has {_names(split[1])}.")
        config = re.search(r"not found\. Available: (\[.*\])|pick one among the available configs: (\[.*\])", message)
        if config:
            name = self.name.removesuffix(f":{self._config}")
            given = f"there is no configuration {self._config!r}" if self._config else "it has several configurations"
            return DataError(
                f"data.source = '{self.name}': {given}; name one as {name}:CONFIG, of {_names(config[1] or config[2])}."
            )
        return DataError(f"{self.name} cannot be read: {reason}")

    def _compare(self, builder: DatasetBuilder) -> None:
        """Note what was opened; raises DataError when it is not what was read before."""
        files = builder.config.data_files or {}
        chosen = files.get(self._split) or [path for each in files.values() for path in each]
        self._files = [str(path) for path in chosen]
        if self._directory is not None:
            contents = {"files": _digest(self._files, self._directory)} if self._files else {}
        else:
            # Of a module in the cache, as without a network, the hash is another kind.
            known = re.fullmatch(r"[0-9a-f]{40}", builder.hash or "")
            contents = {"revision": known[0]} if known else {}
        if contents and self.contents.get("files") not in (None, contents.get("files")):
            raise DataError(
                f"{self.name} has changed since this run began to read it (its files have other names or sizes), so "
                "its position in them is no longer valid: restore them, or start a new run."
            )
        self.contents = self.contents or contents

    def walk(
        self, dataset: IterableDataset, start: Position, order: Order | None, held_out: Position
    ) -> Iterator[Document | None]:
        """Texts from `start` on; None for a row that is skipped, so that the reader sees progress.

        In the `order` of each epoch, without end; order None: once, in the dataset's own. Never those before
        `held_out` (a position in that own order). Raises DataError when an epoch has no text.
        """
        n_shards = dataset.num_shards
        for epoch in itertools.count(start.epoch):
            has_text = epoch == start.epoch and start != Position(epoch)
            shards = range(n_shards) if order is None else order(n_shards, epoch)
            for shard_index, shard in enumerate(shards):
                if (epoch == start.epoch and shard_index < start.shard_index) or shard < held_out.shard_index:
                    continue
                first = start.row if (epoch, shard_index) == start[:2] else 0
                if shard == held_out.shard_index:
                    first = max(first, held_out.row)
                for row, text in enumerate(self._texts(dataset, shard)):
                    if row < first or not text:
                        yield None
                        continue
                    has_text = True
                    yield Document(text, Position(epoch, shard_index, row + 1))
            if order is None:
                return
            if not has_text:
                held = held_out > Position()
                raise DataError(
                    f"{self.name} has no text{' besides what is held out: lower data.val_bytes' if held else ''}."
                )

    def _texts(self, dataset: IterableDataset, shard: int) -> Iterator[str]:
        column = self._text_column
        rows = iter(dataset.shard(dataset.num_shards, shard))
        for row in itertools.count():
            where = f"{self.name}, shard {shard}, row {row}"
            try:
                fields = next(rows, None)
            except Exception as error:
                if not self._damaged(error):
                    raise
                which = self._files[shard] if len(self._files) == dataset.num_shards else f"{self.name}, shard {shard}"
                raise DataError(f"{which} cannot be read, it seems damaged: {first_line(error)}.") from error
            if fields is None:
                return
            if column not in fields:
                raise DataError(missing_column(where, column, fields))
            yield row_text(fields[column], column, where)

    def _damaged(self, error: Exception) -> bool:
        """Whether the file is damaged, so that a retry would fail too, and not the connection to it."""
        from datasets.exceptions import DatasetBuildError
        from pyarrow import ArrowInvalid

        if isinstance(error, (ArrowInvalid, DatasetBuildError, UnicodeDecodeError)):
            return True
        if isinstance(error, json.JSONDecodeError):
            # That of an HTTP client is an OSError as well: a response, not a file.
            return not isinstance(error, OSError)
        if self._directory is None:
            return False
        # A local read is never truncated. Errors of the system have a number; those of Arrow's decoders have none.
        of_decoder = type(error) is OSError and error.errno is None
        return of_decoder or isinstance(error, (ValueError, EOFError, zlib.error, gzip.BadGzipFile))


@cache
def _read_whole_frames() -> None:
    """Let `datasets` read .zst and .bz2 so that a cut or damaged file is an error, as it already is for .gz."""
    from fsspec.compression import register_compression

    for name, codec, suffix in (("zstd", "zstd", "zst"), ("bz2", "bz2", "bz2")):
        register_compression(name, lambda file, mode, codec=codec: open_decompressed(file, codec), suffix, force=True)


def _names(listing: str) -> str:
    """`a, b` of `['a', 'b']`."""
    return ", ".join(re.findall(r"'([^']*)'", listing)) or "none"


def _digest(files: list[str], directory: Path) -> str:
    """SHA-256 of the names and sizes of files.

    Not of their times: a copy put back, or another machine's, has others.
    """
    facts = []
    for file in map(Path, files):
        # A directory's own README may name files elsewhere, which only `datasets` can reach.
        size = file.stat().st_size if file.is_file() else None
        facts.append(f"{os.path.relpath(file, directory)}\t{size}")
    return hashlib.sha256("\n".join(facts).encode("utf-8", "surrogateescape")).hexdigest()
