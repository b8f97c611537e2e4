"""The console of nanoGPT's train.py: `iter 10: loss 2.1, time 120.55ms, mfu 40.12%`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from tuitrain.readers.consoles.lines import NUMBER, ConsoleParser, at_word, console_format, literal, values_of
from tuitrain.readers.model import Format, Probe, Row, Source
from tuitrain.readers.table import relative_name
from tuitrain.readers.text import as_float

_USUAL = re.compile(r"iter (\d+): loss (\d+\.?\d*), time (\d+\.?\d*)ms, mfu (-?\d+\.?\d*)%")
"""Nearly all lines: read quickly."""
_LLAMA2C = re.compile(r"(\d+) \| loss ([\d.]+|nan|inf) \| lr ([\d.e+-]+) \| ([\d.]+)ms \| mfu (-?[\d.]+)%")
"""A line of llama2.c's train.py, whose evaluations are nanoGPT's."""
_LINE = re.compile(r"(iter|step) (\d+): (?=(?:train )?loss )")
_FIELD = re.compile(rf"([A-Za-z][\w /.]{{0,80}}?):? ({NUMBER})(ms|s|%)?(?:, |\s*$)")
_SETTING = re.compile(r"\s*([A-Za-z_]\w*) = ([^#]+)")
_METRICS = re.compile(
    rb"(?:^|[\s\]:])(?:iter \d+: loss \S+, time |step \d+: train loss \S+, val loss "
    rb"|\d+ \| loss \S+ \| lr \S+ \| \S+ms \| mfu )"
)


class NanoGptParser(ConsoleParser):
    """Reads `iter` lines, `step` lines of evaluations and the parameters of the `Overriding:` lines.

    Without `max_iters` among them nothing says where the run ends.
    """

    meanings: ClassVar = {
        "loss": "loss", "train loss": "", "val loss": "val_loss", "time_ms": "step_time_ms", "mfu_percent": "mfu*0.01",
    }  # fmt: skip

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._in_settings = False

    def items(self, line: str) -> Iterable[Row]:
        """A row of an `iter` or `step` line."""
        usual = _USUAL.fullmatch(line)
        if usual is None:
            other = _LLAMA2C.fullmatch(line)
            return self._of_line(line) if other is None else self._of_llama2c(*map(float, other.groups()))
        iteration, loss, time_ms, mfu = map(float, usual.groups())
        self.reached(iteration)
        return (Row(iteration, {"loss": loss, "time_ms": time_ms, "mfu_percent": mfu}),)

    def _of_llama2c(self, iteration: float, loss: float, lr: float, time_ms: float, mfu: float) -> Iterable[Row]:
        self.reached(iteration)
        return (Row(iteration, {"loss": loss, "lr": lr, "time_ms": time_ms, "mfu_percent": mfu}),)

    def _of_line(self, line: str) -> Iterator[Row]:
        at = at_word(line, "iter ")
        match = _LINE.match(line, at) if at >= 0 else None
        if match is None:
            at = at_word(line, "step ")
            match = _LINE.match(line, at) if at >= 0 else None
        if match is None:
            self._read_setting(line)
            return
        values = values_of(_FIELD.findall(line, match.end()))
        if values:
            self._in_settings = False
            x = float(match[2])
            self.reached(x)
            yield Row(x, values)

    def _read_setting(self, line: str) -> None:
        """Take a parameter from `Overriding: NAME = VALUE`, or from the lines that follow `Overriding config with`."""
        at = line.find("Overriding")
        if at >= 0:
            self._in_settings = line.startswith("config with", at + 11)
            at += len("Overriding:")
        elif line.startswith("tokens per iteration"):
            self._in_settings = False
        match = _SETTING.match(line, max(at, 0)) if at >= 0 or self._in_settings else None
        if match is not None:
            self.info.hyperparameters[match[1]] = literal(match[2])
            if match[1] == "max_iters":
                total = literal(match[2])
                self.info.total = as_float(total) if isinstance(total, (int, float)) else None


def _matches(probe: Probe) -> bool:
    head = probe.head
    signs = (b": loss ", b": train loss ", b" | loss ")
    return probe.names_loss and any(sign in head for sign in signs) and _METRICS.search(head) is not None


def _sources(root: Path, files: Sequence[Path]) -> Iterator[Source]:
    """A log beside its checkpoint is called as their folder, which is nanoGPT's `out_dir`."""
    folders = [file.parent for file in files]
    for file in files:
        folder = file.parent
        if folders.count(folder) == 1 and (folder / "ckpt.pt").is_file():
            yield Source(FORMAT.name, folder, relative_name(root, folder), (file,))
        else:
            yield Source(FORMAT.name, file, relative_name(root, file), (file,))


FORMAT: Format = console_format(
    "nanogpt-console", "nanoGPT's console", NanoGptParser, _matches, "python train.py 2>&1 | tuitrain watch -",
    sources=_sources,
)  # fmt: skip
