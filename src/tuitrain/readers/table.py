"""What tables of numbers have in common, whatever file they are in: the x axis, times, names of results."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuitrain.readers.mapping import guessed
from tuitrain.readers.model import Row, Source
from tuitrain.readers.text import as_float, number, seconds, unix_time

STEPS = (
    "step", "globalstep", "trainstep", "trainglobalstep", "trainerglobalstep", "trainingstep", "optimizerstep", "steps",
    "currentstep", "currentsteps", "totalsteps", "numupdates", "numupdate", "updatestep", "iteration", "iter", "iters",
    "iterations", "iternum", "niter", "numiters", "updates", "update", "nupdates", "batchidx", "batch", "it",
)  # fmt: skip
"""Names of the column for steps, letters and digits in lower case, the best first."""
EPOCHS = ("epoch", "epochs", "trainepoch", "currentepoch", "epochidx", "epochnum", "ep")
_WEAK = frozenset({"batch", "it", "update", "updates", "steps", "iters", "totalsteps", "epochs"})
"""Of both: words that other tables, or configurations, have as well."""
_NAMES = ("metric", "metric_name", "tag", "name", "key")
"""Fields with the name of a metric beside its `value`."""
_TIMES = frozenset({
    "time", "timestamp", "walltime", "wallclock", "createdat", "loggedat", "date", "datetime", "ts", "created", "at",
})  # fmt: skip
_RESULTS = frozenset({
    "loss", "losses", "acc", "accuracy", "ppl", "perplexity", "norm", "reward", "rewards", "return", "bleu", "rouge",
    "f1", "auc", "mae", "mse", "rmse", "error", "bpb", "bpc", "iou", "miou", "map", "precision", "recall", "entropy",
    "kl", "throughput", "nll", "wer", "cer", "elbo", "fid", "psnr", "ssim", "dice", "top1", "top5", "tflops", "mfu",
})  # fmt: skip
_LOSSES = frozenset({"loss", "losses"})
_OF_SETTINGS = frozenset({
    "weight", "weights", "coef", "coeff", "coefs", "coefficient", "coefficients", "factor", "factors", "fn",
    "function", "functions", "type", "types", "name", "names", "config", "reduction", "lambda", "lambdas", "alpha",
})  # fmt: skip
"""Words in names of the settings of a loss."""
EVALUATIONS = frozenset({"eval", "val", "valid", "validation", "evaluation", "evaluate", "validate", "dev", "test"})
"""Words for the splits that are not trained on."""
_QUALIFIERS = frozenset(
    {"step", "epoch", "avg", "mean", "ema", "train", "val", "valid", "eval", "test", "dev", "total"}
)
LARGEST_STEP = 2**53
_NAMES_KEPT = 8192
"""Of names that many files and records have in common."""
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^0-9A-Za-z]+")


@lru_cache(_NAMES_KEPT)
def plain(name: str) -> str:
    """A name by its letters and digits in lower case."""
    return re.sub(r"[^0-9a-z]", "", name.lower())


def axis_among(names: Iterable[str]) -> str | None:
    """The name that the x axis has: that of steps, else of epochs; None when there is neither."""
    by_plain = {plain(name): name for name in reversed(list(names))}
    return next((by_plain[each] for each in (*STEPS, *EPOCHS) if each in by_plain), None)


def is_time(name: str) -> bool:
    """Whether a column of this name can hold the time of each row."""
    return plain(name) in _TIMES


@lru_cache(_NAMES_KEPT)
def is_result(name: str) -> bool:
    """Whether a name is that of something which training measures; a setting such as `lr` or `batch_size` is none."""
    target = guessed(name)
    if target is not None and target.field not in ("lr", "tokens"):
        return True
    words = _words(re.sub(r"\(\w*\)", "", name))
    while len(words) > 1 and (words[-1] in _QUALIFIERS or words[-1].isdigit()):
        words.pop()
    return bool(words) and words[-1] in _RESULTS


def is_log(names: Sequence[str], rows: int) -> bool:
    """Whether names that hold numbers look like those of a training log rather than of other data.

    rows: how many rows have them; a single one may as well be a configuration.
    """
    axis = axis_among(names)
    if axis is None:
        return any(_is_loss(name) for name in names)
    others = [name for name in names if name != axis]
    if any(map(is_result, others)):
        return True
    return plain(axis) not in _WEAK and rows > 1 and any(not is_time(name) for name in others)


def _is_loss(name: str) -> bool:
    """Whether a name is that of a loss, not of a setting of one such as its weight."""
    words = _words(name)
    return not _LOSSES.isdisjoint(words) and _OF_SETTINGS.isdisjoint(words)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.split(name) if word]


class Positions:
    """The steps of rows: their x; from the first x on that is no whole number they are counted, one for each x."""

    def __init__(self) -> None:
        self._last = -1
        self._counted: dict[float, int] | None = None

    def of(self, x: float) -> int | None:
        """The step of a row at x; None: whatever is made of an x that is negative or beyond all measure."""
        if self._counted is None:
            if x == int(x):
                self._last = max(self._last, int(x))
                return int(x) if 0 <= x <= LARGEST_STEP else None
            self._counted = {}
        step = self._counted.get(x)
        if step is None:
            self._last += 1
            step = self._counted[x] = self._last
        return step

    def of_all(self, xs: Sequence[float]) -> list[int | None]:
        """The steps of rows that follow each other."""
        if self._counted is None and all(map(float.is_integer, xs)) and min(xs) >= 0 and max(xs) <= LARGEST_STEP:
            self._last = max(self._last, int(max(xs)))
            return list(map(int, xs))
        return list(map(self.of, xs))


class Records:
    """Turns records with names of their own into rows: numbers, numbers as texts, nested ones with joined names.

    axis: the name of the x axis; None: the first record that has a name for it decides. index: what the axis is called
    without one: the number of the row, from 0.
    """

    def __init__(self, index: str = "row", axis: str | None = None) -> None:
        self.axis = axis
        self._index = index
        self._count = 0
        self._x: float | None = None
        self._positions = Positions()

    @property
    def axis_name(self) -> str:
        """What the x axis is called."""
        return self.axis if self.axis is not None else self._index

    def row(self, record: Mapping[str, Any], prefix: str = "", rename: Callable[[str], str] | None = None) -> Row:
        """The row of a record; the values of one without its x belong to the x before.

        Raises ValueError with the reason for one without a position on the axis.
        """
        values = numbers_of(record)
        if self.axis is None and not self._count:
            self.axis = axis_among(values) or _nested_axis(values)
        if "value" in values:
            # A record for each value of each metric.
            name = next((record[key] for key in _NAMES if isinstance(record.get(key), str)), None)
            if name:
                values[name] = values.pop("value")
        time = self._time(record, values)
        x = float(self._count) if self.axis is None else values.pop(self.axis, self._x)
        if x is None or not math.isfinite(x):
            raise ValueError(f"it has no number as {self.axis!r}")
        self._count += 1
        self._x = x
        if prefix:
            values = {name if _says_evaluation(name) else f"{prefix}/{name}": value for name, value in values.items()}
        if rename is not None:
            values = {rename(name): value for name, value in values.items()}
        return Row(x, values, time, self._positions.of(x))

    def rows(self, record: Mapping[str, Any], prefix: str = "") -> list[Row]:
        """The row of a record as a list, which is empty for one without a number or a position on the axis."""
        try:
            row = self.row(record, prefix)
        except ValueError:
            return []
        return [row] if row.values else []

    def _time(self, record: Mapping[str, Any], values: dict[str, float]) -> float | None:
        """The time in a record, which is then no value."""
        for name, value in record.items():
            if is_time(name):
                time = unix_time(value) if isinstance(value, str) else seconds(values.get(name, 0.0))
                if time is not None:
                    values.pop(name, None)
                    return time
        return None


def _nested_axis(values: Mapping[str, float]) -> str | None:
    """The joined name that ends with that of steps, of a record which has them in a nested one: `data.step`.

    A fraction is none: `timing.step` is how long a step took.
    """
    by_end = {name.rpartition(".")[2]: name for name, value in reversed([*values.items()]) if value.is_integer()}
    axis = axis_among(by_end)
    return None if axis is None or plain(axis) in _WEAK or plain(axis) in EPOCHS else by_end[axis]


def numbers_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in a record, those of nested ones with joined names; a number may be written as a text."""
    values: dict[str, float] = {}
    for name, value in record.items():
        if type(value) is float:
            values[name] = value
        else:
            _collect(values, name, value)
    return values


