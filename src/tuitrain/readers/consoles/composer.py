"""The console of MosaicML's Composer: a header `[batch=10/4800]:`, then lines `Train loss/train/total: 2.5`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from tuitrain.readers.consoles.lines import NUMBER, ConsoleParser, console_format, values_of
from tuitrain.readers.model import Format, Probe, Row

_HEADER = re.compile(r"\[batch=(\d+)/(\d+)\]:?\s*$")
_VALUE = re.compile(rf"\s+(?:Train|Eval) (\S.*?): ({NUMBER})\s*$")
_METRICS = re.compile(rb"\[batch=\d+/\d+\]:?\s*\n\s+(?:Train|Eval) \S")
_EVALUATED = re.compile(r"metrics/eval/(?:Language)?(CrossEntropy|Perplexity)$")


class ComposerParser(ConsoleParser):
    """Reads the blocks of values; x is the number of the batch, which is an optimizer step."""

    axis = "batch"
    meanings: ClassVar = {
        "loss/train/total": "loss", "time/token": "tokens", "memory/peak_allocated_mem": "mem_peak_gb",
        "memory/allocated_mem": "mem_allocated_gb", "memory/peak_reserved_mem": "mem_reserved_gb",
    }  # fmt: skip

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._batch: float | None = None
        self._values: dict[str, float] = {}

    def items(self, line: str) -> Iterator[Row]:
        """The row of a block, once another line follows it."""
        match = _VALUE.match(line) if self._batch is not None and ": " in line else None
        if match is not None:
            self._values |= values_of([(match[1], match[2], "")])
            if (evaluated := _EVALUATED.match(match[1])) is not None:
                self.info.meanings[match[1]] = "val_loss" if evaluated[1] == "CrossEntropy" else "val_perplexity"
            return
        yield from self.pending()
        header = _HEADER.search(line) if "[batch=" in line else None
        if header is not None:
            self._batch, self.info.total = float(header[1]), float(header[2])
            self.reached(self._batch)

    def pending(self) -> Iterator[Row]:
        """The values that the current block has so far."""
        if self._values and self._batch is not None:
            values, self._values = self._values, {}
            yield Row(self._batch, values)


def _matches(probe: Probe) -> bool:
    return b"[batch=" in probe.head and _METRICS.search(probe.head) is not None


FORMAT: Format = console_format(
    "composer-console", "Composer's console", ComposerParser, _matches, names_position=False
)
