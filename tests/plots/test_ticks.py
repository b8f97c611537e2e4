"""Ticks and labels of axes, and the cells of a horizontal axis."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.plots.axes import X_AXES, Range, XAxis
from tuitrain.plots.ticks import log_labels, log_positions, time_label, y_ticks
from tuitrain.plots.x_scale import XScale


@pytest.mark.parametrize(("low", "high"), [(9.5e-4, 1.05e-3), (2.31, 2.33), (1000, 1040), (1e-4, 1)])
def test_labels_of_a_logarithmic_axis_differ(low: float, high: float) -> None:
    for count in (2, 4, 8, 12):
        positions = log_positions(Range(math.log10(low), math.log10(high)), count)
        written = log_labels(positions)
        assert len(set(written)) == len(written)
    x = XScale("step", Range(math.log10(low), math.log10(high)), 80, log=True).ticks()
    assert len({text for _, text in x}) == len(x)


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 900, 4, ["0", "250", "500", "750"]),
        (0, 10_000, 4, ["0", "2.5k", "5.0k", "7.5k", "10.0k"]),
        (0, 3e-4, 3, ["0", "1e-4", "2e-4", "3e-4"]),
        (0.4, 0.5, 2, ["0.40", "0.45", "0.50"]),
        (0, 2e9, 2, ["0", "1B", "2B"]),
        (985, 1000, 3, ["985", "990", "995", "1000"]),
    ],
)
def test_labels_are_short(low: float, high: float, count: int, expected: list[str]) -> None:
    assert [text for _, text in y_ticks(Range(low, high), count)] == expected


@pytest.mark.parametrize("log", [False, True])
@given(low=st.floats(1e-6, 1e6), width=st.floats(1e-4, 1e4), count=st.integers(1, 12))
def test_a_vertical_axis_shows_its_scale(log: bool, low: float, width: float, count: int) -> None:
    ends = Range(low, low * (1 + width))
    ticks = y_ticks(Range(math.log10(ends.low), math.log10(ends.high)) if log else ends, count, log)
    assert min(count + 1, 3) <= len(ticks) <= max(count + 1, 5)
    assert len({text for _, text in ticks}) == len(ticks)


def test_a_logarithmic_axis_over_a_narrow_range_has_exact_labels() -> None:
    shown = Range(math.log10(9.8), math.log10(10.9))
    assert [text for _, text in y_ticks(shown, 2, log=True)] == ["10", "10.25", "10.5", "10.75"]


def test_durations_are_labelled_in_days_hours_minutes_and_seconds() -> None:
    pairs = ((0, 60), (30, 10), (75, 15), (600, 300), (5400, 1800), (7200, 1800), (172800, 86400), (648000, 216000))
    assert [time_label(seconds, step) for seconds, step in pairs] == [
        "0", "30s", "1m 15s", "10m", "1h 30m", "2h", "2d", "7d 12h",
    ]  # fmt: skip
    assert [time_label(3600 + s, 15) for s in (0, 15, 75)] == ["1h", "1h 00m 15s", "1h 01m 15s"]
    assert [time_label(60 + s, 0.25) for s in (0, 0.25, 1.5)] == ["1m", "1m 0.25s", "1m 1.5s"]
    assert time_label(4567, 100) == "1h 16m 07s"


def test_log_ticks_are_round_values() -> None:
    assert [round(10**p, 6) for p in log_positions(Range(-4, 0), 5)] == [1e-4, 1e-3, 1e-2, 0.1, 1]
    assert len(log_positions(Range(math.log10(2.1), math.log10(4.9)), 4)) >= 2


@pytest.mark.parametrize("axis", X_AXES)
def test_values_and_cells_agree_on_every_axis(axis: XAxis) -> None:
    low = 1.75e9 if axis == "clock" else 3.0
    for log in (False, True):
        if log and axis == "clock":
            continue
        ends = Range(math.log10(low), math.log10(low * 900)) if log else Range(low, low + 5e4)
        scale = XScale(axis, ends, 57, log)
        assert [scale.column(scale.value_at(column)) for column in range(57)] == list(range(57))
        assert scale.ticks()
        columns = [column for column, _ in scale.ticks()]
        assert columns == sorted(columns)
        assert scale.column(low * (0.5 if axis != "clock" else 0.9)) == -1


def test_clock_ticks_are_round_in_local_time_across_a_change_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        # Daylight saving time ended at 01:00 UTC on 26 October 2025.
        begin = datetime(2025, 10, 25, 10, tzinfo=UTC).timestamp()
        ticks = XScale("clock", Range(begin, begin + 2 * 86400), 100).ticks()
        assert {text for _, text in ticks} <= {"18:00", "12:00", "06:00", "26 Oct", "27 Oct"}
        assert {"26 Oct", "27 Oct"} <= {text for _, text in ticks}
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
