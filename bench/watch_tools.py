"""What bench/watch.py measures: a dashboard on a finished run, a dashboard on a live one, and the writing of a run."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from terminal import Terminal
from watch_run import METRICS

WRITER = Path(__file__).with_name("watch_run.py")
HISTORY = 500
SETTLE_S = 10.0
GRACE_S = 45.0
TIMEOUT_S = 120.0
TWO_CURVES = re.compile("[\u2801-\u28ff][^\u2801-\u28ff]*│[^\u2801-\u28ff]*[\u2801-\u28ff]")
LEET_STEP = re.compile(r"_step +(\d+)")
OUR_STEP = re.compile(r"step ([\d,]+)")
READING = re.compile(r"(?:reading|loading) +\d+ %")


@dataclass(frozen=True)
class Tool:
    """A dashboard: how it is started, what its screen says, and the Python that writes runs for it."""

    name: str
    format: str
    python: Path
    command: Callable[[Path], list[str | Path]]
    step: Callable[[list[str]], int]
    is_loaded: Callable[[list[str], int], bool]

    def writer(self, folder: Path, steps: int) -> list[str | Path]:
        """The command that writes a run of so many steps."""
        return [self.python, WRITER, self.format, folder, "--steps", str(steps)]


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the program, bytes, and seconds of CPU time until nothing more came."""

    first_s: float
    loaded_s: float
    peak: float
    cpu: float

    def __str__(self) -> str:
        return f"first charts {self.first_s:.2f} s, loaded {self.loaded_s:.2f} s, {self.peak / 1e6:.0f} MB"


@dataclass(frozen=True)
class Live:
    """Of a session: seconds from record to screen, CPU in cores, bytes to the terminal in 10 s."""

    delays: tuple[float, ...]
    cpu: float
    sent: float

    def __str__(self) -> str:
        middle = statistics.median(self.delays)
        return f"CPU {self.cpu:.1%}, {self.sent / 1000:.1f} kB in 10 s, {len(self.delays)} records {middle:.2f} s late"


def has_charts(lines: list[str]) -> bool:
    """Whether two curves lie beside each other, somewhere."""
    return any(TWO_CURVES.search(line) for line in lines)


def our_step(lines: list[str]) -> int:
    """The step in our header; 0 while there is none."""
    found = OUR_STEP.search(lines[0])
    return int(found[1].replace(",", "")) if found else 0


def leet_step(lines: list[str]) -> int:
    """The step in LEET's summary; 0 while there is none."""
    return next((int(found[1]) for line in lines if (found := LEET_STEP.search(line))), 0)


def our_tool() -> Tool:
    """tuitrain of this environment."""
    command = Path(sys.executable).with_name("tuitrain")
    if not command.exists():
        raise FileNotFoundError(f"No {command}: install tuitrain into the environment of this Python.")
    return Tool(
        "tuitrain", "tuitrain", Path(sys.executable),
        lambda run: [command, "watch", run],
        our_step,
        lambda lines, last: our_step(lines) == last and not any(READING.search(line) for line in lines[:3]),
    )  # fmt: skip


def leet_tools(wandb: Path) -> tuple[Tool, Tool]:
    """LEET with a run, and with the directory of its runs."""
    python = wandb.resolve().with_name("python")
    if not python.exists():
        raise FileNotFoundError(f"No {python}: --leet takes the wandb command of an environment.")

    def tool(name: str, place: Callable[[Path], Path]) -> Tool:
        return Tool(
            name, "wandb", python,
            lambda run: [wandb, "beta", "leet", "run", place(run)],
            leet_step,
            lambda lines, _: any("State: Finished" in line for line in lines),
        )  # fmt: skip

    return tool("LEET", wandb_run), tool("workspace view", lambda run: run / "wandb")


def wandb_run(folder: Path) -> Path:
    """The directory of the only run that wandb wrote in a folder."""
    return next((folder / "wandb").glob("offline-run-*"))


