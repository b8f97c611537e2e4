"""Small local datasets that are read through the real `datasets`, and faults that interrupt reading."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import datasets

FILES, ROWS = 5, 12


def text_of(file: int, row: int) -> str:
    """A text that names its file and row; lengths differ, and one is longer than several sequences."""
    return f"<{file}.{row}>" + "abcdefghij" * ((file * 7 + row * 3) % 5 + (20 if (file, row) == (3, 4) else 0))


def texts() -> list[str]:
    """Every text, in the dataset's own order."""
    return [text_of(file, row) for file in range(FILES) for row in range(ROWS)]


def parquet_dataset(path: Path) -> Path:
    """Five Parquet files of three row groups each, with one more column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.mkdir()
    for file in range(FILES):
        table = pa.table({"text": [text_of(file, row) for row in range(ROWS)], "n": list(range(ROWS))})
        pq.write_table(table, path / f"part-{file}.parquet", row_group_size=5)
    return path


def jsonl_dataset(path: Path) -> Path:
    """The same texts as JSON Lines, with empty and null ones between them."""
    path.mkdir()
    for file in range(FILES):
        rows = [row for number in range(ROWS) for row in ({"text": ""}, {"text": text_of(file, number)})]
        lines = [json.dumps(row) for row in [*rows, {"text": None}]]
        (path / f"part-{file}.jsonl").write_text("\n".join(lines) + "\n")
    return path


class ReadFault:
    """Makes `datasets` fail or hang after a given total number of rows, on the first `times` readings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, times: int, hang: bool = False) -> None:
        import datasets

        self.left, self.rows, self.times = at, 0, times
        self.woken = threading.Event()
        existing = threading.enumerate()
        original = datasets.IterableDataset.__iter__

        def rows(dataset: datasets.IterableDataset) -> Iterator[dict]:
            for row in original(dataset):
                if threading.current_thread() in existing:
                    yield row
                    continue
                if self.left == 0 and self.times:
                    self.times -= 1
                    if hang:
                        self.woken.wait(timeout=60)
                        return
                    raise ConnectionError("the connection was reset\nby peer")
                self.left = max(self.left - 1, 0)
                self.rows += 1
                yield row

        monkeypatch.setattr(datasets.IterableDataset, "__iter__", rows)
