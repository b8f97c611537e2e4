"""Figures of runs as files: the six-panel analysis of each, and with several the comparison."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuitrain.analysis import units
from tuitrain.analysis.compare import as_axis, display_names
from tuitrain.analysis.series import Axis
from tuitrain.analysis.summary import Summary, summarize
from tuitrain.events.text import file_name
from tuitrain.export import overlay
from tuitrain.export.errors import ExportError
from tuitrain.export.marks import place_legend
from tuitrain.export.overlay import comparison_figure, listed
from tuitrain.export.panels import PANELS, make_view, set_x
from tuitrain.export.style import Size, figure_style, font, grey, ink, make_inert, new_figure
from tuitrain.files import writing
from tuitrain.runs import RunDirectory, RunHistory

FORMATS = ("png", "pdf", "svg")
_YEAR_10000 = 253_402_300_800.0
SIZE_INCHES = (13.0, 7.2)
PANEL_INCHES = (6.5, 3.9)


def export_plots(
    runs: Sequence[tuple[RunDirectory, RunHistory]],
    out: Path,
    formats: Sequence[str] = ("png",),
    dpi: int = 200,
    style: Path | None = None,
    x: str = "step",
    *,
    panels: Sequence[str] = (),
    size: Size | None = None,
    title: bool = True,
) -> list[Path]:
    """Write `<run_id>-analysis.<format>` for each run and, for several, the comparison; returns the files.

    The comparison is called by the names of the runs: `gpt2-tiny-vs-llama2-tiny-comparison.<format>`. panels: draw each
    of these as a figure of its own in their place: `<run_id>-loss.<format>`, `gpt2-tiny-vs-llama2-tiny-loss.<format>`.
    size: in inches, else the style's, else ours. title: whether names and titles stand above the curves.

    Nothing is written unless everything can be: raises ExportError for no runs, a format, a style, a panel or a
    resolution that cannot be used, and a run without numbers; ValueError for an unknown axis. Only a size that leaves
    the curves no room is found out when they are drawn.
    """
    axis = as_axis(x)
    _check(runs, formats, dpi, panels)
    written: list[Path] = []
    with figure_style(style) as style_size:
        size = size or style_size
        out.mkdir(parents=True, exist_ok=True)

        def save(figure: Figure, stem: str) -> None:
            written.extend(save_figure(figure, out, stem, formats, dpi))

        for (directory, history), stem in zip(runs, _stems(runs), strict=True):
            if not panels:
                save(analysis_figure(history, directory.run_id, axis, size, title=title), f"{stem}-analysis")
            for name in (each for each in panels if each in PANELS):
                save(panel_figure(history, name, axis, size or PANEL_INCHES, title=title), f"{stem}-{name}")
        if len(runs) > 1:
            named = list(zip(display_names(runs), (history for _, history in runs), strict=True))
            names = [name for name, _ in named]
            if not panels:
                save(comparison_figure(named, axis, size, title=title), comparison_stem(names))
            for name in (each for each in panels if each in overlay.PANELS):
                figure = overlay.comparison_panel(named, name, axis, size or PANEL_INCHES, title=title)
                save(figure, comparison_stem(names, name))
    return written


def _check(
    runs: Sequence[tuple[RunDirectory, RunHistory]], formats: Sequence[str], dpi: int, panels: Sequence[str]
) -> None:
    if not runs:
        raise ExportError("There is nothing to draw: name at least one run.")
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ExportError(f"{', '.join(unknown) or 'No format'} is not a figure format; known: {', '.join(FORMATS)}.")
    drawn = {*PANELS, *(overlay.PANELS if len(runs) > 1 else ())}
    for name in panels:
        if name not in drawn:
            several = " That panel compares several runs: name another one." if name in overlay.PANELS else ""
            raise ExportError(f"{name!r} is not a panel of this figure; known: {', '.join(sorted(drawn))}.{several}")
    if not 10 <= dpi <= 2400:
        raise ExportError(f"A resolution of {dpi} dpi is out of range: 10 to 2400.")
    for directory, history in runs:
        if not can_be_drawn(history):
            raise ExportError(f"{directory.run_id} has nothing to draw yet: its log holds no step and no evaluation.")


def can_be_drawn(history: RunHistory) -> bool:
    """Whether the log holds anything that a figure shows."""
    return bool(len(history.steps) or len(history.evals))


def comparison_stem(names: Sequence[str], kind: str = "comparison") -> str:
    """The file name of a comparison, or of one panel of it, without its suffix, of at most 132 characters."""
    plain = [file_name(name) for name in names]
    return f"{re.sub('[ …]+', '-', listed(plain, '-vs-', 120)).strip('-')}-{kind}"


def _stems(runs: Sequence[tuple[RunDirectory, RunHistory]]) -> list[str]:
    """A file name for each run: its id, numbered where two directories have the same name."""
    stems: list[str] = []
    for directory, _ in runs:
        stem, number = file_name(directory.run_id), 2
        while stem in stems:
            stem, number = f"{file_name(directory.run_id)}-{number}", number + 1
        stems.append(stem)
    return stems


def analysis_figure(
    history: RunHistory, run_id: str, axis: Axis = "step", size: Size | None = None, *, title: bool = True
) -> Figure:
    """The six panels of one run: loss, learning rate, tokens; MFU, throughput, memory."""
    width, height = size or SIZE_INCHES
    figure = new_figure(width, height, head=0.68 if title else 0.05)
    summary = summarize(history)
    for axes, name in zip(figure.subplots(2, 3).flat, PANELS, strict=True):
        _draw(axes, history, summary, name, axis)
    if title:
        _head(figure, history, run_id, height)
    return figure


def panel_figure(history: RunHistory, name: str, axis: Axis, size: Size, *, title: bool = True) -> Figure:
    """One of the PANELS of a run as a figure of its own."""
    figure = new_figure(*size, head=0.02)
    axes = figure.add_subplot()
    _draw(axes, history, summarize(history), name, axis)
    if not title:
        axes.set_title("")
    return figure


def _draw(axes: Axes, history: RunHistory, summary: Summary, name: str, axis: Axis) -> None:
    # Tokens over tokens say nothing.
    view = make_view(history, summary, "step" if name == "tokens" and axis == "tokens" else axis)
    set_x(axes, [view])
    PANELS[name](axes, view)


def _head(figure: Figure, history: RunHistory, run_id: str, height: float) -> None:
    run = history.run
    name = run.name if run else run_id
    size = font(15 if len(name) <= 40 else 11)
    top, second = 1 - 0.16 / height, 1 - 0.47 / height
    figure.text(0.012, top, name, fontsize=size, fontweight="bold", color=ink(), va="top")
    figure.text(0.012, second, subtitle(history), fontsize=font(9.5), color=grey(), va="top")
    figure.text(0.988, top, run_id, fontsize=font(8), color=grey(), va="top", ha="right")


def subtitle(history: RunHistory) -> str:
    """What the run is, from its own records; what they do not say is left out."""
    run, parts = history.run, []
    if run is not None and run.architecture is not None:
        parts.append(run.architecture.name)
        if run.architecture.params_total is not None:
            parts.append(f"{units.count(run.architecture.params_total)} parameters")
    if run is not None and run.hardware is not None:
        count = run.parallel.world_size if run.parallel else run.hardware.count
        parts.append(f"{count}×{run.hardware.device}" if count > 1 else run.hardware.device)
    if run is not None and run.dtype:
        parts.append(run.dtype)
    if history.tokens is not None:
        parts.append(f"{units.count(history.tokens)} tokens")
    if history.started is not None and 0 <= history.started < _YEAR_10000:
        parts.append(time.strftime("%Y-%m-%d", time.gmtime(history.started)))
    return "  ·  ".join(parts)


def save_figure(figure: Figure, out: Path, stem: str, formats: Sequence[str], dpi: int) -> list[Path]:
    """Write `<stem>.<format>` for each format into a directory that is there; returns the files."""
    figure.set_dpi(dpi)
    make_inert(figure)
    with warnings.catch_warnings():
        # A sign that the font lacks is drawn as a box; there is nothing to tell.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        warnings.filterwarnings("error", "constrained_layout not applied")
        try:
            return _save(figure, out, stem, formats, dpi)
        except UserWarning:
            width, height = figure.get_size_inches()
            raise ExportError(
                f"{width:g}x{height:g} inches leave no room for the curves of {stem}: --size sets a larger size, "
                "--panel draws one panel."
            ) from None


def _save(figure: Figure, out: Path, stem: str, formats: Sequence[str], dpi: int) -> list[Path]:
    # Laid out once for all formats; each save would do it again.
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        for axes in figure.axes:
            place_legend(axes)
        figure.set_layout_engine("none")
    paths = []
    for name in dict.fromkeys(formats):
        path = out / f"{stem}.{name}"
        with writing(path):
            figure.savefig(path, format=name, dpi=dpi, metadata=_METADATA[name])
        paths.append(path)
    return paths


# Without dates, so that the same run gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": "tuitrain"},
    "pdf": {"Creator": "tuitrain", "CreationDate": None},
    "svg": {"Creator": "tuitrain", "Date": None},
}
