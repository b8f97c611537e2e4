"""Ticks of axes and their labels: round values, as short as their step allows. Screens and figures use the same."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from tuitrain.analysis.limits import SMALLEST
from tuitrain.analysis.units import with_minus
from tuitrain.plots.axes import PlotAxis, Range

Tick = tuple[float, str]
"""A position, as the axis holds it (log10 on a logarithmic axis), and its label."""

_DAY = 86400
_TIME_STEPS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
    86400, 172800, 432000, 864000, 1728000,
)  # fmt: skip
_TIME_SUFFIXES = ((_DAY, "d"), (3600, "h"), (60, "m"), (1, "s"))
_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_SMALLEST_STEP = 1e-5
"""Of the mantissa of a label: finer ticks differ by the rounding of floating-point numbers alone."""
_LARGEST_PLAIN = 1e15
"""From here on labels have a power of ten."""
_MOST_DECIMALS = 2
"""Of a label with a suffix; an axis whose ticks differ by less has the next smaller suffix or none."""
_MORE_STEPS = 6
"""Than were asked for, on an axis of which round values are rare."""
_LOG_FACTORS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9))


def x_ticks(axis: PlotAxis, shown: Range, count: int, log: bool = False) -> list[Tick]:
    """About `count` ticks of a horizontal axis, from left to right."""
    if log:
        positions = log_positions(shown, count)
        return list(zip(positions, log_labels(positions, _writer(axis)), strict=True))
    if axis == "clock":
        return _clock_ticks(shown, count)
    step = time_step(shown.span, count) if axis == "time" else round_step(shown.span, count)
    if axis in ("step", "tokens") and (step < 1 or step == 2.5):
        step = math.ceil(step)
    return [(value, _writer(axis)(value, step)) for value in positions_at(shown, step)]


def y_ticks(shown: Range, count: int, log: bool = False) -> list[Tick]:
    """About `count` ticks of a vertical axis, from the lowest.

    They show the scale: there are three or more, on an axis with room for one only two or more.
    """
    for steps in range(count, count + _MORE_STEPS):
        step = round_step(shown.span, steps)
        positions = log_positions(shown, steps) if log else positions_at(shown, step)
        if len(positions) >= min(count + 1, 3):
            break
    return list(zip(positions, log_labels(positions) if log else labels(positions, step), strict=True))


def x_text(axis: PlotAxis, value: float, span: float) -> str:
    """A value in full: `12,340`, `1h 04m 12s`, `14:03:22`, `3.214e18`. span: of the axis, in its unit."""
    match axis:
        case "clock":
            return time.strftime("%H:%M:%S" if span < _DAY else "%-d %b %H:%M:%S", time.localtime(value))
        case "time":
            return _duration(value)
        case "step" | "tokens":
            return f"{value:,.0f}"
        case _:
            return f"{value:.4g}"


def range_text(axis: PlotAxis, values: Range) -> str:
    """A range given in the unit of its axis, in short: `1.2k–3.4k`."""
    if axis == "clock":
        return f"{x_text(axis, values.low, values.span)}–{x_text(axis, values.high, values.span)}"
    step = 10.0 ** math.floor(math.log10(max(values.span, 1e-300)) - 1)
    return f"{_writer(axis)(values.low, step)}–{_writer(axis)(values.high, step)}"


def round_step(span: float, count: int) -> float:
    """The smallest of 1, 2, 2.5 or 5 times a power of ten that needs at most `count` steps for the span."""
    rough = span / max(count, 1)
    if not 0 < rough < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))


def time_step(span: float, count: int) -> float:
    """The smallest round number of seconds, minutes, hours or days that needs at most `count` steps."""
    rough = span / max(count, 1)
    if rough < 1:
        return round_step(span, count)
    return next((step for step in _TIME_STEPS if step >= rough), _DAY * round_step(span / _DAY, count))


def positions_at(shown: Range, step: float) -> list[float]:
    """The multiples of a step in the range."""
    first, last = math.ceil(shown.low / step - 1e-6), math.floor(shown.high / step + 1e-6)
    return [index * step for index in range(first, last + 1)]


def log_positions(shown: Range, count: int) -> list[float]:
    """Positions (log10) of round values: decades, with 2 and 5 between them where there is room, or finer."""
    if shown.span >= count:
        return positions_at(shown, float(math.ceil(shown.span / count)))
    powers = range(math.floor(shown.low), math.ceil(shown.high) + 1)
    for factors in _LOG_FACTORS:
        every = [power + math.log10(factor) for power in powers for factor in factors]
        positions = [position for position in every if shown.low - 1e-9 <= position <= shown.high + 1e-9]
        if len(positions) >= min(count, 3):
            return positions if len(positions) <= count + 1 else positions[:: math.ceil(len(positions) / (count + 1))]
    values = shown.values(log=True)
    return [math.log10(value) for value in positions_at(values, round_step(values.span, count)) if value > 0]


def label(value: float, step: float) -> str:
    """A tick as short as its step allows: `2.5k`, `0.02`, `3e-4`."""
    if abs(value) <= max(step * 1e-6, SMALLEST):
        return "0"
    size = max(abs(value), step)
    for scale, suffix in _SUFFIXES:
        if _LARGEST_PLAIN > size >= scale:
            return _trim(value / scale, step / scale) + suffix
    if size < 0.01 or size >= _LARGEST_PLAIN:
        power = math.floor(math.log10(abs(value)) + 1e-9)
        mantissa = _trim(value / 10.0**power, max(step / 10.0**power, _SMALLEST_STEP))
        return f"{mantissa}e{power}"
    return _trim(value, step)


def labels(values: list[float], step: float) -> list[str]:
    """Labels of one axis, all with the same power of ten where they are small."""
    largest = max((abs(value) for value in values), default=0.0)
    if 0 < largest < 0.01 or largest >= _LARGEST_PLAIN:
        power = math.floor(math.log10(largest) + 1e-9)
        return [
            "0" if abs(value) < step * 1e-6 else f"{_trim(value / 10.0**power, step / 10.0**power)}e{power}"
            for value in values
        ]
    scales = [(s, x) for s, x in (*_SUFFIXES, (1.0, "")) if largest >= s] or [(1.0, "")]
    # 1000 and 995 rather than 1.000k and 0.995k.
    scale, suffix = next((each for each in scales if _digits(step / each[0]) <= _MOST_DECIMALS), scales[-1])
    digits = _digits(step / scale)
    return ["0" if abs(v) < step * 1e-6 else with_minus(f"{v / scale:.{digits}f}{suffix}") for v in values]


def log_labels(positions: list[float], write: Callable[[float, float], str] = label) -> list[str]:
    """Labels of a logarithmic axis for round values given as log10, with the digits that the value with most has."""
    for digits in range(1, 9):
        steps = [10.0 ** (math.floor(position + 1e-9) - digits) for position in positions]
        counts = [10**position / step for position, step in zip(positions, steps, strict=True)]
        if all(abs(count - round(count)) < 1e-6 * count for count in counts):
            break
    return [write(10**position, step) for position, step in zip(positions, steps, strict=True)]


def time_label(seconds: float, step: float) -> str:
    """A duration on an axis, as exact as its step: `30s`, `1m 15s`, `1h 30m`, `2d`."""
    if abs(seconds) < step * 1e-6:
        return "0"
    # The smallest unit that the step needs.
    unit = next((size for size, _ in _TIME_SUFFIXES if step >= 10 * size or (step >= size and step % size == 0)), 1)
    rest = round(seconds / unit) * unit if step >= 1 else round(seconds, _digits(step))
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
    text = with_minus(f"{value:.{_digits(step)}f}")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _digits(step: float) -> int:
    """Decimals by which two ticks differ: 1 for a step of 0.5, 2 for one of 0.25."""
    for digits in range(9):
        scaled = step * 10**digits
        if scaled >= 1 and (abs(scaled - round(scaled)) < 1e-6 or scaled >= 3):
            return digits
    return 9


def _writer(axis: PlotAxis) -> Callable[[float, float], str]:
    return time_label if axis == "time" else label


def _clock_ticks(shown: Range, count: int) -> list[Tick]:
    """Round local times; midnights carry the date."""
    # Labels have whole seconds.
    step = max(time_step(shown.span, count), 1.0)
    ticks = []
    for index in range(math.floor(shown.low / step) - 1, math.ceil(shown.high / step) + 2):
        # Round in local time: 6 h are 00:00, 06:00 … here and not in Greenwich, also after the clocks were changed.
        at = index * step - _utc_offset(index * step)
        at = index * step - _utc_offset(at) if step >= 60 else index * step
        if shown.low <= at <= shown.high:
            local = time.localtime(at)
            midnight = not (local.tm_hour or local.tm_min or local.tm_sec)
            pattern = "%-d %b" if midnight or step >= _DAY else "%H:%M" if step >= 60 else "%H:%M:%S"
            ticks.append((at, time.strftime(pattern, local)))
    return ticks


def _utc_offset(at: float) -> float:
    return float(time.localtime(at).tm_gmtoff)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < _DAY:
        return f"{whole // 3600}h {whole // 60 % 60:02d}m {whole % 60:02d}s"
    return f"{whole // _DAY}d {whole // 3600 % 24:02d}h {whole // 60 % 60:02d}m"
