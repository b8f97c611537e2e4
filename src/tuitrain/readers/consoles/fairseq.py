"""fairseq's log with `--log-format json`: `date | INFO | train_inner | {"epoch": 1, "loss": "7.519", …}`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import ClassVar

from tuitrain.readers.consoles.lines import ConsoleParser, console_format, time_of
from tuitrain.readers.model import Format, Probe, Row
from tuitrain.readers.text import number

_LINE = re.compile(r"\| (\S+) \| (\{.*\})\s*$")
_METRICS = re.compile(rb'\| (?:train_inner|train|valid\S*) \| \{"epoch": \d+, ')
_POSITIONS = frozenset({"epoch", "update", "num_updates"})


class FairseqParser(ConsoleParser):
    """Reads the JSON of each line. Metrics of `train_inner` lines get that tag; those of an epoch have their own."""

    axis = "num_updates"
    meanings: ClassVar = {
        "train_inner/loss": "loss", "train_loss": "", "valid_loss": "val_loss", "valid_ppl": "val_perplexity",
        "train_inner/lr": "lr", "train_inner/gnorm": "grad_norm", "train_inner/wps": "tokens_per_sec",
        "train_ppl": "", "train_lr": "", "train_gnorm": "", "train_wps": "", "valid_wps": "",
    }  # fmt: skip

    def items(self, line: str) -> Iterator[Row]:
        """A row of a line with JSON in it."""
        match = _LINE.search(line) if '{"epoch"' in line else None
        if match is None:
            if "| done training in " in line:
                self.info.ending = "completed"
            return
        tag = match[1]
        try:
            record = json.loads(match[2])
        except (ValueError, RecursionError):
            return
        x, values = None, {}
        for name, given in record.items():
            value = number(given) if isinstance(given, str) else given
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            bare = name.removeprefix(f"{tag}_")
            if bare == "num_updates":
                x = float(value)
            elif bare not in _POSITIONS:
                values[name if bare != name else f"{tag}/{name}"] = float(value)
        if x is not None and values:
            self.info.ending = None
            yield Row(x, values, time_of(line))


def _matches(probe: Probe) -> bool:
    return b'| {"epoch": ' in probe.head and _METRICS.search(probe.head) is not None


FORMAT: Format = console_format(
    "fairseq-json", "fairseq's JSON log", FairseqParser, _matches, "fairseq-train … 2>&1 | tuitrain watch -"
)
