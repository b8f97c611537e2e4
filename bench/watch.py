"""The dashboard against W&B LEET on the same runs, each in a pseudo-terminal of 200×50, one after the other.

    python bench/watch.py --data DIR [--leet ENVIRONMENT/bin/wandb] [--repeats 5] [--large] [--only NAME …] [--quick]

Rows, by the names that --only takes: `start` (first charts, all loaded, peak memory of 100,000 steps × 12 metrics),
`live` (CPU and bytes at a step a second; record written → on the screen at three rates), `write` (100,000 records from
the training process), `charts` (CPU of drawing six panels again, with the rasteriser and with plotext, in this process)
and, with --large, `large` (1,000,000 steps × 4 metrics, once; LEET takes minutes).

What counts, for both tools alike. First charts: two curves in braille beside each other. Loaded: LEET says that the run
is finished, which is the last record of its file; tuitrain shows the last step and no longer that it is loading.
On the screen: the step number it shows is that of the record or a later one. Memory: the sum of the largest resident
sizes of the tool's processes. LEET is given the run, as tuitrain is; for what stands in brackets it is given the
directory of runs (workspace view). Without --leet and without `wandb` in PATH only tuitrain is measured. DIR keeps the
runs for the next time.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil

import watch_charts
from watch_run import METRICS
from watch_tools import Bench, Live, Start, Tool, leet_tools, our_tool, say

LARGE_METRICS = ("loss", "lr", "grad_norm", "tokens_per_sec")
LARGE_TIMEOUT_S = 1800.0
OURS, LEET = "tuitrain", "LEET"
NOT_MEASURED = "n/a"


@dataclass(frozen=True)
class Sizes:
    """How much is measured. seconds: how long a live session lasts, by its steps a second; the middle one is 1."""

    steps: int = 100_000
    large_steps: int = 1_000_000
    seconds: tuple[tuple[float, float], ...] = ((0.2, 120.0), (1.0, 30.0), (10.0, 30.0))


QUICK = Sizes(2_000, 5_000, ((0.2, 20.0), (1.0, 10.0), (10.0, 5.0)))


@dataclass(frozen=True)
class Row:
    """One line of the table. met: None when there is nothing to compare with."""

    what: str
    leet: str
    ours: str
    goal: str
    met: bool | None


@dataclass(frozen=True)
class Plan:
    """What was asked for: the measuring, the tools (ours last), the sizes."""

    bench: Bench
    tools: Sequence[Tool]
    sizes: Sizes
    repeats: int

    @property
    def main_tools(self) -> list[Tool]:
        """The tools without LEET's other view."""
        return [tool for tool in self.tools if tool.name in (LEET, OURS)]


def versus(what: str, found: Mapping[str, float], unit: str, goal: str, factor: float = 1.0) -> Row:
    """A line whose goal is LEET's figure divided by `factor`; of LEET's other view the figure is only told."""
    ours, leet = found[OURS], found.get(LEET)
    others = [f"{name} {number(value)} {unit}" for name, value in found.items() if name not in (LEET, OURS)]
    told = NOT_MEASURED if leet is None else f"{number(leet)} {unit}" + "".join(f" ({other})" for other in others)
    ratio = "" if leet is None else f" ({number(leet / ours)} ×)"
    met = None if leet is None else ours <= leet / factor
    return Row(what, told, f"{number(ours)} {unit}{ratio}", goal, met)


