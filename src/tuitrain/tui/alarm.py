"""Which alerts ring: those that arrive while somebody watches, each once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuitrain.events import Alert, Record


class Alarm:
    """Remembers, for each run on the screen, up to when its alerts are known, in the time of the run's own log.

    So neither old alerts of a run that is opened ring, nor those of history that is read later, nor those of a log
    that is read again.
    """

    def __init__(self) -> None:
        self._known_until: dict[int, float] = {}

    def forget(self) -> None:
        """Other runs are on the screen now."""
        self._known_until.clear()

    def hear(self, index: int, records: Sequence[Record], *, loaded: bool, last_time: float | None) -> list[Alert]:
        """The alerts among new records of the index-th run that ring. Those that only inform do not.

        loaded: whether the log has been read to its end once; last_time: the newest time in it.
        """
        if index not in self._known_until:
            if loaded:
                self._known_until[index] = -math.inf if last_time is None else last_time
            return []
        until = self._known_until[index]
        found = [
            record for record in records if isinstance(record, Alert) and record.time > until and record.level != "info"
        ]
        self._known_until[index] = max([until, *(alert.time for alert in found)])
        return found
