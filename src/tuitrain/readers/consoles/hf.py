"""The console of Hugging Face's Trainer: dict lines `{'loss': '3.903', …, 'epoch': '0.02'}` among progress bars."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from tuitrain.readers.consoles.lines import NUMBER, ConsoleParser, console_format, literal, time_of
from tuitrain.readers.model import Format, Probe, Reading, Row, Source
from tuitrain.readers.table import relative_name
from tuitrain.readers.text import number

_FIELD = re.compile(rf"""(['"])((?:(?!\1).){{1,200}})\1: (['"]?)({NUMBER})\3(?=[,}}])""")
_BAR = re.compile(r"\s{0,99}\d{1,3}%\|[^|]*\| {0,9}(\d{1,15})/(\d{1,15}) \[")
_SETTING = re.compile(r"(?:^|[\s\]>|-])  (Num examples|Num Epochs|[A-Z][a-z]+ [\w ,.&()/]*?)\s+= ([\d,]+)\s*$")
_METRICS = re.compile(rb"""\{'(?:loss|eval_\w+|train_runtime)': [^\n{}]{0,1000}'epoch': """)
_TRAINING = "loss"
_SUMMARY = "train_runtime"
_EXAMPLES, _EPOCHS, _TOTAL = "Num examples", "Num Epochs", "Total optimization steps"
_BATCH = "Total train batch size (w. parallel, distributed & accumulation)"
_ACCUMULATED = "Gradient Accumulation steps"


class HfParser(ConsoleParser):
    """Reads the dict lines; x is the epoch, the only position in them.

    The Trainer draws the progress bar of the training anew below each line: that bar shows the step. A line that Python
    has held back has no bar below it: its step is what its epoch gives, where the Trainer has printed the size of an
    epoch. Else it is where the bar stood before, which may be a little behind, and at least one more than that of the
    point before it; without a bar it is the number of the point.
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
        """Whether the training's bar was read since the last point of the training."""
        self._points: list[tuple[float, int]] = []
        """Epoch and step of the points so far."""
        self._names: set[str] = set()
        """The metrics of the last point."""
        self._read = Reading()
        """All that was read so far."""
        self._given = 0
        """How many of those items were returned."""
        self._above: Row | None = None
        """The row directly above what comes next."""

    def feed(self, data: bytes) -> Reading:
        """The items in the lines that these bytes complete. reset: a bar shows the step of a row that was returned."""
        self._read.reset = False
        reading = super().feed(data)
        self._read.broken += reading.broken
        self._given = len(self._read.items)
        return Reading([*self._read.items], [*self._read.broken], reset=True) if self._read.reset else reading

    def items(self, line: str) -> Iterator[Row]:
        """A row of a dict line."""
        if "%|" in line and (bar := _BAR.match(line)) is not None:
            self._at_bar(bar)
            self._bar = int(bar[1]), int(bar[2])
            if self._bar[1] == self._steps:
                self._done, self._bar_seen = self._bar[0], True
        elif line.strip():
            self._above = None
        at = max(line.find("{'"), line.find('{"'))
        if at < 0:
            if " = " in line and (match := _SETTING.search(line)) is not None:
                value = literal(match[2].replace(",", ""))
                self.info.hyperparameters[match[1]] = value
                if match[1] == _TOTAL and isinstance(value, int):
                    self.info.total_steps = value
            return
        values, rounded_by = _values(line[at:])
        epoch = values.pop("epoch", None)
        if epoch is None or not values:
            return
        if _SUMMARY in values:
            self.info.ending, self.info.summary = "completed", values
            return
        if _TRAINING in values:
            self.info.ending = "interrupted"
            if not self._bar_seen:
                # The bar before the first point is the training's; another one is that of another session.
                self._done, self._steps = self._bar
                self.info.total_steps = self._steps or self.info.total_steps
            self._bar_seen = False
        row = Row(epoch, values, time_of(line[:at]), self._step(epoch, rounded_by, values))
        self._read.items.append(row)
        self._above = row
        yield row

    def pending(self) -> Iterator[Row]:
        """None further. The line of a bar may have no end for long, but it says where the bar stands."""
        if self._above is not None:
            bar = _BAR.match(self._lines.partial.decode("utf-8", "replace"))
            if bar is not None:
                self._at_bar(bar)
        return iter(())

    def _at_bar(self, bar: re.Match[str]) -> None:
        """Correct the step of the row above a bar, where the bar is the training's."""
        row, done = self._above, int(bar[1])
        if row is None or int(bar[2]) != self._steps or done < self._done:
            return
        self._above = None
        before = self._points[-2][1] if len(self._points) > 1 else -1
        if done != row.step and done > before:
            # The row may be more of the point before it.
            row.step = done
            self._points[-1] = row.x, done
            self._read.reset = self._read.reset or len(self._read.items) == self._given

    def _step(self, epoch: float, rounded_by: float, values: dict[str, float]) -> int:
        """The step of a point, as far as it is known now; that of the last one where this is only more of it."""
        points = self._points
        if points and epoch < points[-1][0]:
            # The training was resumed: the points from here on are void.
            del points[bisect_left(points, (epoch, 0)) :]
        elif points and epoch == points[-1][0] and self._names.isdisjoint(values):
            self._names |= values.keys()
            return points[-1][1]
        step = self._of_epoch(epoch, rounded_by)
        step = max(self._done if step is None else step, points[-1][1] + 1 if points else 0)
        points.append((epoch, step))
        self._names = set(values)
        return step

    def _of_epoch(self, epoch: float, rounded_by: float) -> int | None:
        """The step at an epoch; None where the console does not say it, or the epoch is rounded too much.

        With n micro-batches an epoch and a of them a step, e epochs are e · n / a steps, and the last step of an epoch
        takes what is left (Trainer's `_inner_training_loop`).
        """
        settings = self.info.hyperparameters
        sizes = [settings.get(name) for name in (_EPOCHS, _TOTAL, _EXAMPLES, _BATCH, _ACCUMULATED)]
        epochs, total, examples, batch, accumulated = (each if isinstance(each, int) else 0 for each in sizes)
        if not batch or not accumulated or math.ceil(examples / batch) * epochs != total:
            # The training ends within an epoch, or what makes up one is counted otherwise.
            return None
        whole = math.floor(epoch + rounded_by)
        rate = math.ceil(examples * accumulated / batch) / accumulated
        part = (epoch - whole) * rate
        step = round(part)
        # The only whole number that is within the rounding.
        apart = abs(part - step)
        exact = apart <= rounded_by * rate + 1e-6 and 1 - apart > rounded_by * rate
        return whole * math.ceil(examples / batch) + step if exact else None


def _values(text: str) -> tuple[dict[str, float], float]:
    """The values of a dict line, and by how much its epoch is rounded at most."""
    values, rounded_by = {}, 0.0
    for _, name, quote, digits in _FIELD.findall(text):
        value = number(digits)
        if value is None:
            continue
        values[name] = value
        if name == "epoch" and quote:
            # Transformers 5 writes four digits.
            rounded_by = 0.5 * 10.0 ** (math.floor(math.log10(value)) - 3) if 0 < value < math.inf else 0.0
        elif name == "epoch":
            rounded_by = 0.005 if len(digits.partition(".")[2]) <= 2 else 0.0
    return values, rounded_by


def _matches(probe: Probe) -> bool:
    return b"epoch" in probe.head and _METRICS.search(probe.head) is not None


def _sources(root: Path, files: Sequence[Path]) -> Iterator[Source]:
    """A console is called as its file, without the ending where that is no other's name."""
    stems = [file.with_suffix("") for file in files]
    for file, stem in zip(files, stems, strict=True):
        name = stem if stems.count(stem) == 1 and stem.name else file
        yield Source(FORMAT.name, file, relative_name(root, name), (file,))


FORMAT: Format = console_format(
    "hf-console", "Hugging Face Trainer's console", HfParser, _matches, "python run_clm.py … 2>&1 | tuitrain watch -",
    sources=_sources,
)  # fmt: skip
