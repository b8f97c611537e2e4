"""Step time, throughput and MFU of a loop that only says which step it is at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitrain.readers.supplied import Supplied


class Pace:
    """Derives what the loop does not log itself from the times at which it logs its steps.

    supplied: facts such as tokens per step and FLOPs per token. A time in which the loop evaluated, sampled or saved is
    no step time.
    """

    def __init__(self, supplied: Supplied | None) -> None:
        self._supplied = supplied
        self._step, self._at, self._interrupted = -1, 0.0, False
        self.tokens: float | None = None
        """Cumulative, at the newest step."""

    def interrupt(self) -> None:
        """The loop does something else before its next step."""
        self._interrupted = True

    def add_to(self, fields: dict[str, float], step: int, now: float) -> None:
        """Add what follows to the values of a step, by our names; now: in seconds of a clock that is never set."""
        if step > self._step:
            steps, seconds = step - self._step, now - self._at
            if self._step >= 0 and not self._interrupted and seconds > 0:
                fields.setdefault("step_time_ms", seconds * 1000 / steps)
                tokens = fields.get("tokens")
                if tokens is not None and self.tokens is not None and tokens > self.tokens:
                    per_step = (tokens - self.tokens) / steps
                    fields.setdefault("tokens_per_sec", per_step / fields["step_time_ms"] * 1000)
            self._step, self._at, self._interrupted = step, now, False
        elif "tokens_per_sec" not in fields:
            self.tokens = fields.get("tokens", self.tokens)
            return
        if self._supplied is not None:
            self._supplied.add_to(step, fields)
        self.tokens = fields.get("tokens", self.tokens)