def number(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def start(plan: Plan) -> list[Row]:
    """First charts, everything, and memory."""
    found: dict[str, list[Start]] = {tool.name: [] for tool in plan.tools}
    for tool in plan.tools:
        plan.bench.warm_up(tool)
    for repeat in range(plan.repeats):
        for tool in plan.tools:
            run = plan.bench.finished(tool, plan.sizes.steps, METRICS)
            found[tool.name].append(plan.bench.start(tool, run, plan.sizes.steps))
            say(f"start {repeat + 1}: {tool.name} {found[tool.name][-1]}")
    return start_rows(f"{plan.sizes.steps:,} steps × {len(METRICS)} metrics", found, 10)


def large(plan: Plan) -> list[Row]:
    """The same, once, of a run that is ten times longer."""
    found: dict[str, list[Start]] = {}
    for tool in plan.tools:
        run = plan.bench.finished(tool, plan.sizes.large_steps, LARGE_METRICS)
        found[tool.name] = [plan.bench.start(tool, run, plan.sizes.large_steps, LARGE_TIMEOUT_S)]
        say(f"large: {tool.name} {found[tool.name][0]}")
    return start_rows(f"{plan.sizes.large_steps:,} steps × {len(LARGE_METRICS)} metrics, once", found, 25)


def start_rows(what: str, found: Mapping[str, Sequence[Start]], factor: int) -> list[Row]:
    """The lines of a finished run, with medians."""
    first, loaded, peak = (
        {name: statistics.median(getattr(each, field) for each in starts) for name, starts in found.items()}
        for field in ("first_s", "loaded_s", "peak")
    )
    return [
        versus(f"{what}: first charts", first, "s", "no later"),
        versus(f"{what}: all loaded", loaded, "s", f"at least {factor} × faster", factor),
        versus(f"{what}: peak memory", {name: size / 1e6 for name, size in peak.items()}, "MB", "less"),
    ]


def live(plan: Plan) -> list[Row]:
    """CPU, bytes and delays of a run that goes on. At a step a second `repeats` times, at other rates once."""
    cpu: dict[str, float] = {}
    sent: dict[str, float] = {}
    rows = []
    for rate, seconds in plan.sizes.seconds:
        sessions = watch_live(plan, rate, seconds)
        if rate == 1:
            cpu = {name: 100 * statistics.median(each.cpu for each in lived) for name, lived in sessions.items()}
            sent = {name: statistics.median(each.sent for each in lived) / 1000 for name, lived in sessions.items()}
        delays = {name: [delay for each in lived for delay in each.delays] for name, lived in sessions.items()}
        median, late = (
            {name: float(np.percentile(all_of, percent, method="inverted_cdf")) for name, all_of in delays.items()}
            for percent in (50, 95)
        )
        told = {name: f"{seconds_of(median[name])}, 95 % {seconds_of(late[name])}" for name in delays}
        met = median[OURS] <= 1 and late[OURS] <= 1.5
        what = f"record written → on the screen, {rate:g} steps/s"
        rows.append(Row(what, told.get(LEET, NOT_MEASURED), told[OURS], "median 1 s, 95 % 1.5 s", met))
    return [
        versus("live run at 1 step/s: CPU", cpu, "% of a core", "at most a tenth", 10),
        versus("live run at 1 step/s: to the terminal in 10 s", sent, "kB", "no more"),
        *rows,
    ]


def watch_live(plan: Plan, rate: float, seconds: float) -> dict[str, list[Live]]:
    """The sessions of each tool at one rate."""
    sessions: dict[str, list[Live]] = {tool.name: [] for tool in plan.main_tools}
    for repeat in range(plan.repeats if rate == 1 else 1):
        for tool in plan.main_tools:
            sessions[tool.name].append(plan.bench.live(tool, rate, seconds))
            say(f"live {rate:g}/s {repeat + 1}: {tool.name} {sessions[tool.name][-1]}")
    return sessions


def seconds_of(delay: float) -> str:
    """A delay, or that the record did not come."""
    return f"{delay:.2f} s" if math.isfinite(delay) else "never"


def write(plan: Plan) -> list[Row]:
    """What logging costs the training process."""
    found: dict[str, list[float]] = {tool.name: [] for tool in plan.main_tools}
    for repeat in range(plan.repeats):
        for tool in plan.main_tools:
            found[tool.name].append(plan.bench.timed_write(tool, plan.sizes.steps, METRICS))
            say(f"write {repeat + 1}: {tool.name} {found[tool.name][-1]:.2f} s")
    middle = {name: statistics.median(times) for name, times in found.items()}
    row = versus(f"writing {plan.sizes.steps:,} records from the training process", middle, "s", "at most 2 s")
    return [Row(row.what, row.leet, row.ours, row.goal, middle[OURS] <= 2)]


def charts(plan: Plan) -> list[Row]:
    """What a redraw of six panels costs with either of `charts`, one after the other."""
    repeats = max(plan.repeats, 3) * 10
    ours, plotext = (watch_charts.redraw_ms(each, repeats) for each in (False, True))
    what = (
        f"redraw of {watch_charts.PANELS} panels of {watch_charts.COLUMNS}×{watch_charts.ROWS}, "
        f"two noisy curves of {watch_charts.POINTS} points each: CPU"
    )
    told = f'{number(ours)} ms; with `charts = "plotext"` {number(plotext)} ms ({number(plotext / ours)} ×)'
    return [Row(what, NOT_MEASURED, told, "under 10 ms", ours < 10)]


MEASURED: dict[str, Callable[[Plan], list[Row]]] = {
    "start": start, "live": live, "write": write, "charts": charts, "large": large,
}  # fmt: skip


def report(rows: Sequence[Row], leet: Path | None, repeats: int) -> str:
    """The table in Markdown, and what it was measured with."""
    marks = {True: "yes", False: "**no**", None: NOT_MEASURED}
    cpu = next((line.partition(":")[2] for line in cpu_info() if line.startswith("model name")), platform.machine())
    memory = psutil.virtual_memory().total / 1e9
    versions = [
        f"tuitrain {version('tuitrain')}",
        f"textual {version('textual')}",
        f"Python {platform.python_version()}",
    ]
    if leet is not None:
        versions.append(
            subprocess.run([leet, "--version"], capture_output=True, text=True).stdout.replace(", version", "").strip()
        )
    return "\n".join([
        "| what | LEET | tuitrain | goal | met |",
        "|---|---|---|---|---|",
        *(f"| {row.what} | {row.leet} | {row.ours} | {row.goal} | {marks[row.met]} |" for row in rows),
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {cpu.strip()}, {os.cpu_count()} cores, {memory:.0f} GB; {', '.join(versions)}; "
        f"median of {repeats}, 200×50:",
        "",
        f"    {shlex.join(['python', *sys.argv])}",
    ])  # fmt: skip


def cpu_info() -> list[str]:
    """What Linux says of its processors; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main() -> int:
    """Measure and print; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where runs are kept")
    parser.add_argument("--leet", metavar="WANDB", help="the wandb command; default: the one in PATH")
    parser.add_argument("--repeats", type=int, default=5, help="the median counts")
    parser.add_argument("--large", action="store_true", help="also the run of 1,000,000 steps, once")
    parser.add_argument("--only", nargs="+", choices=MEASURED, metavar="NAME", help=", ".join(MEASURED))
    parser.add_argument("--quick", action="store_true", help="small runs and short sessions: does the script work?")
    options = parser.parse_args()
    # Ended from outside as by Ctrl+C: programs and writers are ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = shutil.which(options.leet or "wandb")
    if options.leet and found is None:
        parser.error(f"--leet {options.leet} is not a command.")
    leet = Path(found) if found else None
    names = [name for name in MEASURED if name in (options.only or MEASURED)]
    if not options.only and not options.large:
        names.remove("large")
    try:
        tools = [*(leet_tools(leet) if leet else ()), our_tool()]
    except FileNotFoundError as error:
        parser.error(str(error))
    sizes, repeats = (QUICK, 1) if options.quick else (Sizes(), options.repeats)
    plan = Plan(Bench(options.data.resolve()), tools, sizes, repeats)
    rows: list[Row] = []
    failed = False
    try:
        for name in names:
            try:
                rows += MEASURED[name](plan)
            except (ChildProcessError, TimeoutError, subprocess.CalledProcessError) as error:
                failed = True
                say(f"{name} could not be measured: {error}")
    except KeyboardInterrupt:
        failed = True
        say("interrupted; what is known so far:")
    print(report(rows, leet, repeats))
    return 1 if failed or any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
