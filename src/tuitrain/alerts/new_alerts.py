"""Which alerts of a run are new to whoever looks at it."""

from __future__ import annotations

from collections.abc import Sequence

from tuitrain.events import Alert


class NewAlerts:
    """What was there before is kept, so that a log that is read again has no new ones.

    No clocks are compared: after one was set back, new alerts would look old.
    """

    def __init__(self) -> None:
        self._known: set[tuple[float, str, int | None, str]] = set()

    def add(self, recorded: Sequence[Alert], standing: Sequence[Alert]) -> list[Alert]:
        """Add alerts of the records, and those of how the run stands; returns the new ones."""
        alerts = {(each.time, each.code, each.step, each.message): each for each in recorded}
        # How long a silence lasts is in its message.
        alerts |= {(each.time, each.code, each.step, ""): each for each in standing}
        new = [alert for identity, alert in alerts.items() if identity not in self._known]
        self._known.update(alerts)
        return new