class Bench:
    """The measurements. data: where runs are kept, and where the tools keep their settings."""

    def __init__(self, data: Path) -> None:
        self.data = data
        home = data / "home"
        home.mkdir(parents=True, exist_ok=True)
        self.env = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
        self.env |= {f"WANDB_{kind}_DIR": str(home) for kind in ("CONFIG", "CACHE", "DATA")}
        self.env |= {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "CACHE", "DATA", "STATE")}

    def finished(self, tool: Tool, steps: int, metrics: Sequence[str]) -> Path:
        """A finished run of this size, written now unless it is there from the last time."""
        folder = self.data / f"{steps}x{len(metrics)}-{tool.format}"
        if not folder.exists():
            say(f"writing {folder.name}")
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            self.write(tool, part, steps, metrics)
            part.rename(folder)
        return folder

    def write(self, tool: Tool, folder: Path, steps: int, metrics: Sequence[str]) -> float:
        """Write a run; the seconds it took the training process."""
        command = [*tool.writer(folder, steps), "--metrics", *metrics]
        done = subprocess.run(command, env=os.environ | self.env, stdout=subprocess.PIPE, text=True, check=True)
        return float(done.stdout.split()[-1])

    def timed_write(self, tool: Tool, steps: int, metrics: Sequence[str]) -> float:
        """Seconds to write a run that nobody keeps."""
        with tempfile.TemporaryDirectory(dir=self.data) as folder:
            return self.write(tool, Path(folder), steps, metrics)

    def start(self, tool: Tool, run: Path, last: int, timeout_s: float = TIMEOUT_S) -> Start:
        """Open a finished run and wait until all of it is there."""
        first = loaded = math.inf
        with Terminal(tool.command(run), self.data, self.env) as terminal:
            while math.isinf(loaded):
                terminal.wait_until_quiet(timeout_s)
                for at, lines in terminal.frames():
                    if not has_charts(lines):
                        continue
                    first = min(first, at)
                    # The last time it became true: a mark that goes and comes back was not the end.
                    loaded = min(loaded, at) if tool.is_loaded(lines, last) else math.inf
            return Start(first, loaded, terminal.peak_memory(), terminal.cpu_seconds())

    def warm_up(self, tool: Tool) -> None:
        """Open a small run, so that what is measured finds files in memory and modules compiled."""
        self.start(tool, self.finished(tool, HISTORY, METRICS), HISTORY)

    @contextlib.contextmanager
    def writing(self, tool: Tool, rate: float) -> Iterator[tuple[Path, Callable[[], list[tuple[int, float]]]]]:
        """A run that goes on at so many steps a second: its directory, and a function for its steps and their times."""
        with tempfile.TemporaryDirectory(dir=self.data) as folder:
            run, times = Path(folder) / "run", Path(folder) / "times"
            command = [*tool.writer(run, HISTORY), "--live", str(rate)]
            with times.open("wb") as out:
                process = subprocess.Popen(command, env=os.environ | self.env, stdout=out)

            def written() -> list[tuple[int, float]]:
                whole = times.read_text().rpartition("\n")[0]
                return [(int(step), float(at)) for step, at in (line.split() for line in whole.splitlines())]

            try:
                while not written():
                    if process.poll() is not None:
                        raise ChildProcessError(f"the writer of {tool.format} runs ended at its start")
                    time.sleep(0.1)
                yield run, written
            finally:
                process.terminate()
                process.wait()

    def live(self, tool: Tool, rate: float, seconds: float) -> Live:
        """Watch a live run for so long, after its history is on the screen."""
        shown: list[tuple[float, int]] = []
        with self.writing(tool, rate) as (run, written), Terminal(tool.command(run), self.data, self.env) as terminal:

            def newest() -> int:
                shown.extend((terminal.started + at, tool.step(lines)) for at, lines in terminal.frames())
                return max((step for _, step in shown), default=0)

            terminal.wait_until(has_charts, TIMEOUT_S)
            time.sleep(SETTLE_S)
            begin, cpu = time.time(), terminal.cpu_seconds()
            time.sleep(seconds)
            end, cpu = time.time(), terminal.cpu_seconds() - cpu
            records = [(step, at) for step, at in written() if begin <= at < end]
            while newest() < records[-1][0] and time.time() < end + GRACE_S:
                time.sleep(0.2)
            sent = terminal.sent_between(begin, end)
        delays = [next((seen - at for seen, number in shown if number >= step), math.inf) for step, at in records]
        return Live(tuple(delays), cpu / (end - begin), sent / (end - begin) * 10)


def say(what: str) -> None:
    """Progress, for whoever waits."""
    print(f"· {what}", file=sys.stderr, flush=True)
