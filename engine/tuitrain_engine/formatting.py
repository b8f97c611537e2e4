"""Numbers as people read them. Unknown is n/a."""

from __future__ import annotations

UNKNOWN = "n/a"


def number(value: float | None, spec: str) -> str:
    """A number in a format spec, or n/a."""
    return UNKNOWN if value is None else format(value, spec)


def si(value: float | None, unit: str = "") -> str:
    """Three digits and a decimal prefix: 33.5k, 1.83B; with a unit `6.10 MFLOP`, where 10⁹ is G and not B."""
    if value is None:
        return UNKNOWN
    gap = " " if unit else ""
    for limit, prefix in ((1e12, "T"), (1e9, "G" if unit else "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit * 0.9995:
            return f"{_three_digits(value / limit)}{gap}{prefix}{unit}"
    return f"{_three_digits(value)}{gap}{unit}"


def bytes_text(size: int) -> str:
    """A file size in decimal units."""
    return si(float(size), "B")


def milliseconds(value: float | None) -> str:
    """`61.2 ms`, `1.27 s`."""
    if value is None:
        return UNKNOWN
    return f"{_three_digits(value)} ms" if value < 999.5 else f"{_three_digits(value / 1e3)} s"


def _three_digits(value: float) -> str:
    size = abs(value)
    if size >= 99.95 or (size == round(size) and size < 10):
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"
