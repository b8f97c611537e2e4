"""Metrics of one's own: what a log has besides the metrics that its records declare."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tuitrain.events import Eval, Step
from tuitrain.runs import FloatArray, RunHistory
from tuitrain.runs.columns import Columns, numeric_fields

_DIGITS = re.compile(r"(\d+)")


def own_metrics(histories: Iterable[RunHistory]) -> list[str]:
    """Their names in any of these logs, by groups: those before whose first slash the same stands are neighbours.

    Names without a slash come first; numbers in a name are in their order, so that `layer_2` is before `layer_10`.
    """
    steps, evals = numeric_fields(Step), {*numeric_fields(Step), *numeric_fields(Eval)}
    names = {
        name
        for history in histories
        for table, declared in ((history.steps, steps), (history.evals, evals))
        for name in table.keys
        if name not in declared
    }
    return sorted(names, key=_place)


def _place(name: str) -> tuple[object, ...]:
    group, slash, rest = name.partition("/")
    return (*((0, _ordered(name)) if not slash else (1, _ordered(group), _ordered(rest))), name)


def _ordered(text: str) -> list[tuple[int, str]]:
    # Texts and numbers alternate.
    parts = _DIGITS.split(text.casefold())
    return [(int(part[:18]), part) if place % 2 else (0, part) for place, part in enumerate(parts)]


def own_values(history: RunHistory, name: str) -> tuple[FloatArray, FloatArray]:
    """The steps and the values of one of them, in the order of the steps."""
    table = _table(history, name)
    rows, values = table.points(name)
    return table["step"][rows], values


def newest_own(history: RunHistory, name: str) -> float | None:
    """The newest value of one of them; None without any."""
    return _table(history, name).last(name)


def _table(history: RunHistory, name: str) -> Columns:
    return history.steps if history.steps.has(name) else history.evals
