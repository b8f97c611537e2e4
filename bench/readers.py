"""Reading other tools' logs of 100,000 steps × 12 metrics, against what those tools read them with.

    python bench/readers.py --data DIR [--leet ENVIRONMENT/bin/wandb] [--ltui ENVIRONMENT/bin/ltui] [--only NAME …]
                            [--repeats 5] [--steps N]

Rows, by the names that --only takes: `tensorboard` (an event file of torch's SummaryWriter; TensorBoard's own
EventAccumulator, which keeps every scalar), `wandb` (an offline run; W&B LEET until it says that the run is finished),
`csv` (pandas.read_csv), `own` (our own log, ten times the steps and four metrics; orjson.loads over its lines), `chart`
(from the start of the dashboard to the first chart of that CSV; lightning-metrics-tui) and `whole-chart` (the same
until all steps are in ours; in theirs they are at once).

Each side is a process of its own, from its start to all values in memory, the sides in turn; the median counts. Beside
the time stands the CPU time, user and system, which other work on the machine changes less: of a dashboard that of the
seconds that it was watched. Memory is the largest resident size. The logs are written by the tools themselves, once,
and kept in DIR.
"""

from __future__ import annotations

import argparse
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from common import print_table
from terminal import Terminal
from watch_run import METRICS
from watch_tools import Bench, Tool, leet_tools, our_tool, say

CURVE = re.compile("[\u2801-\u28ff\u2580-\u259f]")
CHART_TIMEOUT_S = 120.0
LOOK_S = 8.0
CELLS_OF_A_CURVE = 40
"""Cells with braille or block characters that a screen with a curve has at least."""
SIDES = Path(__file__).with_name("readers_sides.py")
TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Taken:
    """Seconds, those of CPU time, bytes at most, and how many values were read; None: it does not say."""

    seconds: float
    cpu: float
    peak: float
    values: int | None = None

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, CPU {self.cpu:.2f} s, {self.peak / 1e6:.0f} MB"


def side(name: str, path: Path, *arguments: str) -> Taken:
    """Run one side of readers_sides.py."""
    began, cpu = time.perf_counter(), cpu_of_children()
    done = subprocess.run([sys.executable, SIDES, name, path, *arguments], stdout=subprocess.PIPE, check=True)
    seconds, cpu = time.perf_counter() - began, cpu_of_children() - cpu
    values, peak = map(int, done.stdout.split()[-2:])
    return Taken(seconds, cpu, peak, values)


def cpu_of_children() -> float:
    """User and system time of the processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ours_of(path: Path) -> Taken:
    """Our reading of another tool's log."""
    return side("ours", path)


@dataclass(frozen=True)
class Comparison:
    """A row: the log, the program that it is compared with, and the goals as ours / theirs, of time and memory."""

    what: str
    them: str
    log: Path
    theirs: Callable[[Path], Taken]
    most_time: float
    most_memory: float | None = None
    ours: Callable[[Path], Taken] = ours_of


@dataclass(frozen=True)
class Options:
    """What was asked for. leet: W&B's program, ltui: that of lightning-metrics-tui; None where it is not there."""

    data: Path
    steps: int
    leet: Path | None
    ltui: Path | None


def log_of(options: Options, name: str, write: Callable[[Path], object]) -> Path:
    """The log of this name, written now unless it is there from the last time."""
    folder = options.data / f"{name}-{options.steps}"
    if not folder.exists():
        say(f"writing {folder.name}")
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        write(part)
        part.rename(folder)
    return folder


def tensorboard(options: Options) -> Comparison | str:
    """TensorBoard's events."""
    log = log_of(options, "tensorboard", lambda part: side("write-tensorboard", part, "--steps", str(options.steps)))
    return Comparison(
        "TensorBoard events", "EventAccumulator", log, lambda path: side("event-accumulator", path), 1 / 5, 1 / 2
    )


def wandb(options: Options) -> Comparison | str:
    """W&B's offline runs."""
    if options.leet is None:
        return "wandb is not installed: --leet ENVIRONMENT/bin/wandb"
    bench, tool = Bench(options.data), leet_tools(options.leet)[0]
    log = log_of(options, "wandb", lambda part: bench.write(tool, part, options.steps, METRICS))
    return Comparison("W&B offline run", "LEET", log, lambda path: leet(bench, tool, path, options.steps), 1 / 5)


def leet(bench: Bench, tool: Tool, run: Path, steps: int) -> Taken:
    """LEET in a terminal, until it has all of the run."""
    start = bench.start(tool, run, steps, TIMEOUT_S)
    return Taken(start.loaded_s, start.cpu, start.peak)


def table(options: Options) -> Comparison | str:
    """A CSV with a column for steps."""
    log = log_of(options, "csv", lambda part: side("write-csv", part, "--steps", str(options.steps)))
    return Comparison("CSV", "pandas.read_csv", log, lambda path: side("pandas", path), 2)


def own(options: Options) -> Comparison | str:
    """Our own log, read into records."""
    if find_spec("orjson") is None:
        return "orjson is not installed"
    steps = 10 * options.steps
    log = log_of(options, "own", lambda part: side("write-own", part, "--steps", str(steps)))
    return Comparison(
        f"our log, {steps:,} steps", "orjson.loads", log, lambda path: side("orjson", path), 2,
        ours=lambda path: side("follower", path),
    )  # fmt: skip


