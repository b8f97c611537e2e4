"""What a loop logs at a step, as lines of the log."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tuitrain.events import Eval, spell_out
from tuitrain.events.own_metrics import StepOrder
from tuitrain.own_loop.pace import Pace
from tuitrain.own_loop.values import flattened, number, readable_name, step_number
from tuitrain.readers.mapping import NameMapping, declared_axis, guessed

# Encoding a dict takes a tenth of the time that a `Step` with its twenty-five fields takes, half of them null.
_encode = msgspec.json.Encoder().encode
_COUNTS = frozenset({"tokens", "sequences", "grad_nonfinite", "slowest_rank"})
LogTarget = tuple[str, str | None, str | None, float]
"""The name of a metric, the field of ours that it is, of an evaluation on which split, and the factor to our unit."""


class Lines:
    """Sorts the metrics of a loop into fields of ours, evaluations and metrics of one's own.

    skipped: called with the name and the kind of a value that is no number.
    """

    def __init__(self, pace: Pace, skipped: Callable[[str, str], None]) -> None:
        self.pace = pace
        self._skipped = skipped
        self._mapping = NameMapping()
        self._targets: dict[Any, LogTarget] = {}
        self.axes: dict[str, str] = {}
        """Metrics, or patterns of their names with `*`, that are drawn over another metric."""
        self.new_axes: dict[str, str] = {}
        """Of those that were logged, by our keys, what is not in the log yet."""
        self._order = StepOrder()

    def of_step(
        self, data: Mapping[Any, Any], step: int, time: float, now: float
    ) -> tuple[list[bytes], dict[str, Any]]:
        """The lines of a step and of the evaluations among its metrics, and the numbers by their own names.

        time: in Unix seconds; now: in seconds of a clock that is never set.
        """
        numbers: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        own: dict[str, Any] = {}
        evaluated: dict[str, dict[str, Any]] = {}
        targets = self._targets
        for key, value in data.items():
            if type(value) is not float:
                if isinstance(value, Mapping):
                    return self.of_step(flattened(data), step, time, now)
                value = number(value)
                if value is None:
                    self._skipped(str(key), type(data[key]).__name__)
                    continue
            log_target = targets.get(key)
            name, field, split, factor = log_target if log_target is not None else self._target(key)
            numbers[name] = value
            if field is None:
                own[name] = value
            elif split is not None:
                evaluated.setdefault(split, {})[field] = value * factor
            elif field not in _COUNTS:
                fields[field] = value * factor
            elif (count := step_number(int(value) if math.isfinite(value) else value)) is not None:
                fields[field] = count
        lines: list[bytes] = []
        if fields or own:
            late = self._order.is_late(step, tuple(numbers))
            if not late:
                self.pace.add_to(fields, step, now)
            lines.append(_line("step", time, step, fields, own, {"late": True} if late else {}))
        for split, values in evaluated.items():
            self.pace.interrupt()
            lines.append(_line("eval", time, step, values, {}, {"split": split}))
        return lines, numbers

    def of_evaluation(self, data: Mapping[Any, Any], step: int, split: str, time: float) -> bytes:
        """The line of an evaluation on a split."""
        fields: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in flattened(data).items():
            given = number(value)
            if given is None:
                self._skipped(key, type(value).__name__)
                continue
            name, field = _evaluation_field(key)
            if field is None:
                own[name] = given
            elif field not in _COUNTS:
                fields[field] = given
            elif (count := step_number(given)) is not None:
                fields[field] = count
        self.pace.interrupt()
        return _line("eval", time, step, fields, own, {"split": split})

    def _target(self, key: Any) -> LogTarget:
        name = readable_name(key)
        target = self._mapping.target(name)
        ours = (None, None, 1.0) if target is None else (target.field, target.split, target.factor)
        self._targets[key] = (name, *ours)
        if (axis := declared_axis(self.axes, name)) is not None:
            over = self._mapping.target(axis)
            self.new_axes[name if target is None else target.key] = axis if over is None else over.key
        return self._targets[key]


def _evaluation_field(key: str) -> tuple[str, str | None]:
    """The name of a metric of an evaluation, and which of our fields it is, if any."""
    name = readable_name(key)
    if name in ("tokens", "sequences", "duration_ms", "perplexity", "bits_per_byte"):
        return name, name
    target = guessed(name)
    known = target is not None and target.field in Eval.__struct_fields__ and target.factor == 1
    return name, target.field if known and target is not None else None


def _line(
    kind: str, time: float, step: int, fields: dict[str, Any], own: dict[str, Any], more: dict[str, Any]
) -> bytes:
    record = {"type": kind, "time": time, "step": step, **more, **fields}
    if own:
        record["metrics"] = own
    total = sum(fields.values()) + sum(own.values())
    # A sum is finite only if each of its numbers is.
    return _encode(record if math.isfinite(total) else spell_out(record)) + b"\n"
