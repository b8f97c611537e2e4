"""A log that takes several polls to read: the header says how much was read, then everything is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import PINNED, run_record, step_record
from tests.tui.conftest import header, until
from tuitrain.config import load_config
from tuitrain.events import End, EventWriter
from tuitrain.runs import LogFollower, RunDirectory
from tuitrain.tui.app import TuitrainApp

STEPS = 6000


@pytest.fixture
def long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A completed run of 6,000 steps that is read in several chunks."""
    monkeypatch.setattr(LogFollower.__init__, "__defaults__", (1 << 18, 0))
    config = load_config("llama2-tiny", (*PINNED, f"train.max_steps={STEPS}"))
    run = RunDirectory(tmp_path / "long-20260101-000000-0000")
    run.path.mkdir()
    with EventWriter(run.metrics) as log:
        log.write(run_record(config, run.run_id, at=1.0))
        for step in range(1, STEPS + 1):
            log.write(step_record(config, step, at=1.0 + step))
        log.write(End(time=2.0 + STEPS, status="completed", step=STEPS))
    return run


async def test_a_long_log_shows_how_much_was_read_and_what_the_run_does_now(long: RunDirectory) -> None:
    app = TuitrainApp("watch", [long], long.path.parent)
    async with app.run_test(size=(200, 50)) as pilot:
        view = app.state.runs[0]
        headers = [header(app)]
        await until(pilot, lambda: headers.append(header(app)) or view.loaded)
        await pilot.pause()
        reading = [text for text in headers if "reading" in text]
        assert reading
        assert all("completed" in text for text in reading)
        assert "reading" not in header(app)
        assert "step 6,000 of 6,000" in header(app)
        assert len(view.series.of("loss", "step").x) == STEPS