def _collect(values: dict[str, float], name: str, value: Any, level: int = 0) -> None:
    """Add the numbers in a value under this name and, where it is nested, names that begin with it."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        values[name] = as_float(value)
    elif isinstance(value, str):
        if value[:1] in "+-.0123456789nNiI" and (parsed := number(value)) is not None:
            values[name] = parsed
    elif isinstance(value, Mapping) and level < 8:
        for key, inner in value.items():
            _collect(values, f"{name}.{key}", inner, level + 1)


def _says_evaluation(name: str) -> bool:
    """Whether a name says already that it belongs to an evaluation."""
    return re.split(r"[_/. ]", name.lower(), maxsplit=1)[0] in EVALUATIONS


def relative_name(root: Path, path: Path) -> str:
    """What a run at a path below `root` is called: its path from there; of the root itself, the folder's name."""
    return path.relative_to(root).as_posix() if path != root else path.resolve().name


def file_sources(form: str, root: Path, files: Iterable[Path]) -> list[Source]:
    """Each file as a run."""
    return [Source(form, file, relative_name(root, file), (file,)) for file in files]


def folder_sources(form: str, root: Path, files: Iterable[Path], by_path: bool = False) -> list[Source]:
    """Each folder that has such files as a run. by_path: its name is the path from the root, else the folder's own."""
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    return [
        Source(form, folder, relative_name(root, folder) if by_path else folder.resolve().name, tuple(each))
        for folder, each in folders.items()
    ]
