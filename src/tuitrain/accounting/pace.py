"""The remaining time of a run, and durations as text: for the engine's console, the dashboard and the commands."""

from __future__ import annotations

from collections.abc import Sequence

RECENT_RECORDS = 100
"""The pace is computed over this many `step` records of the newest attempt."""

MOST_SECONDS = 1e11
"""About three thousand years: a longer duration comes from a wrong clock."""


def seconds_left(
    missing: float, times: Sequence[float], done: Sequence[float], seconds_each: float | None
) -> float | None:
    """Seconds until `missing` more units (steps, tokens) are done; None is unknown.

    At the pace between the first and the last of these records: their Unix seconds, and the units done by then. Their
    clock counts and not their step times, since evaluations and checkpoints take time too. Where the records tell no
    pace, at seconds_each for a unit.
    """
    if missing <= 0:
        return 0.0
    if len(times) >= 2:
        seconds, units = times[-1] - times[0], done[-1] - done[0]
        if seconds > 0 and units > 0:
            return float(missing * seconds / units)
    return missing * seconds_each if seconds_each is not None and seconds_each > 0 else None


def duration_text(seconds: float | None) -> str:
    """The two largest parts of a duration: `1 d 04 h`, `3 m 20 s`, `12 s`; below 10 s two digits: `1.2 s`."""
    if seconds is None or not abs(seconds) < MOST_SECONDS:
        return "n/a"
    if 0 < round(seconds, 2) < 9.95:
        return f"{round(seconds, 2):.2g} s"
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours:02d} h"
    if hours:
        return f"{hours} h {minutes:02d} m"
    if minutes:
        return f"{minutes} m {whole % 60:02d} s"
    return f"{whole} s"
