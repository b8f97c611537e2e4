"""A report of runs: outcomes, verdict, findings, what differs, figures, alerts, contradictions, texts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tuitrain.analysis import units
from tuitrain.analysis.compare import Comparison, compare_runs, display_names
from tuitrain.analysis.generalization import generalization_verdict
from tuitrain.analysis.metrics import NOT_AVAILABLE
from tuitrain.analysis.summary import Summary, TimeSpent
from tuitrain.analysis.summary_rows import TIMES
from tuitrain.analysis.verdict import listed
from tuitrain.audit import audit_run
from tuitrain.events import Alert
from tuitrain.export.blocks import Block, Heading, Picture, Sentences, Table, Verbatim
from tuitrain.export.documents import open_text
from tuitrain.export.figures import export_plots
from tuitrain.export.grids import Cell, Grid, comparison_grids
from tuitrain.export.html import html
from tuitrain.export.markdown import markdown
from tuitrain.export.selection import ChartFile, Runs, can_be_drawn, check_selection
from tuitrain.files import writing
from tuitrain.runs import RunDirectory, RunHistory, Status
from tuitrain.text import shortened

FIGURES = "figures"
_COLOURS = 128
_MOST_ALERTS = 20
_MOST_SAMPLES = 2
_LONGEST_SAMPLE = 2000
_LONGEST_TITLE = 90


@dataclass(frozen=True)
class ReportedRun:
    """A run as a report needs it: its log, how it stands, and its alerts."""

    directory: RunDirectory
    history: RunHistory
    status: Status
    alerts: Sequence[Alert] = ()


def export_report(
    runs: Sequence[ReportedRun],
    out: Path,
    *,
    as_html: bool = False,
    image: str = "png",
    dpi: int = 100,
    x: str = "step",
    baseline: int = 0,
    usd_per_gpu_hour: float | None = None,
    progress: Callable[[Sequence[ChartFile]], Iterable[ChartFile]] = iter,
) -> list[Path]:
    """Write `report.md` with its figures in `figures/`, or `report.html` with everything in it; returns the files.

    image: png or svg; dpi: of png. x: the axis of the figures. baseline: index of the run to which differences refer.
    progress: as of `export_plots`. Raises ExportError where no run has anything to draw; nothing is written then.
    """
    pairs = [(run.directory, run.history) for run in runs]
    # A run without numbers has a configuration to compare.
    drawn = [pair for pair in pairs if can_be_drawn(pair[1])]
    check_selection(drawn or pairs, ())
    names = display_names(pairs)
    named = [(name, run.history) for name, run in zip(names, runs, strict=True)]
    comparison = compare_runs(named, baseline=baseline, usd_per_gpu_hour=usd_per_gpu_hour)
    # Figures of one HTML file are inside it.
    folder = Path(tempfile.mkdtemp(prefix="tuitrain-report-")) if as_html else out
    try:
        pictures = _pictures(drawn, folder / FIGURES, image, dpi, x, progress)
        title = shortened(f"Report: {listed(names)}", _LONGEST_TITLE)
        blocks = [Heading(title, 1), *_blocks(runs, comparison, pictures)]
        path = out / ("report.html" if as_html else "report.md")
        with open_text(path) as file:
            file.write(html(blocks, title) if as_html else markdown(blocks, folder))
    finally:
        if as_html:
            shutil.rmtree(folder)
    return [path] if as_html else [path, *(picture.path for picture in pictures)]


def _pictures(
    runs: Runs, folder: Path, image: str, dpi: int, x: str,
    progress: Callable[[Sequence[ChartFile]], Iterable[ChartFile]],
) -> list[Picture]:  # fmt: skip
    """The comparison of several runs first, then the analysis of each; of a run alone also how it learned."""
    figures = ("analysis", "learning") if len(runs) == 1 else ("comparison", "analysis")
    paths = export_plots(runs, folder, (image,), dpi, x=x, figures=figures, progress=progress)
    if image == "png":
        for path in paths:
            _reduce_colours(path)
    if len(runs) == 1:
        (run_id,) = (directory.run_id for directory, _ in runs)
        return [Picture(path, f"{figure} of {run_id}") for path, figure in zip(paths, figures, strict=True)]
    ids = [directory.run_id for directory, _ in runs]
    together = Picture(paths[-1], f"comparison of {listed(display_names(runs))}")
    return [together, *(Picture(path, f"analysis of {each}") for path, each in zip(paths[:-1], ids, strict=True))]


def _reduce_colours(path: Path) -> None:
    """Write a PNG again with a palette: a figure has few colours, and takes a third of the space."""
    with Image.open(path) as drawn, writing(path):
        # Loaded before the file is replaced.
        drawn.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def _blocks(runs: Sequence[ReportedRun], comparison: Comparison, pictures: Sequence[Picture]) -> list[Block]:
    names = comparison.names
    outcomes, *others = comparison_grids(comparison)
    said = [*comparison.verdict, *_generalization(names, comparison.summaries)]
    note = comparison.configuration_note
    times = _times(
        names,
        [
            # Logs of other tools seldom say how long an evaluation took, or when a step was.
            summary.time_spent if run.directory.source is None else None
            for run, summary in zip(runs, comparison.summaries, strict=True)
        ],
    )
    alerts, findings = _alerts(names, runs), comparison.findings if len(runs) > 1 else []
    differs: list[Block] = [Sentences((f"Configuration: {note}.",))] if note else []
    differs += map(Table, others)
    sections: list[tuple[str, Sequence[Block]]] = [
        ("Runs", [Table(_runs(names, runs))]),
        ("Outcomes", [Table(outcomes)]),
        ("Verdict", [Sentences(tuple(said))] if said else []),
        ("Key findings", [Sentences(tuple(findings))] if findings else []),
        ("What differs", differs),
        ("Figures", pictures),
        ("Where the time went", [Table(times)] if times else []),
        ("Alerts", [Table(alerts)] if alerts else []),
        ("Numbers that contradict each other", _contradictions(names, runs)),
        ("Samples", _samples(names, runs)),
    ]
    return [block for title, blocks in sections if blocks for block in (Heading(title), *blocks)]


def _runs(names: Sequence[str], runs: Sequence[ReportedRun]) -> Grid:
    """What each run is, as far as its log says: a row for each fact that any has."""
    facts = [_facts(run) for run in runs]
    keys = [key for key in facts[0] if any(each[key] for each in facts)]
    rows = [[Cell(key), *(Cell(each[key] or NOT_AVAILABLE) for each in facts)] for key in keys]
    return [[Cell(""), *map(Cell, names)], *rows]


def _facts(run: ReportedRun) -> dict[str, str | None]:
    history, record = run.history, run.history.run
    shape, hardware, parallel = (
        (record.architecture, record.hardware, record.parallel) if record is not None else (None, None, None)
    )
    devices = None
    if hardware is not None:
        count = parallel.world_size if parallel else hardware.count
        devices = f"{count} × {hardware.device}" if count > 1 else hardware.device
    total = f" of {record.total_steps:,}" if record is not None and record.total_steps else ""
    return {
        "id": run.directory.run_id,
        "written by": None if run.directory.source is None else run.directory.source.format,
        "status": str(run.status),
        "steps": None if history.step is None else f"{history.step:,}{total}",
        "started": None if history.started is None else units.moment(history.started, "%d %b %Y %H:%M"),
        "architecture": shape.name or None if shape is not None else None,
        "device": devices,
        "arithmetic": record.dtype if record is not None else None,
    }


def _generalization(names: Sequence[str], summaries: Sequence[Summary]) -> list[str]:
    """A sentence for each run on the gap between training and validation."""
    verdicts = [(name, generalization_verdict(summary)) for name, summary in zip(names, summaries, strict=True)]
    return [f"{name}: {said[0].lower()}{said[1:]}" for name, said in verdicts if said is not None]


def _times(names: Sequence[str], spent: Sequence[TimeSpent | None]) -> Grid:
    """The parts of the wall clock of each run, with their shares; those that took none are left out."""
    rows = []
    for title, field in TIMES:
        values = [getattr(each, field) if each is not None else None for each in spent]
        if any(values):
            rows.append([Cell(title), *(_duration(value, each) for value, each in zip(values, spent, strict=True))])
    return [[Cell(""), *map(Cell, names)], *rows] if rows else []


def _duration(seconds: float | None, spent: TimeSpent | None) -> Cell:
    if seconds is None or spent is None:
        return Cell(NOT_AVAILABLE)
    share = units.percent(seconds / spent.elapsed_s) if spent.elapsed_s > 0 else ""
    return Cell(units.duration(seconds), delta=share)


def _alerts(names: Sequence[str], runs: Sequence[ReportedRun]) -> Grid:
    """The newest alerts of each run, but those that only say that it has ended."""
    rows = []
    for name, run in zip(names, runs, strict=True):
        alerts = [alert for alert in run.alerts if alert.level != "info"]
        if more := len(alerts) - _MOST_ALERTS:
            rows += [[Cell(name), Cell(f"{more:,} more"), Cell(""), Cell("before these")]] * (more > 0)
        rows += [
            [Cell(name), Cell(alert.level), Cell("" if alert.step is None else f"{alert.step:,}"), Cell(alert.message)]
            for alert in alerts[-_MOST_ALERTS:]
        ]
    return [list(map(Cell, ("run", "level", "step", "alert"))), *rows] if rows else []


def _contradictions(names: Sequence[str], runs: Sequence[ReportedRun]) -> list[Block]:
    """What the audit of each log finds; nothing where every number agrees with the others."""
    said = [
        f"{name}: {finding.severity}: {' '.join(finding.sentences)}"
        for name, run in zip(names, runs, strict=True)
        for _, finding in audit_run(run.directory).findings
    ]
    return [Sentences(tuple(said))] if said else []


def _samples(names: Sequence[str], runs: Sequence[ReportedRun]) -> list[Block]:
    """The first and the newest text of each run."""
    blocks: list[Block] = []
    for name, run in zip(names, runs, strict=True):
        written = run.history.samples
        for each in written if len(written) <= _MOST_SAMPLES else (written[0], written[-1]):
            shown = f"{each.prompt}{each.text}"
            cut = f"{shown[:_LONGEST_SAMPLE]}…" if len(shown) > _LONGEST_SAMPLE else shown
            blocks += [Heading(f"{name}, step {each.step:,}", 3), Verbatim(cut.rstrip())]
    return blocks
