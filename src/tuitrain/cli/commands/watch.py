"""`tuitrain watch`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuitrain.cli.options import OptionalRunsArgument, RunsDirOption
from tuitrain.cli.output import is_terminal, text_area

if TYPE_CHECKING:
    from pathlib import Path

    from tuitrain.runs import RunDirectory, RunHistory

XAxis = Literal["step", "tokens", "time"]
FRAME_COLUMNS, FRAME_ROWS = 120, 40
"""Size of a frame that is not shown on a terminal."""


def watch(
    runs: OptionalRunsArgument = None,
    once: Annotated[bool, typer.Option("--once", help="Print one frame of text and leave.")] = False,
    x: Annotated[XAxis, typer.Option("--x", help="What the x axis shows.")] = "step",
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain watch
      tuitrain watch latest
      tuitrain watch RUN RUN
      tuitrain watch latest --once
      ssh node1 cat runs/RUN/metrics.jsonl | tuitrain watch -

    The dashboard: curves, samples, console, alerts. Leaving it never touches training.

    Several runs overlay. Without a RUN: the newest live run, else the list. Not on a terminal: one frame of text.
    """
    from tuitrain.runs import find_run, runs_directory

    where = runs_directory(runs_dir)
    if runs == ["-"]:
        return _watch_stream(once, x)
    found = [find_run(name, where) for name in runs or []] or _newest_live(where)
    if once or not is_terminal():
        return _frame(found, where, x)
    return _dashboard(found, where, x)


def _newest_live(where: Path) -> list[RunDirectory]:
    from tuitrain.runs import glance, list_runs

    return next(([run] for run in list_runs(where) if glance(run).status.live), [])


def _dashboard(runs: list[RunDirectory], where: Path, x: XAxis) -> None:
    from tuitrain.tui.app import run_app

    raise typer.Exit(run_app("watch" if runs else "runs", runs, where, x=x))


def _watch_stream(once: bool, x: XAxis) -> None:
    """Follow records on stdin; the keyboard is then read from the terminal itself."""
    import os
    from pathlib import Path

    from tuitrain.runs import RunHistory, StreamFollower, drain

    pipe = os.dup(sys.stdin.fileno())
    if once or not sys.stdout.isatty():
        follower, history = StreamFollower(pipe), RunHistory()
        while not follower.ended:
            history = drain(follower, history)
        return _print_frame([history], x)
    from tuitrain.tui.app import run_app

    os.dup2(os.open("/dev/tty", os.O_RDWR), sys.stdin.fileno())
    raise typer.Exit(run_app("watch", [], Path(), stream=StreamFollower(pipe), x=x))


def _frame(runs: list[RunDirectory], where: Path, x: XAxis) -> None:
    """One frame of text; without a run, the list."""
    if not runs:
        from tuitrain.cli.commands.ls import ls

        return ls(runs_dir=where)
    for run in runs:
        run.metrics.stat()
    return _print_frame(runs, x)


def _print_frame(runs: Sequence[RunDirectory | RunHistory], x: XAxis) -> None:
    from tuitrain.tui.frame import render_frame

    width, color = text_area()
    height = shutil.get_terminal_size((FRAME_COLUMNS, FRAME_ROWS)).lines
    print(render_frame(runs, width, height, color, x=x), end="")
