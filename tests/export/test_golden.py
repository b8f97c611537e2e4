"""Figures compared with expected ones as data: titles, limits, ticks, labels, legends, notes, and each line.

`python -m tests.export.test_golden` writes the expected figures again, in tests/export/golden.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure

from tests.export.figure_runs import figure_of
from tests.support import PINNED, run_record, step_record
from tuitrain.config import load_config
from tuitrain.events import Alert, AnyRecord, Eval, Layers, Sample
from tuitrain.export.style import figure_style
from tuitrain.runs import RunDirectory, RunHistory

GOLDEN = Path(__file__).parent / "golden"
STEPS = 40
Pair = tuple[RunDirectory, RunHistory]


def golden_run(preset: str, floor: float) -> Pair:
    """A run with a resume that repeats steps, a nan, a spike, and the records of every panel."""
    config = load_config(preset, (*PINNED, f"train.max_steps={STEPS}", "schedule.warmup_steps=10"))
    history, begin = RunHistory(), 1_750_000_000.0
    for attempt, first, last in ((1, 1, 25), (2, 21, STEPS)):
        records: list[AnyRecord] = [run_record(config, preset, at=begin + first, attempt=attempt)]
        for step in range(first, last + 1):
            record = step_record(config, step, at=begin + step, floor=floor)
            record.rank_skew_ms = 0.2 + 0.01 * step
            record.loss = {30: math.nan, 35: 50.0}.get(step, record.loss)
            records.append(record)
            if step % 10 == 0:
                records += [
                    Eval(time=begin + step, step=step, loss=floor + 3 / step, accuracy=0.3 + step / 200),
                    Layers(time=begin + step, step=step, grad_norm=[0.1 * block + step / 100 for block in range(1, 7)]),
                    Sample(time=begin + step, step=step, prompt="def ", text=f"f(x):\n    return {step}"),
                ]
        history.absorb(records)
    history.absorb([Alert(time=begin, step=35, level="warning", code="spike", message="loss spike")])
    return RunDirectory(Path(preset)), history


@pytest.fixture(scope="module")
def two() -> list[Pair]:
    return [golden_run("gpt2-tiny", 2.2), golden_run("llama2-tiny", 2.0)]


def described(figure: Figure) -> dict[str, Any]:
    """All that a reader of the figure sees, as numbers and texts."""
    return {
        "inches": rounded(figure.get_size_inches()),
        "texts": [text.get_text() for text in figure.texts],
        "legends": [text.get_text() for legend in figure.legends for text in legend.get_texts()],
        "axes": [described_axes(axes) for axes in figure.axes],
    }


def described_axes(axes: Axes) -> dict[str, Any]:
    legend = axes.get_legend()
    values: dict[str, Any] = {
        "title": axes.get_title(loc="left"),
        "labels": [axes.get_xlabel(), axes.get_ylabel()],
        "scales": [axes.get_xscale(), axes.get_yscale()],
        "limits": [rounded(axes.get_xlim()), rounded(axes.get_ylim())],
        "ticks": [[tick.get_text() for tick in each.get_ticklabels()] for each in (axes.xaxis, axes.yaxis)],
        "legend": [text.get_text() for text in legend.get_texts()] if legend else [],
        "notes": [text.get_text() for text in axes.texts],
        "lines": [
            {"label": line.get_label(), "dash": str(line.get_linestyle()), "x": rounded(line.get_xdata()),
             "y": rounded(line.get_ydata())}
            for line in axes.lines
        ],
        "second": [[each.get_ylabel(), rounded(each.get_ylim())] for each in axes.child_axes],
    }  # fmt: skip
    for drawn in axes.collections:
        if isinstance(drawn, PathCollection):
            points = {"label": drawn.get_label(), "at": rounded(drawn.get_offsets().data)}
            values.setdefault("points", []).append(points)
        elif isinstance(drawn, QuadMesh):
            values["map"] = rounded(drawn.get_array())
        else:
            areas = [rounded(path.vertices) for path in drawn.get_paths()]
            values.setdefault("areas", []).append({"label": drawn.get_label(), "outline": areas})
    return {key: value for key, value in values.items() if value}


def rounded(values: Any) -> Any:
    """Numbers to six digits; nan as a word, which is equal to itself."""
    plain = (
        np.asarray(values, dtype=float).tolist() if not np.ma.isMaskedArray(values) else values.filled(np.nan).tolist()
    )
    return _rounded(plain)


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.6g}") if math.isfinite(value) else str(value)


def difference(expected: Any, actual: Any, where: str = "") -> str:
    """The first place where two figures differ; empty where they are the same."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if list(expected) != list(actual):
            return f"{where}: {list(expected)} became {list(actual)}"
        return next(filter(None, (difference(expected[key], actual[key], f"{where}/{key}") for key in expected)), "")
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{where}: {len(expected)} became {len(actual)}: {actual}"
        pairs = enumerate(zip(expected, actual, strict=True))
        return next(filter(None, (difference(one, other, f"{where}/{at}") for at, (one, other) in pairs)), "")
    if isinstance(expected, float) and isinstance(actual, float):
        return "" if expected == pytest.approx(actual, rel=1e-4, abs=1e-9) else f"{where}: {expected} became {actual}"
    return "" if expected == actual else f"{where}: {expected!r} became {actual!r}"


FIGURES = {
    "analysis": 1, "learning": 1, "comparison": 2, "loss": 2, "layers": 1, "step_time": 1, "samples": 1,
    "loss_accuracy": 2, "moving_average": 2, "recent": 2,
}  # fmt: skip
"""Each with the number of its runs."""


def drawn(name: str, runs: list[Pair]) -> dict[str, Any]:
    with figure_style():
        return described(figure_of(name, runs[: FIGURES[name]]))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_as_expected(name: str, two: list[Pair]) -> None:
    expected = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert difference(expected, json.loads(json.dumps(drawn(name, two)))) == ""


@pytest.mark.parametrize("change", ["nan", "title", "limit", "missing"])
def test_a_changed_figure_is_noticed(change: str, two: list[Pair]) -> None:
    with figure_style():
        figure = figure_of("loss", two[:1])
        before, axes = described(figure), figure.axes[0]
        if change == "nan":
            axes.lines[0].set_ydata(np.full(len(axes.lines[0].get_ydata()), np.nan))
        elif change == "title":
            axes.set_title("Lost")
        elif change == "limit":
            axes.set_ylim(0, 7)
        else:
            axes.lines[0].remove()
    assert difference(before, described(figure))


def _write() -> None:
    GOLDEN.mkdir(exist_ok=True)
    runs = [golden_run("gpt2-tiny", 2.2), golden_run("llama2-tiny", 2.0)]
    for name in FIGURES:
        text = json.dumps(drawn(name, runs), separators=(",", ":")).replace('"lines":', '\n"lines":')
        (GOLDEN / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