def chart(options: Options, whole: bool) -> Comparison | str:
    """The start of a dashboard on a CSV of Lightning. whole: until the chart has all of it, as theirs has at once."""
    if options.ltui is None:
        return "lightning-metrics-tui is not installed: --ltui ENVIRONMENT/bin/ltui"
    ltui = options.ltui
    log = log_of(options, "lightning", lambda part: side("write-lightning", part, "--steps", str(options.steps)))
    ours = our_tool()

    def is_there(lines: list[str]) -> bool:
        return has_curve(lines) and (not whole or ours.is_loaded(lines, options.steps))

    return Comparison(
        f"{'whole' if whole else 'first'} chart of a CSV", "lightning-metrics-tui", log,
        lambda path: shown([ltui, path], has_curve, options.data), 1,
        ours=lambda path: shown(ours.command(path / "lightning_logs/version_0"), is_there, options.data),
    )  # fmt: skip


def has_curve(lines: list[str]) -> bool:
    """Whether a screen has cells enough of a curve."""
    return sum(len(CURVE.findall(line)) for line in lines) >= CELLS_OF_A_CURVE


def shown(command: Sequence[str | Path], is_there: Callable[[list[str]], bool], folder: Path) -> Taken:
    """From the start of a program in a terminal to the first screen that passes the test."""
    env = {f"XDG_{kind}_HOME": str(folder / "home" / kind.lower()) for kind in ("CONFIG", "CACHE", "DATA", "STATE")}
    ends = time.monotonic() + CHART_TIMEOUT_S
    with Terminal(command, folder, env) as terminal:
        while time.monotonic() < ends:
            # Not until it is quiet: one that draws anew every second never is.
            time.sleep(LOOK_S)
            for at, lines in terminal.frames():
                if is_there(lines):
                    return Taken(at, terminal.cpu_seconds(), terminal.peak_memory())
    raise TimeoutError(f"{command[0]} shows no curve")


ROWS: dict[str, Callable[[Options], Comparison | str]] = {
    "tensorboard": tensorboard, "wandb": wandb, "csv": table, "own": own,
    "chart": partial(chart, whole=False), "whole-chart": partial(chart, whole=True),
}  # fmt: skip
"""What is measured. To add one: a function that names log and goals, or says why it can't be measured."""


def row(comparison: Comparison, repeats: int) -> tuple[list[str], bool]:
    """Measure both sides in turn. Returns a line of the table, and whether the goals are met."""
    theirs, ours = [], []
    for repeat in range(repeats):
        theirs.append(comparison.theirs(comparison.log))
        ours.append(comparison.ours(comparison.log))
        say(f"{comparison.what} {repeat + 1}: {comparison.them} {theirs[-1]}, ours {ours[-1]}")
        if theirs[-1].values not in (None, ours[-1].values):
            raise ChildProcessError(f"{comparison.them} has {theirs[-1].values} values, ours {ours[-1].values}")
    before, now = middle(theirs), middle(ours)
    time_ratio, cpu_ratio, memory_ratio = now.seconds / before.seconds, now.cpu / before.cpu, now.peak / before.peak
    met = time_ratio <= comparison.most_time and memory_ratio <= (comparison.most_memory or memory_ratio)
    goal = f"{comparison.most_time:.2f}" + (f", {comparison.most_memory:.2f}" if comparison.most_memory else "")
    ratios = f"{time_ratio:.2f}, {cpu_ratio:.2f}, {memory_ratio:.2f}"
    return [comparison.what, comparison.them, str(before), str(now), ratios, goal, "yes" if met else "NO"], met


def middle(taken: Sequence[Taken]) -> Taken:
    """The medians."""
    return Taken(*(statistics.median(getattr(each, name) for each in taken) for name in ("seconds", "cpu", "peak")))


def main() -> int:
    """Print the table; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where logs are kept")
    parser.add_argument("--leet", metavar="WANDB", help="the wandb command; default: the one in PATH")
    parser.add_argument("--ltui", metavar="LTUI", help="the ltui command; default: the one in PATH")
    parser.add_argument("--repeats", type=int, default=5, help="the median counts")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help=", ".join(ROWS))
    arguments = parser.parse_args()
    found = shutil.which(arguments.leet or "wandb")
    ltui = shutil.which(arguments.ltui or "ltui")
    options = Options(
        arguments.data.resolve(), arguments.steps, Path(found) if found else None, Path(ltui) if ltui else None
    )
    options.data.mkdir(parents=True, exist_ok=True)
    lines, all_met = [], True
    for name in arguments.only or ROWS:
        comparison = ROWS[name](options)
        if isinstance(comparison, str):
            say(f"{name} is skipped: {comparison}")
            continue
        line, met = row(comparison, arguments.repeats)
        lines.append(line)
        all_met = all_met and met
    python = f"Python {platform.python_version()}, {platform.machine()}"
    print(f"{python}, {options.steps:,} steps, median of {arguments.repeats}")
    print_table(
        ["log", "against", "theirs", "ours", "ours / theirs: time, CPU, memory", "at most: time, memory", "met"], lines
    )
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
