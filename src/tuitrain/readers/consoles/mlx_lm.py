"""The console of `mlx_lm.lora`: lines `Iter 5: Train loss 3.588, …` up to 0.28, a coloured table from 0.32 on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from tuitrain.readers.consoles.lines import NUMBER, ConsoleParser, console_format, values_of
from tuitrain.readers.model import Format, Probe, Row
from tuitrain.readers.settings import flattened, read_settings
from tuitrain.readers.text import number

_LINE = re.compile(r"Iter (\d+): (?=[A-Z])")
_FIELD = re.compile(rf"([A-Za-z][\w/ ]{{0,80}}?) ({NUMBER})() ?(?:[a-zA-Z]+)?(?=,|\s*$)")
_HEADER = re.compile(r"\s*iter\s+\S*loss\s+\S")
_VALIDATION = re.compile(rf"\s*([\d,]+)\s+val\s+({NUMBER})(?:\s|$)")
_TOTAL = re.compile(
    r"Starting training\.*,? iters: (\d+)|batch · iters\W+\d+ · (\d+)|\btrain\b.{0,300}\b100%.{0,300}?\d+/(\d+)"
)
_COUNT = re.compile(rf"({NUMBER})([kMB]?)")
_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "B": 1e9}
_METRICS = re.compile(rb"Iter \d+: (?:Train|Val) loss |iter +train_loss +\S")
_SAVED = "Saved final weights"
ADAPTER_CONFIG = "adapter_config.json"


class MlxLmParser(ConsoleParser):
    """Reads both forms. A validation at N is measured before the update of iteration N."""

    meanings: ClassVar = {
        "Train loss": "loss", "Val loss": "val_loss", "Val took": "", "Learning Rate": "lr", "It/sec": "",
        "Tokens/sec": "tokens_per_sec", "Trained Tokens": "tokens", "Peak mem": "mem_peak_gb",
        "train_loss": "loss", "val": "val_loss", "tok/s": "tokens_per_sec", "tokens": "tokens",
    }  # fmt: skip

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._columns: list[str] = []

    def items(self, line: str) -> Iterator[Row]:
        """A row of a line or of a row of the table."""
        row = self._of_line(line) if "Iter " in line else self._of_table(line) if self._columns else None
        if row is not None:
            self.reached(row.x)
            yield row
        elif line.startswith(_SAVED):
            self.info.ending = "completed"
        elif (match := _TOTAL.search(line)) is not None:
            self.info.total = float(next(text for text in match.groups() if text))
        elif _HEADER.match(line):
            self._columns = line.split()[1:]

    def _of_line(self, line: str) -> Row | None:
        match = _LINE.search(line, 0, 200)
        values = values_of(_FIELD.findall(line, match.end())) if match is not None else {}
        return Row(float(match[1]), values) if match is not None and values else None

    def _of_table(self, line: str) -> Row | None:
        match = _VALIDATION.match(line)
        if match is not None:
            return Row(float(match[1].replace(",", "")), {"val": float(match[2].replace(",", ""))})
        iteration, *cells = line.replace("▼", " ").replace("▲", " ").split() or [""]
        counts = [_COUNT.fullmatch(cell) for cell in cells]
        if not iteration.replace(",", "").isdecimal() or len(cells) != len(self._columns) or None in counts:
            return None
        values = {}
        for name, count in zip(self._columns, counts, strict=True):
            value = number(count[1]) if count is not None else None
            if value is not None and count is not None:
                values[name] = value * _FACTORS[count[2]]
        return Row(float(iteration.replace(",", "")), values)


def _matches(probe: Probe) -> bool:
    head = probe.head
    return probe.names_loss and (b"Iter " in head or b"train_loss" in head) and _METRICS.search(head) is not None


def _prepare(parser: ConsoleParser, log: Path) -> None:
    """Take the parameters from the adapter's configuration beside the log, or in the only folder beside it with one."""
    file = log.parent / ADAPTER_CONFIG
    if not file.is_file():
        below = sorted(log.parent.glob(f"*/{ADAPTER_CONFIG}"))
        if len(below) != 1:
            return
        file = below[0]
    parser.info.hyperparameters |= flattened(read_settings(file))
    iterations = parser.info.hyperparameters.get("iters")
    if isinstance(iterations, int):
        parser.info.total = float(iterations)


FORMAT: Format = console_format(
    "mlx-lm-console", "the console of mlx-lm LoRA", MlxLmParser, _matches,
    "mlx_lm.lora --train … 2>&1 | tuitrain watch -", prepare=_prepare,
    beside=(ADAPTER_CONFIG, f"*/{ADAPTER_CONFIG}"),
)  # fmt: skip
