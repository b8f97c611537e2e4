"""The console of any other loop: lines with a step and names with numbers, and progress bars with such behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tuitrain.readers.consoles.lines import ConsoleParser, time_of
from tuitrain.readers.consoles.pairs import pairs
from tuitrain.readers.model import Item, Row
from tuitrain.readers.table import is_result

_LONGEST = 8 << 10
"""Characters of a line that may be one of metrics."""
_LONGEST_IN_BRACKETS = 200
_MOST_NAMES = 2000
_DIGIT = re.compile(r"\d")
_POSITION = re.compile(
    r"""(?<![\w/.\-])(?P<word>(?:global|train(?:ing)?|optim(?:izer)?)[_ ]?(?:step|iter(?:ation)?)s?"""
    r"""|num_updates|(?:time)?steps?|iter(?:ation)?s?|it|updates?|batch|epochs?|ep|train(?=:\s{0,9}\d{1,9}\s{1,9}\[))"""
    r"""(?:\((?:train|val|test)\))?['"]?\s{0,9}[:=#]?\s{0,9}[\[(]?\s{0,9}"""
    r"""(?P<count>\d[\d,]{0,18})(?P<part>\.\d{0,9})?(?:\s{0,9}(?:/|of)\s{0,9}(?P<total>\d[\d,]{0,18}))?(?!\w|\.\d|[:/-]\d|%)""",
    re.IGNORECASE,
)
_OF_TOTAL = re.compile(r"\[\s{0,9}(\d{1,15})\s{0,9}/\s{0,9}(\d{1,15})\s{0,9}(?:\(\s{0,9}[\d.]{1,9}%\))?\s{0,9}\]")
_OF_BATCHES = re.compile(r"(?<![\d.,])(\d{1,15})\s{0,9}/\s{0,9}(\d{1,15}) (?:batches|steps|iters|iterations)\b")
_BEFORE_PAIRS = re.compile(r"(?:^|[\s\]])\[(\d{1,15})\] (?=[A-Za-z][\w/.]{0,79}=)")
"""A position as the metric writers of clu, Flax and T5X print it: `logging_writer.py:48] [100] loss=2.5, …`."""
_EPOCH_AND_BATCH = re.compile(r"(?:^|\s)\[(\d{1,6}), {0,9}(\d{1,9})\] (?=[A-Za-z])")
"""As PyTorch's tutorial prints them: `[1,  2000] loss: 2.173`."""
_RAY = re.compile(r"\([\w.:]{1,80} pid=\d+(?:, ip=[\w.:]+)?\)\s*")
"""What Ray puts before each line of a worker."""
_LOGGED_BAR = re.compile(
    r"(?P<title>.{0,200}?)(?<![\d.])(?P<count>\d[\d.]{0,14})(?P<factor>[kM]?)it/(?P<total>\d[\d.]{0,14})(?P<of_total>[kM]?)it"
    r" rate:.{0,200}? postfix:(?P<rest>.*)"
)
"""A bar of tqdm-loggable, as of Levanter: `Progress on:train 12.0it/1.00kit rate:1.2it/s … postfix:loss=2.5`."""
_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6}
_BAR = re.compile(
    r"(?P<title>[^|]{0,200}?):? {0,9}\d{1,3}%\|[^|]*\| {0,9}(?P<count>\d{1,15})/(?P<total>\d{1,15}) ?"
    r"\[(?P<rest>[^\]]*)\]?"
)
_COUNTER = re.compile(r"(?P<title>.{0,200}?):? {0,9}(?<![\d.])(?P<count>\d{1,15})(?P<total>)it \[(?P<rest>[^\]]*)\]?")
_KERAS = re.compile(
    r"(?P<title>)\s{0,20}(?P<count>\d{1,15})/(?P<total>\d{1,15})\s(?:\[[=>.]*\]|[━ ]+\s\d|- \d)(?P<rest>.*)"
)
_BAR_TIMES = re.compile(r"[\d:?]+(?:<[\d:?]+)?(?:, *[\d.?]+ ?\w+/\w+)?,?")
_EPOCH_TITLE = re.compile(r"epoch\D{0,3}(\d+)", re.IGNORECASE)
_EVALUATION = re.compile(
    r"(?<![\w/])(val(?:id(?:ation|ate|ating)?)?|eval(?:uation|uate|uating)?|test(?:ing)?)(?![\w/])", re.I
)
_OF_EVALUATION = re.compile(
    r"\W{0,9}(?:val(?:id(?:ation)?)?|eval(?:uation)?|test)(?: (?:set|results?|metrics|epoch \d+))?\s{0,3}[:|-]", re.I
)
"""The beginning of a line whose values are all of an evaluation."""
_RESULTS = ("loss", "acc", "accuracy", "ppl", "perplexity", "bpb")
_NO_POSITION = frozenset({
    "max", "total", "num", "number", "of", "warmup", "per", "every", "save", "log", "decay", "each", "min", "n",
    "gradient", "accumulation", "accum", "for", "after", "last", "best", "in",
})  # fmt: skip
_RANKS = {"g": 0, "n": 0, "s": 1, "t": 1, "o": 1, "i": 2, "u": 2, "b": 2, "e": 4}
"""Which position counts where a line has several, by the first letter of its word: the lowest."""
_EPOCH, _BRACKETS = 4, 3


