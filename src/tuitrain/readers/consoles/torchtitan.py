"""The console of torchtitan: `step: 10  loss:  6.96986  memory: 41.59GiB(52.30%)  tps: 7,944  mfu: 38.55%`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from tuitrain.readers.consoles.lines import NUMBER, UNIT, ConsoleParser, console_format, literal, time_of, values_of
from tuitrain.readers.model import Format, Probe, Row

_LINE = re.compile(r"(validate )?step: +(\d+) +(?=[A-Za-z])")
_FIELD = re.compile(rf"([A-Za-z_][\w./-]{{0,80}}): +({NUMBER})({UNIT})?(?![\w.])")
_SETTING = re.compile(
    r"(local batch size|global batch size|gradient accumulation steps|sequence length|total steps) (\d+)"
)
_METRICS = re.compile(
    r"(?:^|[\s\]:])(?:validate )?step: +\d+ +loss: +\S+ .{0,300}?(?:memory: +\S+GiB|tps: |wps: )", re.M
)
_OF_VALIDATION = "validate/"


class TorchtitanParser(ConsoleParser):
    """Reads step and validation lines. mfu is left out of a line where it says N/A."""

    meanings: ClassVar = {
        "loss": "loss", "validate/loss": "val_loss", "tps": "tokens_per_sec", "wps": "tokens_per_sec",
        "memory_gib": "mem_peak_gb*1.073741824", "mfu_percent": "mfu*0.01",
    }  # fmt: skip

    def items(self, line: str) -> Iterator[Row]:
        """A row of a step or validation line."""
        match = _LINE.search(line, 0, 200) if "step: " in line else None
        if match is None:
            self._read_other(line)
            return
        values = values_of(_FIELD.findall(line, match.end()))
        if match[1]:
            # Memory and speed of a validation are no points of the training's curves.
            values = {_OF_VALIDATION + "loss": values["loss"]} if "loss" in values else {}
        if values:
            self.info.ending = "interrupted"
            yield Row(float(match[2]), values, time_of(line))

    def _read_other(self, line: str) -> None:
        if "Training completed" in line:
            self.info.ending = "completed"
        elif "total steps" in line or "batch size" in line:
            for name, text in _SETTING.findall(line):
                self.info.hyperparameters[name.replace(" ", "_")] = literal(text)
                if name == "total steps":
                    self.info.total = float(text)
        if self.info.started is None and "Starting job" in line:
            self.info.started = time_of(line)


def _matches(probe: Probe) -> bool:
    head = probe.head
    return probe.names_loss and b"step: " in head and b"loss: " in head and _METRICS.search(probe.text) is not None


FORMAT: Format = console_format(
    "torchtitan-console", "torchtitan's console", TorchtitanParser, _matches, covers=("tensorboard",)
)
