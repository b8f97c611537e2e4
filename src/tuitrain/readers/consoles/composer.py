"""The console of MosaicML's Composer: a header `[batch=10/4800]:`, then lines `Train loss/train/total: 2.5`."""

from __future__ import annotations

import re
from typing import ClassVar

from tuitrain.readers.consoles.lines import NUMBER, BlockParser, console_format
from tuitrain.readers.model import Format, Probe

_METRICS = re.compile(rb"\[batch=\d+/\d+\]:?\s*\n\s+(?:Train|Eval) \S")
_EVALUATED = re.compile(r"metrics/eval/(?:Language)?(CrossEntropy|Perplexity)$")


class ComposerParser(BlockParser):
    """Reads the blocks of values; x is the number of the batch, which is an optimizer step."""

    axis = "batch"
    meanings: ClassVar = {
        "loss/train/total": "loss", "time/token": "tokens", "memory/peak_allocated_mem": "mem_peak_gb",
        "memory/allocated_mem": "mem_allocated_gb", "memory/peak_reserved_mem": "mem_reserved_gb",
    }  # fmt: skip
    header = re.compile(r"\[batch=(\d+)/(\d+)\]:?\s*$")
    sign = "[batch="
    value = re.compile(rf"\s+(?:Train|Eval) (\S.*?): ({NUMBER})\s*$")

    def meaning(self, name: str) -> str:
        """The loss and the perplexity of an evaluation."""
        match = _EVALUATED.match(name)
        return "" if match is None else "val_loss" if match[1] == "CrossEntropy" else "val_perplexity"


def _matches(probe: Probe) -> bool:
    return b"[batch=" in probe.head and _METRICS.search(probe.head) is not None


FORMAT: Format = console_format(
    "composer-console", "Composer's console", ComposerParser, _matches, names_position=False
)
