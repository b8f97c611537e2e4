"""Which alerts are shown as notices: those that are written while the app is open, each once."""

from __future__ import annotations

from collections.abc import Sequence

from tuitrain.events import Alert, Record


class Alarm:
    """Remembers the alerts of each run on the screen, so that those of a log that is read again are silent.

    It compares no clocks: after one was set back, new alerts would look old.
    """

    def __init__(self) -> None:
        self._before: dict[int, set[tuple[object, ...]]] = {}
        self._loaded: set[int] = set()

    def clear(self) -> None:
        """Start anew, as for other runs."""
        self._before.clear()
        self._loaded.clear()

    def new_alerts(self, index: int, records: Sequence[Record], *, loaded: bool) -> list[Alert]:
        """The alerts among new records of the index-th run that ring. Those that only inform do not.

        loaded: whether the log has been read to its end once; what was read until then is old.
        """
        before = self._before.setdefault(index, set())
        alerts: list[Alert] = []
        for record in records:
            if isinstance(record, Alert):
                identity = record.time, record.code, record.step, record.message
                alerts += [] if identity in before else [record]
                before.add(identity)
        if index not in self._loaded:
            if loaded:
                self._loaded.add(index)
            return []
        return [alert for alert in alerts if alert.level != "info"]
