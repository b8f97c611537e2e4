"""The log of anybody's training loop: `init`, `log`, `finish` and what else W&B's users know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuitrain.own_loop.run import Run
from tuitrain.own_loop.start import init as init
from tuitrain.own_loop.start import newest_run as newest_run

__all__ = ["Run", "alert", "define_metric", "finish", "init", "log", "login", "newest_run", "unwatch", "watch"]


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, **ignored: Any) -> None:
    """`Run.log` of the newest run. Raises RuntimeError before `init`."""
    _run("log").log(data, step, commit)


def finish(exit_code: int | None = None, **ignored: Any) -> None:
    """`Run.finish` of the newest run; nothing where there is none."""
    run = newest_run()
    if run is not None:
        run.finish(exit_code)


def alert(title: str = "", text: str = "", level: Any = "warning", **ignored: Any) -> None:
    """`Run.alert` of the newest run. Raises RuntimeError before `init`."""
    _run("alert").alert(title, text, level)


def define_metric(name: str, step_metric: str | None = None, **ignored: Any) -> None:
    """`Run.define_metric` of the newest run. Raises RuntimeError before `init`."""
    _run("define_metric").define_metric(name, step_metric)


def watch(*models: Any, **ignored: Any) -> None:
    """Accepted for scripts written for W&B; it has no effect."""


unwatch = watch


def login(*arguments: Any, **ignored: Any) -> bool:
    """Accepted for scripts written for W&B: there is nothing to log in to. Returns True."""
    return True


def _run(name: str) -> Run:
    run = newest_run()
    if run is None:
        raise RuntimeError(f"tuitrain.{name} needs a run: call tuitrain.init() first.")
    return run
