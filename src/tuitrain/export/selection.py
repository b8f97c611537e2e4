"""Which runs and panels an export of plots draws, and the names of its files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tuitrain.analysis.compare import display_names
from tuitrain.events.text import file_name
from tuitrain.export.errors import ExportError
from tuitrain.plots.panels import PANELS, find_panel
from tuitrain.runs import RunDirectory, RunHistory

ANALYSIS = ("loss", "lr", "tokens", "mfu", "throughput", "memory")
"""The panels of the analysis of a run, in their order."""
COMPARISON = ("loss", "val_loss", "throughput", "mfu")
"""The panels of the comparison of several runs."""

Runs = Sequence[tuple[RunDirectory, RunHistory]]
NamedRuns = Sequence[tuple[str, RunHistory]]


def check_selection(runs: Runs, panels: Sequence[str]) -> None:
    """Raise ExportError for no runs, a name that is neither a panel nor a metric, or a run with nothing to draw."""
    if not runs:
        raise ExportError("There is nothing to draw: name at least one run.")
    for name in panels:
        try:
            find_panel(name, [history for _, history in runs])
        except KeyError:
            known = ", ".join(panel.id for panel in PANELS)
            raise ExportError(f"{name!r} is not a panel; known: {known}, and each metric of the logs.") from None
    for directory, history in runs:
        if not can_be_drawn(history):
            raise ExportError(f"{directory.run_id} has nothing to draw yet: its log holds no step and no evaluation.")


def can_be_drawn(history: RunHistory) -> bool:
    """Whether the log has any step or evaluation."""
    return bool(len(history.steps) or len(history.evals))


def chart_files(runs: Runs, panels: Sequence[str]) -> Iterator[tuple[str, Runs, Sequence[str]]]:
    """The files of an export without their suffix, with the runs and the panels that each shows.

    Without `panels` the analysis of each run and, of several, their comparison; else a file for each of these panels.
    """
    files = dict(zip(panels, _files(panels), strict=True))
    for pair, stem in zip(runs, _files([directory.run_id for directory, _ in runs]), strict=True):
        if not panels:
            yield f"{stem}-analysis", [pair], ANALYSIS
        # The validation of several runs is one chart.
        alone = [name for name in panels if len(runs) == 1 or name != "val_loss"]
        yield from ((f"{stem}-{files[name]}", [pair], [name]) for name in alone)
    if len(runs) > 1:
        names = display_names(runs)
        if not panels:
            yield comparison_stem(names), runs, COMPARISON
        together = [name for name in panels if name in COMPARISON or name not in (*ANALYSIS, "layers")]
        yield from ((comparison_stem(names, files[name]), runs, [name]) for name in together)


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
