"""Figures of runs as files: the panels of each run, the comparison of several, and single panels."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tuitrain.analysis import units
from tuitrain.analysis.compare import compare_runs
from tuitrain.analysis.points import as_axis
from tuitrain.analysis.series import Axis
from tuitrain.analysis.smoothing import CENTRED
from tuitrain.export.comparison_table import ROW_INCHES, draw_table
from tuitrain.export.draw import draw
from tuitrain.export.draw_notes import arrange
from tuitrain.export.draw_table import height_of
from tuitrain.export.errors import ExportError
from tuitrain.export.selection import ChartFile, Runs, chart_files, check_selection, listed
from tuitrain.export.style import (
    SIZES,
    Paper,
    Size,
    figure_style,
    font,
    grey,
    inches_of,
    ink,
    make_inert,
    new_figure,
    run_style,
    thick,
)
from tuitrain.files import writing
from tuitrain.plots.figures import FigureKind, contents
from tuitrain.plots.model import ChartOptions, Plot, TextTable
from tuitrain.plots.panels.figures import Content
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.runs import RunHistory

FORMATS = ("png", "pdf", "svg")
_YEAR_10000 = 253_402_300_800.0
_NARROW = 9.0
"""Inches at the usual size of text below which there are no three panels beside each other."""
_IN_CORNER = 4
"""Runs whose legend may fit into a corner."""
_MARGIN = 0.14
"""Inches to the left and to the right of what stands above the panels."""


def export_plots(
    runs: Runs,
    out: Path,
    formats: Sequence[str] = ("png",),
    dpi: int = 200,
    style: Path | None = None,
    x: str = "step",
    *,
    figures: Sequence[str] = (),
    size: str | Size | None = None,
    title: bool = True,
    progress: Callable[[Sequence[ChartFile]], Iterable[ChartFile]] = iter,
) -> list[Path]:
    """Write `<run_id>-analysis.<format>` for each run and, for several, the comparison; returns the files.

    The comparison is named after the runs: `gpt2-tiny-vs-llama2-tiny-comparison.<format>`. figures: names of figures,
    panels or metrics to draw instead: `<run_id>-loss.<format>`, `gpt2-tiny-vs-llama2-tiny-loss.<format>`. size: a name
    of `style.SIZES` or inches, else the style's, else ours. title: whether names and titles stand above the curves.
    progress: hands on the files one after the other.

    Nothing is written unless everything can be: raises ExportError for no runs, a format, a style, a figure or a
    resolution that cannot be used, and a run without numbers; ValueError for an unknown axis. A size that leaves the
    curves no room raises ExportError when its figure is drawn.
    """
    axis = as_axis(x)
    _check(runs, formats, dpi, figures, size)
    written: list[Path] = []
    with figure_style(style, size) as paper:
        out.mkdir(parents=True, exist_ok=True)
        for file in progress(chart_files(runs, figures)):
            figure = draw_figure(figure_request(file, axis), file.figure, paper, title=title)
            written += save_figure(figure, out, file.stem, formats, dpi)
    return written


def _check(runs: Runs, formats: Sequence[str], dpi: int, figures: Sequence[str], size: str | Size | None) -> None:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ExportError(f"{', '.join(unknown) or 'No format'} is not a figure format; known: {', '.join(FORMATS)}.")
    if not 10 <= dpi <= 2400:
        raise ExportError(f"A resolution of {dpi} dpi is out of range: 10 to 2400.")
    if isinstance(size, str) and size not in SIZES:
        raise ExportError(f"{size!r} is not the name of a size; known: {', '.join(SIZES)}.")
    check_selection(runs, figures)


def figure_request(file: ChartFile, axis: Axis) -> PlotRequest:
    """The runs of a file, with the options of figures."""
    return PlotRequest(
        [
            PlotRun(index, directory, history, label=name)
            for index, ((directory, _), (name, history)) in enumerate(zip(file.runs, file.named, strict=True))
        ],
        x=axis, smoothing=CENTRED, for_figure=True,
    )  # fmt: skip


def draw_figure(request: PlotRequest, figure: FigureKind, paper: Paper, *, title: bool = True) -> Figure:
    """A figure of runs, in the style that holds. title: whether names and titles stand above the curves."""
    if figure.together:
        return _comparison_figure(request, figure, paper, title=title)
    parts = contents(request, figure)
    if len(figure.panels) > 1:
        return _run_figure(request, parts, paper, title=title)
    return panel_figure(parts[0], _panel_size(parts[0], paper), title=title)


def _panel_size(part: Content, paper: Paper) -> Size:
    """The size of a panel: a table is as high as its rows need, and many runs get room for their legend below."""
    if paper.height is not None:
        return paper.panel
    if isinstance(part, TextTable):
        # As wide as can be read: both columns of a paper.
        width = min(paper.width, _NARROW * font(1))
        return width, height_of(part, width)
    width, height = paper.panel
    names = [curve.name for curve in part.curves if curve.name] if isinstance(part, Plot) else []
    if len(names) <= _IN_CORNER:
        return width, height
    entry = max(inches_of(name, 8) for name in names) + 0.45 * font(1)
    rows = -(-len(names) // max(1, int((width - 0.7 * font(1)) / entry)))
    return width, height + 0.16 * font(1) * rows


def _run_figure(request: PlotRequest, parts: Sequence[Content], paper: Paper, *, title: bool) -> Figure:
    """Panels of one run below its name and what it is."""
    run = request.runs[0]
    columns = {1: 1, 2: 2, 4: 2}.get(len(parts), 3)
    if paper.width / font(1) < _NARROW:
        columns = min(columns, 2)
    rows = -(-len(parts) // columns)
    width = paper.width
    lines = _wrapped(subtitle(run.history), 9.5, width - 2 * _MARGIN) if title else []
    head = (0.47 + 0.19 * len(lines)) * font(1) if title else 0.05
    height = paper.height or head + rows * paper.row
    figure = new_figure(width, height, head)
    grid = figure.add_gridspec(rows, columns)
    for number, part in enumerate(parts):
        # The same events in all panels: the first names them.
        draw(figure.add_subplot(grid[number // columns, number % columns]), part, events=not number)
    if title:
        name = run.history.run.name if run.history.run else run.run_id
        top, second = 1 - 0.16 * font(1) / height, 1 - 0.47 * font(1) / height
        left, right = _MARGIN / width, 1 - _MARGIN / width
        free = width - 2 * _MARGIN
        points = next((size for size in (15, 11, 8) if inches_of(name, size, bold=True) <= free), 8)
        figure.text(left, top, name, fontsize=font(points), fontweight="bold", color=ink(), va="top")
        figure.text(left, second, "\n".join(lines), fontsize=font(9.5), color=grey(), va="top")
        if inches_of(name, points, bold=True) + inches_of(run.run_id, 8) + 2 * _MARGIN <= free:
            figure.text(right, top, run.run_id, fontsize=font(8), color=grey(), va="top", ha="right")
    return figure


def _wrapped(pieces: Sequence[str], points: float, inches: float) -> list[str]:
    """Pieces with dots between them, in lines that are not wider."""
    lines: list[str] = []
    for piece in pieces:
        longer = f"{lines[-1]}  ·  {piece}" if lines else piece
        if lines and inches_of(longer, points) > inches:
            lines.append(piece)
        else:
            lines[-1:] = [longer]
    return lines


def subtitle(history: RunHistory) -> list[str]:
    """What the run is, from its own records; unknown values are left out."""
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
    return parts


def _comparison_figure(request: PlotRequest, figure: FigureKind, paper: Paper, *, title: bool) -> Figure:
    """Panels of several runs over one x axis, below their names, and a table of their outcomes."""
    parts = contents(request, figure)
    comparison = compare_runs([(run.name, run.history) for run in request.runs])
    names, scale = comparison.names, font(1)
    width = paper.width if paper.height is not None else min(paper.width, 11.0 * scale)
    free = width - 2 * _MARGIN
    entry = max(inches_of(name, 9) for name in names) + 0.62 * scale
    columns = max(1, min(len(names), int(free / entry)))
    heading = 0.42 * scale if title else 0.05
    head = heading + (0.13 + 0.21 * -(-len(names) // columns)) * scale
    beside = min(len(parts), 2)
    rows = -(-len(parts) // beside)
    table = (0.65 + ROW_INCHES * len(names)) * scale
    height = paper.height or head + rows * paper.row + table
    drawn = new_figure(width, height, head)
    share = max((height - head - table) / rows, 0.1)
    grid = drawn.add_gridspec(rows + 1, beside, height_ratios=(*([share] * rows), table))
    for number, part in enumerate(parts):
        draw(drawn.add_subplot(grid[number // beside, number % beside]), part, legend=False)
    draw_table(drawn.add_subplot(grid[rows, :]), comparison, free)
    if title:
        fitting = (listed(names, ", ", longest) for longest in range(90, 10, -8))
        text = next((each for each in fitting if inches_of(each, 14, bold=True) <= free), listed(names, ", ", 10))
        drawn.text(_MARGIN / width, 1 - 0.13 * scale / height, text, fontsize=font(14), fontweight="bold",
                   color=ink(), va="top")  # fmt: skip
    handles = [Line2D([], [], linewidth=thick(2), **run_style(index)) for index in range(len(names))]
    drawn.legend(
        handles, names, loc="upper left", bbox_to_anchor=(0.008, 1 - heading / height), ncols=columns,
        fontsize=font(9), handlelength=2.8,
    )  # fmt: skip
    return drawn


def panel_figure(
    plot: Content, size: Size, options: ChartOptions | None = None, *, head: str = "", title: bool = True
) -> Figure:
    """One plot as a figure of its own. size: in inches; head: a small line above it all."""
    figure = new_figure(*size, head=0.3 if head else 0.02)
    axes = figure.add_subplot()
    draw(axes, plot, options)
    if not title:
        axes.set_title("")
    figure.text(0.012, 0.975, head, fontsize=font(8.5), color=grey(), va="top")
    return figure


def save_figure(figure: Figure, out: Path, stem: str, formats: Sequence[str], dpi: int) -> list[Path]:
    """Write `<stem>.<format>` for each format into a directory that is there; returns the files."""
    figure.set_dpi(dpi)
    make_inert(figure)
    with warnings.catch_warnings():
        # A sign that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        warnings.filterwarnings("error", "constrained_layout not applied")
        try:
            return _save(figure, out, stem, formats, dpi)
        except UserWarning:
            width, height = figure.get_size_inches()
            raise ExportError(
                f"{width:g}x{height:g} inches leave no room for the curves of {stem}: --size sets a larger size, "
                "--figure loss draws one panel."
            ) from None


def _save(figure: Figure, out: Path, stem: str, formats: Sequence[str], dpi: int) -> list[Path]:
    # Laid out once for all formats; each save would do it again.
    arrange(figure)
    make_inert(figure)
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