@dataclass
class _Counter:
    """One kind of position, which may begin anew in each epoch; what it then adds up to is x."""

    last: float = -1.0
    total: float | None = None
    epoch: float | None = None
    offset: float = 0.0
    offsets: dict[float, float] = field(default_factory=dict)

    def x(self, count: float, total: float | None, epoch: float | None) -> float:
        """The position over all epochs."""
        if epoch is not None and self.epoch is not None and epoch != self.epoch:
            if epoch < self.epoch:
                self.offset = self.offsets.get(epoch, 0.0)
            elif count <= self.last:
                self.offset += self.total if self.total is not None else self.last + (count == 0)
        elif epoch is None and total is not None and total == self.total == self.last and count < self.last:
            self.offset += total
        if epoch is not None:
            self.epoch = epoch
            self.offsets[epoch] = self.offset
        self.last, self.total = count, total
        return self.offset + count


class GenericParser(ConsoleParser):
    """Reads lines that name a step (or an iteration, an update, a batch, else an epoch) and numbers by their names.

    The position within an epoch is added up over the epochs where it begins anew in each. A line of an evaluation
    without a step belongs to the last one before it. Nothing says whether such a run ended.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._counters: dict[str, _Counter] = {}
        self._epoch: float | None = None
        """That of a line which says nothing else."""
        self._x: float | None = None
        """The last position that was no epoch."""
        self._fractions = 0
        """How many rows have been given of an axis of fractions of epochs."""
        self._names: set[str] = set()

    def items(self, line: str) -> Iterator[Item]:
        """A row of a line with numbers at a position."""
        if len(line) > _LONGEST or _DIGIT.search(line) is None:
            return
        if line.startswith("("):
            line = _RAY.sub("", line, count=1)
        if "it rate:" in line and (bar := _LOGGED_BAR.match(line)) is not None:
            row = self._of_logged_bar(bar)
        else:
            row = self._of_bar(line) if "%|" in line or "it [" in line or "/" in line[:24] else None
        if row is None:
            row = self._of_line(line)
        if row is not None:
            row.values = self._bounded(row.values)
            if row.values:
                yield row

    def _of_logged_bar(self, bar: re.Match[str]) -> Row | None:
        count, total = (
            round(float(bar[name]) * _FACTORS[bar[factor]])
            for name, factor in (("count", "factor"), ("total", "of_total"))
        )
        values = pairs(bar["rest"])
        if not values or _EVALUATION.search(bar["title"]) is not None:
            return None
        self._x = self._counted("bar", float(count), float(total), self._epoch)
        return Row(self._x, values)

    def _of_bar(self, line: str) -> Row | None:
        """A row of what a progress bar (tqdm's or Keras's) shows behind it, else of results in its title."""
        pattern = _BAR if "%|" in line else _COUNTER if "it [" in line else _KERAS
        # A title may have separators: `1|40|Loss: 2.5:  40%|`.
        bar = pattern.match(line) or pattern.match(line, line.rfind("|", 0, line.find("%|")) + 1)
        if bar is None:
            return None
        rest = _BAR_TIMES.sub("", bar["rest"], count=1) + " | " + line[bar.end() :]
        position = self._position(rest)
        title = bar["title"].strip(" \r\b")
        values = pairs(_POSITION.sub(" | ", rest))
        values = values or {name: value for name, value in pairs(title).items() if is_result(name)}
        if not values:
            return None
        evaluation = _EVALUATION.search(title)
        if evaluation is not None:
            x = self._x if self._x is not None else float(bar["count"])
            return Row(x, _of_split(values, evaluation[1]))
        if position is not None and position[0] < _BRACKETS:
            x = position[1]
        else:
            epoch = _EPOCH_TITLE.search(title)
            total = float(bar["total"]) if bar["total"] else None
            x = self._counted("bar", float(bar["count"]), total, float(epoch[1]) if epoch else self._epoch)
        self._x = x
        return Row(x, values)

    def _of_line(self, line: str) -> Row | None:
        position = self._position(line)
        if position is None:
            return self._of_evaluation(line)
        rank, x, rest = position
        values = pairs(rest)
        if not values:
            return None
        evaluation = _EVALUATION.search(rest)
        if evaluation is not None:
            values = _of_split(values, evaluation[1])
        step = None
        if rank < _EPOCH:
            self._x, self.info.axis = x, "step"
        elif self._x is not None:
            x = self._x
        else:
            self.info.axis = "epoch"
            if self._fractions or x != int(x):
                self._fractions += 1
                step = self._fractions
        return Row(x, values, time_of(line), step)

    def _of_evaluation(self, line: str) -> Row | None:
        """A row of a line that gives a result at no position, which is that of the last step."""
        if self._x is None or _EVALUATION.search(line) is None:
            return None
        start = _OF_EVALUATION.match(line)
        text = line if start is None else line[start.end() :]
        results = {name: value for name, value in pairs(text).items() if name.lower().endswith(_RESULTS)}
        if start is not None and (word := _EVALUATION.search(start[0])) is not None:
            values = _of_split(results, word[1])
        else:
            values = {name: value for name, value in results.items() if _EVALUATION.match(name)}
        return Row(self._x, values, time_of(line)) if values else None

    def _position(self, line: str) -> tuple[int, float, str] | None:
        """What counts as x of a line, how well it does (0 is best), and the line without its positions."""
        best: tuple[int, str, float, float | None] | None = None
        epoch = None
        pieces, end = [], 0
        for match in _POSITION.finditer(line):
            word = match["word"].lower()
            rank = _RANKS[word[0]] if word != "train" else _EPOCH
            part = match["part"] or ""
            before = line[: match.start()].rstrip().rpartition(" ")[2]
            if before.lower() in _NO_POSITION or (rank < _EPOCH and part.strip(".0")):
                continue
            count = float(match["count"].replace(",", "") + part)
            total = float(match["total"].replace(",", "")) if match["total"] else None
            if rank == _EPOCH:
                epoch = count
            if best is None or rank < best[0]:
                best = rank, word, count, total
            pieces.append(line[end : match.start()])
            end = match.end()
        if best is None and (both := _EPOCH_AND_BATCH.search(line)) is not None:
            epoch, best = float(both[1]), (_BRACKETS, "[,]", float(both[2]), None)
            pieces, end = [line[: both.start()]], both.end()
        elif best is None and (bare := _BEFORE_PAIRS.search(line)) is not None:
            best = _BRACKETS, "[]", float(bare[1]), None
            pieces, end = [line[: bare.start()]], bare.end()
        elif best is None or best[0] == _EPOCH:
            of_total = _OF_TOTAL.search(line, end) if "[" in line else None
            of_total = of_total or _OF_BATCHES.search(line, end)
            # A build prints `[1/4] c++ …` too, in long lines.
            if of_total is not None and (best is not None or len(line) < _LONGEST_IN_BRACKETS):
                best = _BRACKETS, "[", float(of_total[1]), float(of_total[2])
                pieces.append(line[end : of_total.start()])
                end = of_total.end()
        if best is None:
            return None
        rest = " | ".join([*pieces, line[end:].lstrip(" :,-")])
        rank, word, count, total = best
        evaluation = _EVALUATION.search(line) if rank == _BRACKETS and total is not None else None
        if evaluation is not None and self._x is not None and "train" not in line.lower():
            # It says how far the evaluation is.
            return rank, self._x, f"{rest} | {evaluation[0]}"
        if rank == _EPOCH:
            if not any(each.isalnum() for each in rest):
                self._epoch = count
            return rank, count, rest
        return rank, self._counted(word, count, total, epoch if epoch is not None else self._epoch), rest

    def _counted(self, kind: str, count: float, total: float | None, epoch: float | None) -> float:
        counter = self._counters.setdefault(kind, _Counter())
        x = counter.x(count, total, epoch)
        if total is not None and epoch is None and not counter.offset:
            self.info.total = total
        return x

    def _bounded(self, values: dict[str, float]) -> dict[str, float]:
        """The values without further names once there are very many: the log is of something else then."""
        if len(self._names) >= _MOST_NAMES:
            return {name: value for name, value in values.items() if name in self._names}
        self._names.update(values)
        return values


def _of_split(values: dict[str, float], word: str) -> dict[str, float]:
    """The values of a line that says it is of an evaluation, where their own names do not say so.

    A line that also has a value of the training says it of each value.
    """
    if any("train" in name.lower() for name in values):
        return values
    return {name if _EVALUATION.search(name) else f"{word.lower()}/{name}": value for name, value in values.items()}
