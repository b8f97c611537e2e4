"""Which runs and panels an export of plots draws, and the names of its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tuitrain.analysis.compare import display_names
from tuitrain.export.errors import ExportError
from tuitrain.plots.figures import FigureKind, figure_names, find_figure, shows_several
from tuitrain.runs import RunDirectory, RunHistory
from tuitrain.text import file_name

Runs = Sequence[tuple[RunDirectory, RunHistory]]
NamedRuns = Sequence[tuple[str, RunHistory]]


class ChartFile(NamedTuple):
    """A file of an export: its name without the suffix, and the runs and the figure that it shows."""

    stem: str
    runs: Runs
    figure: FigureKind

    @property
    def named(self) -> NamedRuns:
        """The runs with their names: the id of one alone."""
        if len(self.runs) == 1:
            return [(self.runs[0][0].run_id, self.runs[0][1])]
        return list(zip(display_names(self.runs), (history for _, history in self.runs), strict=True))


def check_selection(runs: Runs, figures: Sequence[str]) -> None:
    """Raise ExportError for no runs, a name that is no figure, panel or metric, or a run with nothing to draw."""
    if not runs:
        raise ExportError("There is nothing to draw: name at least one run.")
    for name in figures:
        try:
            figure = find_figure(name, [history for _, history in runs])
        except KeyError:
            known = ", ".join(figure_names())
            raise ExportError(f"{name!r} is not a figure; known: {known}, and each metric of the logs.") from None
        if figure.together and len(runs) < 2:
            raise ExportError(f"{name!r} is a figure of several runs: name at least two.")
    for directory, history in runs:
        if not can_be_drawn(history):
            raise ExportError(f"{directory.run_id} has nothing to draw yet: its log holds no step and no evaluation.")


def can_be_drawn(history: RunHistory) -> bool:
    """Whether the log has any step or evaluation."""
    return bool(len(history.steps) or len(history.evals))


def chart_files(runs: Runs, figures: Sequence[str]) -> list[ChartFile]:
    """The files of an export. Without `figures` the analysis of each run and, of several, their comparison.

    A panel of several runs is drawn of each of them and, unless it shows one run alone, of all together.
    """
    kinds = [find_figure(name, [history for _, history in runs]) for name in figures or ("analysis", "comparison")]
    suffixes = dict(zip(kinds, _files([kind.name for kind in kinds]), strict=True))
    stems = _files([directory.run_id for directory, _ in runs])
    # The validation of several runs is one chart.
    of_each = [kind for kind in kinds if not kind.together and (len(runs) == 1 or kind.name != "val_loss")]
    files = [
        ChartFile(f"{stem}-{suffixes[kind]}", [pair], kind)
        for pair, stem in zip(runs, stems, strict=True)
        for kind in of_each
    ]
    if len(runs) > 1:
        names = display_names(runs)
        files += [
            ChartFile(comparison_stem(names, suffixes[kind]), runs, kind) for kind in kinds if shows_several(kind)
        ]
    return files


def _files(names: Sequence[str]) -> list[str]:
    """A file name without suffix for each of these names, numbered where two would have the same."""
    files: list[str] = []
    for plain in map(file_name, names):
        name, number = plain, 2
        while name in files:
            name, number = f"{plain}-{number}", number + 1
        files.append(name)
    return files


def comparison_stem(names: Sequence[str], kind: str = "comparison") -> str:
    """The file name of a comparison, or of one panel of it, without its suffix, of at most 132 characters."""
    plain = [file_name(name) for name in names]
    return f"{re.sub('[ …]+', '-', listed(plain, '-vs-', 120)).strip('-')}-{kind}"


def listed(names: Sequence[str], separator: str, longest: int) -> str:
    """Names in a row; those that would make it longer than `longest` characters are counted: `a, b, 3 more`."""
    text, shown = separator.join(names), len(names)
    while len(text) > longest and shown > 1:
        shown -= 1
        text = separator.join((*names[:shown], f"{len(names) - shown} more"))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
