"""A figure of a run that is kept up to date while it trains: `python -m tuitrain.export.latest RUN_DIR --every N`.

The launcher starts it beside the engine. It leaves the launcher's session, runs only when a core is idle, reads the log
like any other reader and ends with the run. The engine knows nothing of it. What takes time to import is imported in
the functions: the launcher waits until this process has left it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory, RunHistory

FILE = "latest.png"
_POLL_S = 1.0
_LOCK = ".latest.lock"
_PATIENCE_S = 60.0
"""How long the drawing for an earlier attempt may take to end."""
_DPI = 100


def main(arguments: list[str]) -> None:
    """Leave the caller at once, and draw until the run is over."""
    parser = argparse.ArgumentParser(prog="python -m tuitrain.export.latest")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--every", type=int, required=True)
    options = parser.parse_args(arguments)
    if os.fork():
        # The launcher waits for this process, so that none is left to be reaped.
        os._exit(0)
    os.setsid()
    yield_to_others()
    keep_latest(options.run_dir, options.every)


def yield_to_others() -> None:
    """Let every other process go first: on Linux this one gets what cores have left over."""
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def keep_latest(path: Path, every: int, poll_s: float = _POLL_S) -> None:
    """Draw the figure whenever a further `every` steps are logged, and once more when the run is over."""
    from tuitrain.events.lock import LockedError, exclusive
    from tuitrain.runs import RunDirectory

    folder = path / "figures"
    try:
        # Without parents: a run that was removed meanwhile must not come back.
        folder.mkdir(exist_ok=True)
        with exclusive(folder / _LOCK, _PATIENCE_S):
            _follow(RunDirectory(path), folder, every, poll_s)
    except (FileNotFoundError, LockedError):
        return


def _follow(run: RunDirectory, folder: Path, every: int, poll_s: float) -> None:
    from tuitrain.runs import read_snapshot
    from tuitrain.runs.loading import drain, open_follower

    history, follower, drawn, problem = _empty_history(), open_follower(run), 0, ""
    while True:
        # Before reading: what a run writes until its end is then read.
        live = read_snapshot(run).status.live
        history = drain(follower, history)
        step = history.step or 0
        if step and (step // every > drawn // every or step < drawn or (not live and step != drawn)):
            drawn, before = step, problem
            problem = draw(run, history, folder)
            if problem and problem != before:
                print(f"tuitrain: {FILE} cannot be drawn: {problem}", file=sys.stderr, flush=True)
        if not live:
            return
        time.sleep(poll_s)


def _empty_history() -> RunHistory:
    """One that finds alerts, which the figure marks; by the default rules where those of the settings are wrong."""
    from tuitrain.alerts import Rules, load_rules, watched_history
    from tuitrain.settings import SettingsError

    try:
        return watched_history(load_rules())
    except SettingsError as error:
        print(f"tuitrain: {FILE} marks the alerts of the default rules: {error}", file=sys.stderr, flush=True)
        return watched_history(Rules())


def draw(run: RunDirectory, history: RunHistory, folder: Path) -> str:
    """Draw the analysis in place of the last one, which readers see whole until then; returns a problem."""
    from tuitrain.export.errors import ExportError
    from tuitrain.export.figures import draw_figure, figure_request, save_figure
    from tuitrain.export.selection import chart_files
    from tuitrain.export.style import figure_style
    from tuitrain.files import os_error_text

    try:
        (file,) = chart_files([(run, history)], ["analysis"])
        with figure_style() as paper:
            figure = draw_figure(figure_request(file, "step"), file.figure, paper)
            (path,) = save_figure(figure, folder, ".latest", ("png",), _DPI)
        path.replace(folder / FILE)
    except FileNotFoundError:
        raise
    except ExportError as error:
        return str(error)
    except OSError as error:
        return os_error_text(error) or str(error)
    return ""


if __name__ == "__main__":
    main(sys.argv[1:])
