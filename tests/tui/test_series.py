"""Curves that are kept up as a log grows: the same numbers as those computed from the whole, and bounded memory."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tuitrain.analysis.series import x_at_steps
from tuitrain.analysis.smoothing import smooth
from tuitrain.analysis.summary import summarize
from tuitrain.events import EventWriter, Run, Step
from tuitrain.plots.series import Detail, Part, RunSeries, read_closely
from tuitrain.runs import RunHistory

WEIGHTS = (0.6, 0.9, 0.97, 0.99)


def records(first: int, last: int, seed: int = 0) -> list[Step]:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=last + 1).tolist()
    return [
        Step(
            time=1000.0 + 2 * step, step=step, tokens=64 * step, loss=2 + 5 / step + 0.1 * noise[step],
            tokens_per_sec=100 + noise[step], step_time_ms=640 - noise[step], mfu=0.4 + 0.01 * noise[step],
            grad_mean=noise[step] if step % 7 == 0 else None,
        )
        for step in range(first, last + 1)
    ]  # fmt: skip


def run() -> Run:
    return Run(time=1000.0, run_id="a", name="a", flops_per_token=1e6)


def grown(*parts: list[Step]) -> RunSeries:
    all_series = RunSeries(RunHistory())
    all_series.history.absorb([run()])
    for part in parts:
        all_series.history.absorb(part)
        all_series.of("loss", "time", 0.9), all_series.of("grad_mean", "clock", 0.9), all_series.mean("mfu")
    return all_series


@pytest.mark.parametrize("cuts", [[1], [1, 2, 3], [50, 51, 400], [500]])
def test_a_track_that_grew_is_the_one_made_at_once(cuts: list[int]) -> None:
    ends = [0, *cuts, 500]
    all_series = grown(*(records(a + 1, b) for a, b in pairwise(ends) if b > a))
    whole = all_series.history
    for key in ("loss", "grad_mean"):
        steps, values = whole.steps.series(key)
        for axis in ("step", "tokens", "time", "flops"):
            series = all_series.of(key, axis, 0.9)
            np.testing.assert_allclose(series.x, x_at_steps(whole, axis, steps), rtol=1e-12)
            np.testing.assert_allclose(series.y, smooth(values, 0.9), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(all_series.of("loss", "clock").x, whole.steps["time"])
    summary = summarize(whole)
    assert all_series.mean("mfu") == pytest.approx(summary.mean_mfu)
    assert all_series.mean("tokens_per_sec") == pytest.approx(summary.mean_tokens_per_sec)
    assert all_series.mean("tflops") is None


def test_the_identity_stays_while_a_track_only_grows_and_changes_when_it_does_not() -> None:
    all_series = grown(records(1, 50))
    before = all_series.of("loss", "step", 0.9)
    all_series.history.absorb(records(51, 60))
    after = all_series.of("loss", "step", 0.9)
    assert after.identity == before.identity
    np.testing.assert_array_equal(after.y[:50], before.y)
    all_series.history.absorb(records(40, 45, seed=1))
    cut = all_series.of("loss", "step", 0.9)
    assert cut.identity != before.identity
    assert len(cut.x) == 45
    np.testing.assert_allclose(cut.y, smooth(all_series.history.steps["loss"], 0.9), rtol=1e-6)


def test_earlier_attempts_are_tracks_of_their_own() -> None:
    all_series = grown(records(1, 50), records(31, 40, seed=1), records(21, 60, seed=2))
    (first, second), _ = all_series.superseded("loss", "step")
    assert (first.x[0], first.x[-1], second.x[0], second.x[-1]) == (31, 50, 21, 40)
    assert all_series.superseded("mfu", "tokens")[0][0].x[0] == 31 * 64


def test_a_clock_that_jumps_back_does_not_draw_backwards() -> None:
    steps = records(1, 20)
    steps[9].time -= 3600
    series = grown(steps[:10], steps[10:]).of("loss", "clock")
    assert (np.diff(series.x) >= 0).all()


def thinned(limit: int, last: int, batch: int = 100) -> tuple[RunSeries, RunSeries]:
    """The same run with bounded memory, and whole."""
    small, whole = grown(), grown()
    for start in range(0, last, batch):
        for all_series in (small, whole):
            all_series.history.absorb(records(start + 1, start + batch))
        small.thin(WEIGHTS, limit)
    return small, whole


def test_a_long_run_is_held_in_bounded_memory_and_no_extreme_is_lost() -> None:
    small, whole = thinned(2000, 20_000)
    assert len(small.history.steps) <= 2000
    assert small.thinned_until is not None
    for key in ("loss", "mfu", "tokens_per_sec", "step_time_ms", "grad_mean"):
        kept, all_values = small.of(key, "step").y, whole.of(key, "step").y
        assert kept.min() == all_values.min()
        assert kept.max() == all_values.max()
    assert small.history.steps["step"][0] == 1
    np.testing.assert_array_equal(small.history.steps["step"][-400:], np.arange(19_601, 20_001))


def test_what_is_left_of_a_long_run_is_smoothed_and_placed_as_the_whole() -> None:
    small, whole = thinned(2000, 20_000)
    rows = small.history.steps["step"].astype(int) - 1
    for weight in WEIGHTS:
        expected = whole.of("loss", "step", weight).y[rows]
        np.testing.assert_allclose(small.of("loss", "step", weight).y, expected, rtol=1e-6)
    np.testing.assert_allclose(small.of("loss", "time").x, whole.of("loss", "time").x[rows], rtol=1e-9)
    assert small.mean("mfu") == pytest.approx(whole.mean("mfu"))
    assert small.mean("tokens_per_sec") == pytest.approx(whole.mean("tokens_per_sec"))


def test_a_long_run_that_goes_back_goes_on_from_there() -> None:
    small, whole = thinned(2000, 20_000)
    for all_series in (small, whole):
        all_series.history.absorb(records(19_901, 20_100, seed=1))
    expected = whole.of("loss", "step", 0.9)
    found = small.of("loss", "step", 0.9)
    np.testing.assert_allclose(found.y[-150:], expected.y[-150:], rtol=1e-5)
    np.testing.assert_allclose(small.of("loss", "time").x[-1], whole.of("loss", "time").x[-1], rtol=1e-9)


def test_bytes_of_a_part_hold_it_and_something_before() -> None:
    all_series = RunSeries(RunHistory())
    for number in range(10):
        all_series.note_offset(1000 * number, 1000 * number + 1000, 100 * number + 1)
    assert all_series.bytes_of(350, 420) == (2000, 5000)
    assert all_series.bytes_of(5, 2000) == (0, 10_000)
    all_series.note_offset(10_000, 11_000, 401)
    assert all_series.bytes_of(350, 420) == (2000, 11_000)


def test_the_newest_part_of_a_log_is_a_piece_of_its_own_until_all_is_read() -> None:
    newest = grown(records(900, 1000))
    all_series = RunSeries(RunHistory(), ahead=newest)
    assert [len(piece.x) for piece in all_series.pieces("loss", "step")] == [101]
    all_series.history.absorb([run(), *records(1, 300)])
    assert [piece.x[-1] for piece in all_series.pieces("loss", "tokens", 0.9)] == [300 * 64, 1000 * 64]
    assert all_series.place("tokens", np.array([100.0, 950.0])).tolist() == [6400, 60800]
    all_series.ahead = None
    assert [piece.x[-1] for piece in all_series.pieces("loss", "step")] == [300]


def test_a_part_is_read_again_with_all_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with EventWriter(path) as log:
        log.write(run())
        for record in records(1, 3000):
            log.write(record)
    small, whole = thinned(500, 3000)
    part = Part(1000, 1400, *offsets_of(path, 900, 1400))
    small.detail = Detail(part.low, part.high, read_closely(path, part, WEIGHTS))
    small.detail.series.history.attempts = [run()]
    for axis in ("step", "tokens", "time", "clock", "flops"):
        found, expected = small.of("loss", axis, 0.6), whole.of("loss", axis, 0.6)
        read = small.detail.series.history.steps["step"]
        inside = (read >= 1000) & (read <= 1400)
        np.testing.assert_allclose(found.x[inside], expected.x[999:1400], rtol=1e-4)
        np.testing.assert_allclose(found.y[inside], expected.y[999:1400], rtol=1e-5)
    assert found.whole
    small.detail = None
    assert not small.of("loss", "step").whole


def offsets_of(path: Path, first: int, last: int) -> tuple[int, int]:
    """Where the records of two steps begin in a log that starts with one other record."""
    ends = np.cumsum([0, *(len(line) for line in path.read_bytes().splitlines(keepends=True))])
    return int(ends[first]), int(ends[last + 1])
