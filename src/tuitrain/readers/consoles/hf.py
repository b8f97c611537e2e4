"""The console of Hugging Face's Trainer: dict lines `{'loss': '3.903', …, 'epoch': '0.02'}` among progress bars."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from tuitrain.readers.consoles.lines import NUMBER, ConsoleParser, console_format, literal, time_of
from tuitrain.readers.model import Format, Probe, Row, Source
from tuitrain.readers.text import number

_FIELD = re.compile(rf"""(['"])((?:(?!\1).)+)\1: (['"]?)({NUMBER})\3(?=[,}}])""")
_BAR = re.compile(r"\s{0,99}\d{1,3}%\|[^|]*\| {0,9}(\d{1,15})/(\d{1,15}) \[")
_SETTING = re.compile(r"(?:^|[\s\]>|-])  (Num examples|Num Epochs|[A-Z][a-z]+ [\w ,.&()/]*?)\s+= ([\d,]+)\s*$")
_METRICS = re.compile(rb"""\{'(?:loss|eval_\w+|train_runtime)': [^\n{}]*'epoch': """)
_TRAINING = "loss"
_SUMMARY = "train_runtime"


class HfParser(ConsoleParser):
    """Reads the dict lines; x is the epoch, the only position in them.

    The step of a row comes from the training's progress bar, which may be a little behind: it is at least one more
    than that of the point before it. Without a bar it is the number of the point.
    """

    axis = "epoch"
    meanings: ClassVar = {"train_loss": ""}

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._bar = (0, 0)
        """The newest progress bar without a description: done, total."""
        self._steps = 0
        """The total of the training's bar; 0 while it is not known."""
        self._done = 0
        """Where the training's bar stands."""
        self._bar_seen = False
        """Whether the training's bar has been seen since the last point of the training."""
        self._points: list[tuple[float, int]] = []
        """Epoch and step of the points so far."""
        self._names: set[str] = set()
        """The metrics of the last point."""

    def items(self, line: str) -> Iterator[Row]:
        """A row of a dict line."""
        if "%|" in line and (bar := _BAR.match(line)) is not None:
            self._bar = int(bar[1]), int(bar[2])
            if self._bar[1] == self._steps:
                self._done, self._bar_seen = self._bar[0], True
        at = max(line.find("{'"), line.find('{"'))
        if at < 0:
            if " = " in line and (match := _SETTING.search(line)) is not None:
                self.info.hyperparameters[match[1]] = literal(match[2].replace(",", ""))
            return
        values = _values(line[at:])
        epoch = values.pop("epoch", None)
        if epoch is None or not values:
            return
        if _SUMMARY in values:
            self.info.ending = "completed"
            return
        if _TRAINING in values:
            self.info.ending = "interrupted"
            if not self._bar_seen:
                # The bar before the first point is the training's; another one is that of another session.
                self._done, self._steps = self._bar
                self.info.total_steps = self._steps or None
            self._bar_seen = False
        yield Row(epoch, values, time_of(line[:at]), self._step(epoch, values))

    def _step(self, epoch: float, values: dict[str, float]) -> int:
        """The step of a point; that of the last one where this is only more of it."""
        points = self._points
        if points and epoch < points[-1][0]:
            # The training was resumed: the points from here on are void.
            del points[bisect_left(points, (epoch, 0)) :]
        elif points and epoch == points[-1][0] and self._names.isdisjoint(values):
            self._names |= values.keys()
            return points[-1][1]
        step = max(self._done, points[-1][1] + 1 if points else 0)
        points.append((epoch, step))
        self._names = set(values)
        return step


def _values(text: str) -> dict[str, float]:
    values = {}
    for _, name, _, digits in _FIELD.findall(text):
        value = number(digits)
        if value is not None:
            values[name] = value
    return values


def _matches(probe: Probe) -> bool:
    return b"epoch" in probe.head and _METRICS.search(probe.head) is not None


def _sources(root: Path, files: Sequence[Path]) -> Iterator[Source]:
    """A console is called as its file, without the ending where that is no other's name."""
    stems = [file.with_suffix("") for file in files]
    for file, stem in zip(files, stems, strict=True):
        name = stem if stems.count(stem) == 1 and stem.name else file
        yield Source(FORMAT.name, file, name.relative_to(root).as_posix(), (file,))


FORMAT: Format = console_format(
    "hf-console", "Hugging Face Trainer's console", HfParser, _matches, "python run_clm.py … 2>&1 | tuitrain watch -",
    sources=_sources,
)  # fmt: skip
