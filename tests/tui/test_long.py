"""A run too long to be held whole: its newest part first, the rest behind, thinned, and exact where it is zoomed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import PINNED, run_record, step_record
from tests.tui.conftest import chart, header, until
from tuitrain.config import load_config
from tuitrain.events import EventWriter
from tuitrain.plots import series
from tuitrain.plots.axes import Range
from tuitrain.runs import RunDirectory, follow
from tuitrain.tui.app import TuitrainApp

STEPS = 6000


@pytest.fixture
def long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run of 6,000 steps, which counts as long, and of which 1,000 rows are kept."""
    monkeypatch.setattr(series, "ROWS_KEPT", 1000)
    monkeypatch.setattr(follow, "LONG_BYTES", 1 << 16)
    monkeypatch.setattr(follow, "NEWEST_BYTES", 1 << 15)
    monkeypatch.setattr(follow.LogFollower.__init__, "__defaults__", (1 << 18, 0))
    config = load_config("llama2-tiny", (*PINNED, f"train.max_steps={STEPS}"))
    run = RunDirectory(tmp_path / "long-20260101-000000-0000")
    run.path.mkdir()
    with EventWriter(run.metrics) as log:
        log.write(run_record(config, run.run_id, at=1.0))
        for step in range(1, STEPS + 1):
            record = step_record(config, step, at=1.0 + step)
            record.loss = 9.0 if step == 3001 else record.loss
            log.write(record)
    return run


async def test_the_newest_part_is_there_at_once_and_the_rest_fills_in(long: RunDirectory) -> None:
    app = TuitrainApp("watch", [long], long.path.parent)
    found = app.feed.begin()
    assert found is not None
    app.on_arrived(found)
    view = app.state.runs[0]
    assert view.history.step == STEPS
    assert len(view.history.steps) < 200
    assert view.loading == 0.0
    async with TuitrainApp("watch", [long], long.path.parent).run_test(size=(200, 50)) as pilot:
        shown = pilot.app
        assert isinstance(shown, TuitrainApp)
        assert "step 6,000 of 6,000" in header(shown)
        await until(pilot, lambda: shown.state.runs[0].loaded and shown.state.runs[0].loading is None)
        await pilot.pause()
        assert "loading" not in header(shown)
        assert len(shown.state.runs[0].history.steps) <= 1000
        assert shown.state.runs[0].history.steps["step"][0] == 1
    app.feed.stop()


async def test_a_zoom_into_thinned_history_reads_all_of_its_rows(long: RunDirectory) -> None:
    app = TuitrainApp("watch", [long], long.path.parent)
    async with app.run_test(size=(200, 50)) as pilot:
        view = app.state.runs[0]
        await until(pilot, lambda: view.loaded and view.loading is None)
        thin = view.series.of("loss", "step")
        assert not thin.whole
        assert thin.y.max() == 9.0
        app.state.zoom = Range(2980, 3020)
        app.screen.draw()  # type: ignore[attr-defined]
        await until(pilot, lambda: view.series.detail is not None)
        part = view.series.of("loss", "step")
        assert set(range(2980, 3021)) <= set(part.x.tolist())
        await pilot.pause()
        assert "2980" in chart(app, "loss").split("\n")[-1].replace(",", "").replace("2.98k", "2980")
        await pilot.press("0")
        assert view.series.detail is None
        assert len(view.series.of("loss", "step").x) == len(thin.x)


async def test_outliers_of_a_thinned_run_are_counted_as_so_many_at_least(long: RunDirectory) -> None:
    app = TuitrainApp("watch", [long], long.path.parent)
    async with app.run_test(size=(200, 50)) as pilot:
        view = app.state.runs[0]
        await until(pilot, lambda: view.loaded and view.loading is None)
        await pilot.pause()
        assert "≥ 1 above" in chart(app, "loss").split("\n")[0]
