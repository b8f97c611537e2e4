"""Which alerts ring: those that arrive while somebody watches, each once."""

from __future__ import annotations

from collections.abc import Sequence

from tuitrain.events import Alert, Record


class Alarm:
    """Remembers which alerts of each run on the screen are known, so that those of a log that is read again are silent.

    Clocks are not asked: after one was set back, alerts would be taken for old ones.
    """

    def __init__(self) -> None:
        self._known: dict[int, set[tuple[object, ...]]] = {}
        self._loaded: set[int] = set()

    def forget(self) -> None:
        """Other runs are on the screen now."""
        self._known.clear()
        self._loaded.clear()

    def hear(self, index: int, records: Sequence[Record], *, loaded: bool) -> list[Alert]:
        """The alerts among new records of the index-th run that ring. Those that only inform do not.

        loaded: whether the log has been read to its end once; what was read until then is old.
        """
        known = self._known.setdefault(index, set())
        found: list[Alert] = []
        for record in records:
            if isinstance(record, Alert):
                told = record.time, record.code, record.step, record.message
                found += [] if told in known else [record]
                known.add(told)
        if index not in self._loaded:
            if loaded:
                self._loaded.add(index)
            return []
        return [alert for alert in found if alert.level != "info"]
