"""Runs for the tests of figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tests.support import PINNED, run_record, write_run
from tuitrain.analysis.series import Axis
from tuitrain.config import load_config
from tuitrain.events import Eval, Run, Step
from tuitrain.export.draw_notes import arrange
from tuitrain.export.figures import draw_figure, figure_request
from tuitrain.export.selection import ChartFile
from tuitrain.export.style import Paper
from tuitrain.plots.figures import find_figure
from tuitrain.runs import RunDirectory, RunHistory, load_history


def pair(
    path: Path, run_id: str = "llama2-tiny-20260101-120000-abcd", **options: object
) -> tuple[RunDirectory, RunHistory]:
    run = write_run(path, run_id, **options)  # type: ignore[arg-type]
    return run, load_history(run)


def figure_of(
    name: str, runs: Sequence[tuple[RunDirectory, RunHistory]], axis: Axis = "step", paper: Paper | None = None,
    *, title: bool = True,
) -> Figure:  # fmt: skip
    """A figure of runs as it is written, in the style that holds."""
    file = ChartFile("", runs, find_figure(name, [history for _, history in runs]))
    figure = draw_figure(figure_request(file, axis), file.figure, paper or Paper(), title=title)
    arrange(figure)
    return figure


def analysis_figure(history: RunHistory, run_id: str, axis: Axis = "step") -> Figure:
    """The analysis of a history that is in no directory."""
    return figure_of("analysis", [(RunDirectory(Path(run_id)), history)], axis)


def comparison_figure(runs: Sequence[tuple[str, RunHistory]], axis: Axis = "step") -> Figure:
    """The comparison of histories with these ids."""
    return figure_of("comparison", [(RunDirectory(Path(name)), history) for name, history in runs], axis)


def hard_case() -> RunHistory:
    """A resume, nan, a long device name and an unknown peak in one run."""
    config = load_config("llama2-tiny", PINNED)
    record = run_record(config, "hard", at=0.0, peak=None)
    assert record.hardware is not None
    record.hardware.device = "Genuine Processor With A Really Long Product Name 9654 @ 2.40GHz"
    history = RunHistory()
    for attempt, (first, last) in enumerate([(1, 200), (150, 300)], start=1):
        history.absorb([Run(**{**_fields(record), "attempt": attempt, "time": 1000.0 * attempt})])
        history.absorb(
            Step(time=1000.0 * attempt + step, step=step, tokens=2048 * step, loss=math.nan if step > 290 else 9 / step,
                 lr=1e-3, step_time_ms=5.0, tokens_per_sec=4e5, tflops=2.0, mem_allocated_gb=40.0, mem_peak_gb=60.0)
            for step in range(first, last + 1)
        )  # fmt: skip
    history.absorb([Eval(time=2500.0, step=300, loss=3.0)])
    return history


def _fields(record: Run) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}
