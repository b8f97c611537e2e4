"""The console of DeepSpeed: `[Rank 0] step=5, skipped=0, lr=[0.01], …`; the losses are in lines of the user's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from tuitrain.readers.consoles.generic import GenericParser
from tuitrain.readers.consoles.lines import NUMBER, console_format, time_of, values_of
from tuitrain.readers.model import Format, Item, Probe, Row
from tuitrain.readers.text import number

_OPTIMIZER = re.compile(r"step=(\d+), skipped=(\d+)(?:, lr=\[([^\]]*)\])?")
_TIMER = re.compile(r"epoch=\d+/micro_step=\d+/global_step=(\d+), ")
_PIPELINE = re.compile(r"steps: (\d+) (?=loss: )")
_EQUALS = re.compile(rf"([A-Za-z]\w{{0,80}})=({NUMBER})(GB)?")
_COLON = re.compile(rf"([A-Za-z][\w /]{{0,80}}(?: \(s\))?): ({NUMBER})()")
_METRICS = re.compile(
    rb"\] step=\d+, skipped=\d+, lr=\[|RunningAvgSamplesPerSec=|steps: \d+ loss: \S+ iter time \(s\):"
)


class DeepSpeedParser(GenericParser):
    """Reads DeepSpeed's own lines, and others as the generic console does. Of several parameter groups the first has
    the learning rate `lr`, the others `lr/1` and so on.
    """

    meanings: ClassVar = {
        "lr": "lr", "iter time (s)": "step_time_ms*1000", "MemAllocated_gb": "mem_allocated_gb*1.073741824",
        "MaxMemAllocated_gb": "mem_peak_gb*1.073741824",
    }  # fmt: skip

    def items(self, line: str) -> Iterator[Item]:
        """A row of a line of DeepSpeed, or of the user's own."""
        if "step" in line:
            if (match := _OPTIMIZER.search(line, 0, 300)) is not None:
                rates = [number(text) for text in (match[3] or "").split(",")]
                values = {
                    f"lr/{group}" if group else "lr": rate for group, rate in enumerate(rates) if rate is not None
                }
                yield Row(float(match[1]), {"skipped": float(match[2]), **values}, time_of(line))
                return
            if (match := _TIMER.search(line, 0, 300)) is not None:
                yield Row(float(match[1]), values_of(_EQUALS.findall(line, match.end())), time_of(line))
                return
            if (match := _PIPELINE.search(line, 0, 300)) is not None:
                yield Row(float(match[1]), values_of(_COLON.findall(line, match.end())), time_of(line))
                return
        yield from super().items(line)


def _matches(probe: Probe) -> bool:
    signs = (b", skipped=", b"RunningAvgSamplesPerSec=", b" iter time (s):")
    return any(sign in probe.head for sign in signs) and _METRICS.search(probe.head) is not None


FORMAT: Format = console_format(
    "deepspeed-console", "DeepSpeed's console", DeepSpeedParser, _matches, "deepspeed train.py 2>&1 | tuitrain watch -"
)
