"""Values as text: counts, rates, durations, sizes, shares, exact numbers, values of a configuration."""

from __future__ import annotations

import math
import time
from typing import Any

from tuitrain.accounting.pace import MOST_SECONDS
from tuitrain.accounting.pace import duration_text as duration
from tuitrain.events import usable_time

__all__ = ["duration"]

UNKNOWN = "n/a"
_MOST_PLAIN = 1e15
"""From here on numbers have a power of ten."""

_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def count(value: float) -> str:
    """Three significant digits with k, M, B or T: `81.7 B`, `412 k`, `950`; `9.22e18` past 1000 T."""
    if abs(value) > _MOST_PLAIN:
        return scientific(value)
    for scale, suffix in _SCALES:
        # 999,950 is 1.00 M, not 1,000 k: the boundary is where three digits would round up.
        if abs(value) >= scale * 0.9995:
            return f"{_three_digits(value / scale)} {suffix}"
    return f"{value:.0f}"


def with_minus(text: str) -> str:
    """A number as text with the sign of minus that tables, sentences and charts have: `−0.5`, `−1.00e-4`."""
    return f"−{text[1:]}" if text.startswith("-") else text


def moment(seconds: float, pattern: str) -> str:
    """A moment in local time, written as strftime does; `n/a` for a number that is no Unix time."""
    return time.strftime(pattern, time.localtime(seconds)) if usable_time(seconds) else UNKNOWN


def rate(value: float) -> str:
    """Tokens per second: `412 k tok/s`."""
    return f"{count(value)} tok/s"


def flop(value: float) -> str:
    """FLOPs take SI prefixes, a thousand million is giga and not billion: `10.3 GFLOP`."""
    number, _, prefix = count(value).replace("B", "G").partition(" ")
    return f"{number} {prefix}FLOP"


def compute(value: float) -> str:
    """The FLOPs of a whole run, which papers give as powers of ten: `2.65e11 FLOP`."""
    return f"{scientific(value)} FLOP"


def hours(value: float) -> str:
    """GPU-hours: `12.3 h`, `2.03e-4 h`."""
    return f"{exact(value, 3)} h"


def kilowatt_hours(value: float) -> str:
    """Energy: `1.75 kWh`."""
    return f"{exact(value, 3)} kWh"


def percent(value: float) -> str:
    """A share of 1 as per cent: `47.2 %`."""
    return f"{100 * value:.1f} %"


def progress(fraction: float) -> str:
    """A share of work as per cent, which is 100 % only when all is done."""
    return percent(fraction if fraction == 1 else min(max(fraction, 0.0), 0.999))


def exact(value: float, digits: int = 5) -> str:
    """A number with so many significant digits: `2.3141`, `412,345`, `2.9131e-4`."""
    if not math.isfinite(value):
        return with_minus(str(value))
    if abs(value) >= _MOST_PLAIN or 0 < abs(value) < 1e-3:
        return with_minus(scientific(value, digits))
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return with_minus(f"{value:,.{decimals}f}")


def plain(value: float) -> str:
    """A number of unknown kind: a whole one as such, another with at most four significant digits."""
    if math.isfinite(value) and value == int(value) and abs(value) < _MOST_PLAIN:
        return f"{value:,.0f}"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e4 else exact(value)


def scientific(value: float, digits: int = 3) -> str:
    """Significant digits and a power of ten: `3.00e-4`; `inf`, `-inf` and `nan` as they are."""
    if not math.isfinite(value):
        return str(value)
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(power)}" if value else "0"


def loss(value: float, decimals: int = 4) -> str:
    """A loss: `2.3140`; one below a thousandth, as of a regression, keeps its digits: `7.81e-7`."""
    return scientific(value) if 0 < abs(value) < 1e-3 else f"{value:.{decimals}f}"


def milliseconds(value: float) -> str:
    """A duration given in milliseconds: `1.27 s`, `84.2 ms`."""
    return f"{_three_digits(value / 1000)} s" if value >= 1000 else f"{_three_digits(value)} ms"


def gigabytes(value: float) -> str:
    """GB of 10⁹ bytes: `63.1 GB`, `0.48 GB`."""
    return f"{value:.1f} GB" if value >= 10 else f"{value:.2f} GB"


def amount(value: float | None, unit: str, digits: int = 0) -> str:
    """A number with its unit: `412 W`; `n/a` for None."""
    return UNKNOWN if value is None else f"{value:.{digits}f} {unit}"


def part_of(value: float | None, most: float | None, unit: str, digits: int = 0) -> str:
    """A number beside its limit where that is known: `412 of 700 W`; `n/a` for None."""
    limit = "" if value is None or most is None else f"{value:.{digits}f} of "
    return limit + amount(value if not limit else most, unit, digits)


def traffic(megabytes_s: float | None) -> str:
    """A rate of reading or sending: `1.2 GB/s`, `35 MB/s`, `420 kB/s`; `n/a` for None."""
    if megabytes_s is None:
        return UNKNOWN
    if megabytes_s >= 1000:
        return f"{megabytes_s / 1000:.1f} GB/s"
    if megabytes_s >= 1:
        return f"{megabytes_s:.0f} MB/s" if megabytes_s >= 10 else f"{megabytes_s:.1f} MB/s"
    return f"{megabytes_s * 1000:.0f} kB/s"


def age(seconds: float) -> str:
    """The largest part of a duration: `3 d`, `2 h`, `5 m`, `now`."""
    if not abs(seconds) < MOST_SECONDS:
        return UNKNOWN
    whole = max(0, round(seconds))
    for size, suffix in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size} {suffix}"
    return f"{whole} s" if whole > 4 else "now"


def config_value(value: Any, *, separators: bool = False) -> str:
    """A value of a configuration, close to how TOML writes it; None is `unset`.

    separators: whether integers from 10,000 on have their thousands apart.
    """
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(config_value(item, separators=separators) for item in value)}]"
    return f"{value:,}" if separators and isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _three_digits(value: float) -> str:
    magnitude = abs(value)
    if magnitude >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if magnitude >= 9.995 else f"{value:.2f}"
