"""`tuitrain watch`."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuitrain.cli import options
from tuitrain.cli.completion import complete_layout
from tuitrain.cli.lookup import STANDARD_INPUT, find_runs, given_by
from tuitrain.cli.output import is_terminal, say, text_area
from tuitrain.cli.patience import read_patiently
from tuitrain.files import open_regular
from tuitrain.seven_bit import seven_bit
from tuitrain.text import print_coloured

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory
    from tuitrain.runs.foreign import Given
    from tuitrain.tui.registry import ScreenName
    from tuitrain.tui.settings import LoadedSettings

FRAME_COLUMNS, FRAME_ROWS = 120, 40
"""Size of a frame that is not shown on a terminal."""


def watch(
    runs: options.OptionalRuns = None,
    once: Annotated[bool, typer.Option("--once", help="Print one frame of text and exit.")] = False,
    x: options.X = None,
    layout: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Set of panels: overview, training, performance, system or one of your own.",
                     autocompletion=complete_layout),
    ] = None,
    theme: options.Theme = None,
    refresh: options.Refresh = None,
    charts: Annotated[
        Literal["braille", "plotext"] | None,
        typer.Option("--charts", help="How the charts are drawn. Default: braille."),
    ] = None,
    ascii_only: options.Ascii = None,
    readonly: options.Readonly = None,
    serve: Annotated[bool, typer.Option("--serve", help="Show the dashboard in a browser.")] = False,
    host: Annotated[str, typer.Option(help="With --serve: the address to listen on.")] = "localhost",
    port: Annotated[int, typer.Option(min=1, max=65535, help="With --serve: the port to listen on.")] = 8000,
    maps: options.Map = None,
    facts: options.Set = None,
    runs_dir: options.ExistingRunsDir = None,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain watch
      tuitrain watch latest
      tuitrain watch RUN RUN
      tuitrain watch node1:runs/RUN
      tuitrain watch latest --once
      tuitrain watch --serve --readonly
      python train.py 2>&1 | tuitrain watch -
      ssh node1 tail -n +1 -f runs/RUN/metrics.jsonl | tuitrain watch -

    The dashboard: curves, samples, console, alerts. Closing it does not affect the training.

    Several runs share the charts. Without a RUN: the newest live run, or the list of runs. Without a terminal: one
    frame of text.
    """
    if not once and is_terminal():
        _prepare(runs or [])
    # Imported here: `--help` does without.
    from tuitrain.cli.commands.ls import ls
    from tuitrain.runs import list_runs, read_snapshot, runs_directory
    from tuitrain.tui.settings import load_settings

    if serve and once:
        raise typer.BadParameter("--once prints one frame of text, --serve shows pages: give one of them.")
    directory = runs_directory(runs_dir)
    flags = {
        "x": x, "layout": layout, "theme": theme, "refresh_s": refresh, "charts": charts, "ascii": ascii_only,
        "readonly": readonly,
    }  # fmt: skip
    settings = load_settings(flags)
    if STANDARD_INPUT in (runs or []) and serve:
        raise typer.BadParameter("standard input can be read once only, not for each page.", param_hint="--serve")
    if runs == [STANDARD_INPUT] and sys.stdout.isatty() and not once:
        return _watch_stream(settings, given_by(maps, facts))
    named = find_runs(runs or [], runs_dir, maps, facts, "WHOLE" if once or not is_terminal() else "DASHBOARD")
    if serve:
        # Each page is a process. The default directory may not exist yet.
        given = {name.removesuffix("_s"): value for name, value in flags.items()}
        where = {"runs-dir": directory if directory.is_dir() else None}
        return _serve([*(runs or []), *options.as_arguments(where | given)], host, port, readonly=bool(readonly))
    selected = named or read_patiently(
        str(directory), lambda: next(([run] for run in list_runs(directory) if read_snapshot(run).status.live), [])
    )
    if not once and sys.stdin.isatty() and sys.stdout.isatty() and not is_terminal():
        term = os.environ.get("TERM") or "not set"
        say(f"One frame only: the dashboard needs a terminal that can move its cursor, and TERM is {term}.")
    if once or not is_terminal():
        return _print_frame(selected, directory, settings) if selected else ls(runs_dir=directory)
    # Objects imported and built for the first frame stay in use; the app enables the collector again after it.
    gc.disable()
    from tuitrain.tui.app import run_app

    # Without a name it opens the screen that was open last.
    screen: ScreenName | None = "watch" if named else None if selected else "runs"
    raise typer.Exit(run_app(screen, selected, directory, loaded=settings))


def _prepare(names: Sequence[str]) -> None:
    """Connect to the machine of a run, and import the dashboard while that is waited for."""
    from tuitrain.remote.address import AddressError, is_address, parse_address

    addresses = [name for name in names if is_address(name) and not Path(name.partition("#")[0]).exists()]
    if not addresses:
        return
    from tuitrain.remote.connection import prepare

    with suppress(AddressError):
        for host in {parse_address(name).host for name in addresses}:
            prepare(host, ask=sys.stdin.isatty() and len(addresses) == 1)
    threading.Thread(target=import_module, args=("tuitrain.tui.screens.watch",), daemon=True).start()


def _serve(arguments: list[str], host: str, port: int, *, readonly: bool) -> None:
    try:
        from tuitrain.cli.serve import LOOPBACK, serve
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0].replace("_", "-")
        raise typer.BadParameter(
            f"{missing} is not installed: pip install 'tuitrain[serve]'.", param_hint="--serve"
        ) from error
    if host not in LOOPBACK and not readonly:
        say("Anyone with this address and its token can stop runs; --readonly prevents that.")
    serve([sys.executable, "-m", "tuitrain.cli", "watch", *arguments], host, port)


def _watch_stream(settings: LoadedSettings, given: Given) -> None:
    """Follow any log or console on standard input; keys are then read from the terminal."""
    from tuitrain.runs import StreamFollower
    from tuitrain.tui.app import run_app

    pipe = os.dup(sys.stdin.fileno())
    os.dup2(os.open("/dev/tty", os.O_RDWR), sys.stdin.fileno())
    raise typer.Exit(run_app("watch", [], Path(), stream=StreamFollower(pipe, given), loaded=settings))


def _print_frame(runs: Sequence[RunDirectory], directory: Path, loaded: LoadedSettings) -> None:
    """Print one frame of text. Raises OSError for a log that cannot be read."""
    from tuitrain.alerts import load_rules
    from tuitrain.tui.frame import render_frame
    from tuitrain.tui.layouts import Layouts
    from tuitrain.tui.session import session_of

    for run in runs:
        # One that waits in the queue has no log yet.
        if run.source is None and (run.metrics.exists() or not run.info.exists()):
            open_regular(run.metrics).close()
    width, color = text_area()
    height = shutil.get_terminal_size((FRAME_COLUMNS, FRAME_ROWS)).lines
    settings = loaded.settings
    # The session has the layouts as they were last changed in the dashboard.
    panels = Layouts(settings.layouts, session_of(directory)).sizes(settings.layout)
    text = render_frame(
        runs, width, height, color, x=settings.x, smoothing=settings.smoothing, panels=panels,
        plotext=settings.charts == "plotext", rules=load_rules(),
    )  # fmt: skip
    print_coloured((seven_bit(text) if settings.ascii else text).removesuffix("\n"))
