"""Conditions on a metric in words: `reward < 0.1 for 500 steps`, `val_loss not lower for 5 evaluations`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from tuitrain.alerts.spans import Span, parse_span

_TESTS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_NAME = r'(?:"(?P<quoted>[^"]+)"|(?P<name>[^\s<>](?:[^<>]*?[^\s<>])??))'
_COMPARISON = re.compile(
    _NAME + r"\s*(?P<test><=|>=|==|!=|<|>)\s*(?P<value>[^\s<>=!]+)(?:\s+for\s+(?P<span>.+))?"
)  # fmt: skip
_PATIENCE = re.compile(
    _NAME + r"\s+not\s+(?P<direction>lower|higher)(?:\s+by\s+(?P<by>\S+))?\s+for\s+(?P<span>.+)"
)  # fmt: skip
FORM = "METRIC < NUMBER, METRIC > NUMBER for 500 steps, or METRIC not lower for 5 evaluations"


@dataclass(frozen=True)
class Condition:
    """A comparison with a number, or, where `direction` is set, the absence of a better value.

    span: how long it has to hold; None: one value is enough. by: how much better a value has to be to count as such.
    """

    text: str
    metric: str
    test: str = ""
    value: float = math.nan
    direction: str = ""
    by: float = 0.0
    span: Span | None = None

    def holds(self, value: float) -> bool:
        """Whether a value compares so; nothing compares with nan, but `!=`."""
        return _TESTS[self.test](value, self.value)

    def improves(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best so far."""
        if not math.isfinite(value):
            return False
        if best is None:
            return True
        return value < best - self.by if self.direction == "lower" else value > best + self.by


def parse_condition(text: str) -> Condition:
    """Raises ValueError with a sentence that names what is wrong. A name with `<`, `>` or `not` stands in quotes."""
    words = text.strip()
    match = _PATIENCE.fullmatch(words) or _COMPARISON.fullmatch(words)
    if match is None:
        raise ValueError(f"{text!r} is not a condition: it should be {FORM}")
    parts = match.groupdict()
    span = parse_span(parts["span"]) if parts["span"] else None
    metric = parts["quoted"] or parts["name"]
    if "direction" in parts:
        by = _number(parts["by"]) if parts["by"] else 0.0
        if by < 0:
            raise ValueError(f"{text!r}: what a value has to be better by is not below 0")
        return Condition(words, metric, direction=parts["direction"], by=by, span=span)
    return Condition(words, metric, parts["test"], _number(parts["value"]), span=span)


def _number(text: str) -> float:
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if math.isnan(number):
        raise ValueError("no value is less or greater than nan; the rule nan reports values that are not numbers")
    return number / 100 if text.endswith("%") else number
