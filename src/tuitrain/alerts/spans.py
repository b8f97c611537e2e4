"""Lengths of time in a rule: `500 steps`, `20 records`, `10 min`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Unit = Literal["steps", "records", "seconds"]
_UNITS: dict[str, tuple[Unit, float]] = {
    "step": ("steps", 1), "record": ("records", 1), "reading": ("records", 1), "evaluation": ("records", 1),
    "eval": ("records", 1), "s": ("seconds", 1), "sec": ("seconds", 1), "second": ("seconds", 1),
    "min": ("seconds", 60), "minute": ("seconds", 60), "h": ("seconds", 3600), "hour": ("seconds", 3600),
    "d": ("seconds", 86400), "day": ("seconds", 86400),
}  # fmt: skip
_SPAN = re.compile(r"(?P<amount>\d[\d,_]*(?:\.\d+)?)\s*(?P<unit>[a-z]+)", re.ASCII)
FORM = "a number with steps, records, evaluations, s, min, h or d, such as 500 steps"


@dataclass(frozen=True)
class Span:
    """So many steps, records of the metric in question (or readings, or evaluations), or seconds of the log's clock."""

    amount: float
    unit: Unit


def parse_span(text: str) -> Span:
    """Raises ValueError with a sentence that names the text."""
    match = _SPAN.fullmatch(text.strip().lower())
    word = match["unit"] if match is not None else ""
    known = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    if match is None or known is None:
        raise ValueError(f"{text!r} is not a length: it should be {FORM}")
    unit, factor = known
    return Span(float(match["amount"].replace(",", "").replace("_", "")) * factor, unit)


class Cooldown:
    """Lets an alert pass unless the last one that passed is less than a span ago."""

    def __init__(self, span: str) -> None:
        self._span = parse_span(span)
        self._last: float | None = None

    def passes(self, records: int, step: float, time: float) -> bool:
        """Whether an alert now is one to give. records: how many of the metric there were so far."""
        now = {"records": float(records), "steps": step, "seconds": time}[self._span.unit]
        # A run that goes back to an earlier step, or a clock that is set, begins anew.
        if self._last is not None and 0 <= now - self._last < self._span.amount:
            return False
        self._last = now
        return True
