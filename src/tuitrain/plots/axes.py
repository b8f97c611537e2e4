"""Axes that stand still: ranges that change seldom and by round steps, ticks, and their labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tuitrain.analysis.limits import SMALLEST

XAxis = Literal["step", "tokens", "time", "clock", "flops"]
X_AXES: tuple[XAxis, ...] = ("step", "tokens", "time", "clock", "flops")
X_TITLES: dict[XAxis, str] = {
    "step": "step",
    "tokens": "tokens",
    "time": "training time",
    "clock": "clock",
    "flops": "compute, FLOP",
}

_TIME_STEPS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
    86400, 172800, 432000, 864000, 1728000,
)  # fmt: skip
_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_LEAST_STEP = 1e-5
"""Of the mantissa of a label: finer ticks differ by the rounding of floating-point numbers alone."""
_MOST_PLAIN = 1e15
"""From here on labels have a power of ten."""
LEAST_SHARE = 1e-9
"""The smallest range, as a share of its largest value: beyond it the numbers have no more digits."""
_TIME_SUFFIXES = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True)
class Range:
    """An interval of an axis, low < high."""

    low: float
    high: float


@dataclass(frozen=True)
class Axes:
    """Both ranges of a chart. A logarithmic y range is that of log10(y)."""

    x: Range
    y: Range


def round_step(span: float, ticks: int) -> float:
    """The smallest of 1, 2, 2.5 or 5 times a power of ten that needs at most `ticks` steps for the span."""
    rough = span / max(ticks, 1)
    if not 0 < rough < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))


def time_step(span: float, ticks: int) -> float:
    """The smallest round number of seconds, minutes, hours or days that needs at most `ticks` steps."""
    rough = span / max(ticks, 1)
    if rough < 1:
        return round_step(span, ticks)
    return next((step for step in _TIME_STEPS if step >= rough), 86400 * round_step(span / 86400, ticks))


def grown(previous: Range | None, low: float, high: float, *, steady: bool = True, axis: XAxis = "step") -> Range:
    """The x range for data from low to high.

    steady: the data still grow, so the range ends at the next round number and only changes when they pass it.
    """
    if previous is not None and previous.low <= low and high <= previous.high and steady:
        return previous
    if high - low <= LEAST_SHARE * max(abs(low), abs(high)):
        return Range(low, low + max(1.0, LEAST_SHARE * abs(low)))
    low = 0.0 if 0 <= low < 0.2 * high else low
    if not steady:
        return Range(low, high)
    step = time_step(high - low, 10) if axis in ("time", "clock") else round_step(high - low, 10)
    return Range(low, max(math.ceil(high / step - 1e-9) * step, low + step))


def settled(previous: Range | None, low: float, high: float) -> Range:
    """The y range for data from low to high: kept until they leave it or fill less than 40 % of it."""
    if previous is not None and previous.low <= low and high <= previous.high:
        used = (high - low) / (previous.high - previous.low)
        if used >= 0.4:
            return previous
    if high - low <= LEAST_SHARE * max(abs(low), abs(high)):
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    step = round_step(high - low, 8)
    return Range(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)


def ticks(axis: Range, count: int, step: float | None = None) -> tuple[list[float], float]:
    """At most about `count` round positions in the range, and the step between them."""
    step = step or round_step(axis.high - axis.low, count)
    first, last = math.ceil(axis.low / step - 1e-6), math.floor(axis.high / step + 1e-6)
    return [index * step for index in range(first, last + 1)], step


def log_ticks(axis: Range, count: int) -> list[float]:
    """Positions (log10) of round values: decades, with 2 and 5 between them where there is room, or finer."""
    decades = axis.high - axis.low
    if decades >= count:
        return ticks(axis, count, float(math.ceil(decades / count)))[0]
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9)):
        found = _at(factors, axis)
        if len(found) >= min(count, 3):
            return found if len(found) <= count + 1 else found[:: math.ceil(len(found) / (count + 1))]
    low, high = 10**axis.low, 10**axis.high
    return [math.log10(value) for value in ticks(Range(low, high), count)[0] if value > 0]


def _at(factors: tuple[float, ...], axis: Range) -> list[float]:
    powers = range(math.floor(axis.low), math.ceil(axis.high) + 1)
    found = [power + math.log10(factor) for power in powers for factor in factors]
    return [position for position in found if axis.low - 1e-9 <= position <= axis.high + 1e-9]


def label(value: float, step: float) -> str:
    """A tick as short as its step allows: `2.5k`, `0.02`, `3e-4`."""
    if abs(value) <= max(step * 1e-6, SMALLEST):
        return "0"
    size = max(abs(value), step)
    for scale, suffix in _SUFFIXES:
        if _MOST_PLAIN > size >= scale:
            return _trim(value / scale, step / scale) + suffix
    if size < 0.01 or size >= _MOST_PLAIN:
        power = math.floor(math.log10(abs(value)) + 1e-9)
        mantissa = _trim(value / 10.0**power, max(step / 10.0**power, _LEAST_STEP))
        return f"{mantissa}e{power}"
    return _trim(value, step)


def labels(values: list[float], step: float) -> list[str]:
    """Labels of one axis, all with the same power of ten where they are small."""
    largest = max((abs(value) for value in values), default=0.0)
    if 0 < largest < 0.01 or largest >= _MOST_PLAIN:
        power = math.floor(math.log10(largest) + 1e-9)
        return [
            "0" if abs(value) < step * 1e-6 else f"{_trim(value / 10.0**power, step / 10.0**power)}e{power}"
            for value in values
        ]
    scale, suffix = next(((s, x) for s, x in _SUFFIXES if largest >= s), (1.0, ""))
    digits = _digits(step / scale)
    return ["0" if abs(v) < step * 1e-6 else f"{v / scale:.{digits}f}{suffix}" for v in values]


def log_labels(positions: list[float], write: Callable[[float, float], str] = label) -> list[str]:
    """Labels of a logarithmic axis for positions given as log10, with as many digits as tell them all apart."""
    for digits in range(1, 6):
        texts = [write(10**position, 10.0 ** (math.floor(position + 1e-9) - digits)) for position in positions]
        if len(set(texts)) == len(texts):
            break
    return texts


def y_ticks(axis: Range, rows: int, log: bool) -> list[tuple[float, str]]:
    """Positions on a vertical axis with their labels, about one for every three rows of text."""
    count = max(2, rows // 3)
    if log:
        positions = log_ticks(axis, count)
        return list(zip(positions, log_labels(positions), strict=True))
    positions, step = ticks(axis, count)
    return list(zip(positions, labels(positions, step), strict=True))


def time_label(seconds: float, step: float) -> str:
    """A duration on an axis, as exact as its step: `30s`, `1m 15s`, `1h 30m`, `2d`."""
    if abs(seconds) < step * 1e-6:
        return "0"
    # The smallest unit that the step needs.
    least = next((size for size, _ in _TIME_SUFFIXES if step >= 10 * size or (step >= size and step % size == 0)), 1)
    rest = round(seconds / least) * least if step >= 1 else round(seconds, _digits(step))
    parts: list[tuple[float, str]] = []
    for size, suffix in _TIME_SUFFIXES:
        count = rest // size if size > 1 else rest
        rest -= count * size
        if parts or count:
            parts.append((count, suffix))
    while len(parts) > 1 and not parts[-1][0]:
        parts.pop()
    texts = [_trim(count, min(step, 1.0)) + suffix for count, suffix in parts]
    # All but the first have two digits.
    return " ".join([*texts[:1], *(f"{text:0>3}" for text in texts[1:])]) or "0"


def _trim(value: float, step: float) -> str:
    text = f"{value:.{_digits(step)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _digits(step: float) -> int:
    """Decimals that tell two ticks apart: 1 for a step of 0.5, 2 for one of 0.25."""
    for digits in range(6):
        scaled = step * 10**digits
        if scaled >= 1 and (abs(scaled - round(scaled)) < 1e-6 or scaled >= 3):
            return digits
    return 6
