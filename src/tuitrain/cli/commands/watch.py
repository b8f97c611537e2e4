"""`tuitrain watch`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuitrain.cli.options import (
    AsciiOption,
    OptionalRunsArgument,
    ReadonlyOption,
    RefreshOption,
    RunsDirOption,
    ThemeOption,
    XOption,
)
from tuitrain.cli.output import is_terminal, text_area

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory, RunHistory
    from tuitrain.tui.registry import Place
    from tuitrain.tui.settings import Found

FRAME_COLUMNS, FRAME_ROWS = 120, 40
"""Size of a frame that is not shown on a terminal."""


def watch(
    runs: OptionalRunsArgument = None,
    once: Annotated[bool, typer.Option("--once", help="Print one frame of text and leave.")] = False,
    x: XOption = None,
    layout: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The set of panels: overview, training, performance, system, your own.",
                     show_default=False),
    ] = None,
    theme: ThemeOption = None,
    refresh: RefreshOption = None,
    ascii_only: AsciiOption = None,
    readonly: ReadonlyOption = None,
    serve: Annotated[bool, typer.Option("--serve", help="Show the dashboard in a browser.")] = False,
    host: Annotated[str, typer.Option(help="With --serve: the address to listen at.")] = "localhost",
    port: Annotated[int, typer.Option(min=1, max=65535, help="With --serve: the port to listen at.")] = 8000,
    runs_dir: RunsDirOption = None,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain watch
      tuitrain watch latest
      tuitrain watch RUN RUN
      tuitrain watch latest --once
      tuitrain watch --serve --readonly
      ssh node1 cat runs/RUN/metrics.jsonl | tuitrain watch -

    The dashboard: curves, samples, console, alerts. Leaving it never touches training.

    Several runs overlay. Without a RUN: the newest live run, else the list. Not on a terminal: one frame of text.
    """
    from tuitrain.runs import find_run, runs_directory
    from tuitrain.tui.settings import load_settings

    where = runs_directory(runs_dir)
    flags = {
        "x": x, "layout": layout, "theme": theme, "refresh_s": refresh, "ascii": ascii_only, "readonly": readonly,
    }  # fmt: skip
    found = load_settings(flags)
    if runs == ["-"]:
        if serve:
            raise typer.BadParameter("standard input can be read once only, not for each page.", param_hint="--serve")
        return _watch_stream(once, found)
    named = [find_run(name, where) for name in runs or []]
    if serve:
        return _serve([*(runs or []), "--runs-dir", str(where), *_words(flags)], host, port)
    chosen = named or _newest_live(where)
    if once or not is_terminal():
        return _frame(chosen, where, found)
    # Without a name it is the screen that was left last.
    return _dashboard("watch" if named else None if chosen else "runs", chosen, where, found)


def _words(flags: dict[str, Any]) -> list[str]:
    """The flags that were given, as words of a command line."""
    words: list[str] = []
    for name, value in flags.items():
        flag = f"--{name.removesuffix('_s')}"
        words += [] if value is None else [flag] if value is True else [flag, str(value)]
    return words


def _serve(arguments: list[str], host: str, port: int) -> None:
    try:
        from tuitrain.tui.serve import LOOPBACK, serve
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0].replace("_", "-")
        raise typer.BadParameter(
            f"{missing} is not installed: pip install 'tuitrain[serve]'.", param_hint="--serve"
        ) from error
    if host not in LOOPBACK and "--readonly" not in arguments:
        print("Whoever reaches this address can stop runs; --readonly takes that away.", file=sys.stderr)
    serve([sys.executable, "-m", "tuitrain.cli", "watch", *arguments], host, port)


def _newest_live(where: Path) -> list[RunDirectory]:
    from tuitrain.runs import glance, list_runs

    return next(([run] for run in list_runs(where) if glance(run).status.live), [])


def _dashboard(screen: Place | None, runs: list[RunDirectory], where: Path, found: Found) -> None:
    import gc

    # Nothing of what is imported and built for the first picture is garbage; the app turns the search on again.
    gc.disable()
    from tuitrain.tui.app import run_app

    raise typer.Exit(run_app(screen, runs, where, found=found))


def _watch_stream(once: bool, found: Found) -> None:
    """Follow records on stdin; the keyboard is then read from the terminal itself."""
    import os

    from tuitrain.runs import RunHistory, StreamFollower, drain

    pipe = os.dup(sys.stdin.fileno())
    if once or not sys.stdout.isatty():
        follower, history = StreamFollower(pipe), RunHistory()
        while not follower.ended:
            history = drain(follower, history)
        return _print_frame([history], found)
    from tuitrain.tui.app import run_app

    os.dup2(os.open("/dev/tty", os.O_RDWR), sys.stdin.fileno())
    raise typer.Exit(run_app("watch", [], Path(), stream=StreamFollower(pipe), found=found))


def _frame(runs: list[RunDirectory], where: Path, found: Found) -> None:
    """One frame of text; without a run, the list."""
    if not runs:
        from tuitrain.cli.commands.ls import ls

        return ls(runs_dir=where)
    for run in runs:
        run.metrics.stat()
    return _print_frame(runs, found)


def _print_frame(runs: Sequence[RunDirectory | RunHistory], found: Found) -> None:
    from tuitrain.tui.frame import render_frame
    from tuitrain.tui.seven_bit import seven_bit

    width, color = text_area()
    height = shutil.get_terminal_size((FRAME_COLUMNS, FRAME_ROWS)).lines
    text = render_frame(runs, width, height, color, x=found.settings.x)
    print(seven_bit(text) if found.settings.ascii else text, end="")
