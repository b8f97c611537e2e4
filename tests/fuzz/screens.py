"""Mutated logs on the screens of the dashboard: each is opened, keys are pressed, and what the terminal has is kept."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any

from textual.pilot import Pilot

from tests.fuzz.target import Case, Seed, Target, foreign
from tuitrain.readers.discover import sources_of
from tuitrain.runs import RunDirectory
from tuitrain.runs.foreign import run_of
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.settings import Settings

NAME = "screens"
SCREENS = {"1": "watch", "2": "runs", "3": "compare", "4": "system", "5": "samples", "6": "logs", "7": "config"}
KEYS = (
    "x", "y", "s", "X", "o", "w", "z", "i", "right", "left", "plus", "minus", "0", "L", "b", "tab",
    "right_square_bracket", "a", "m", "v", "n", "p", "space", "G", "g", "pagedown", "h", "l", "escape",
    "question_mark", "f", "t",
)  # fmt: skip
SIZES = ((80, 24), (80, 24), (80, 24), (120, 35), (200, 50))
DRAW_S, CASE_S, WAIT_S = 1.0, 20.0, 3.0
"""CPU time of a key with its drawing, and of a case; how long a log is waited for, which may hold nothing to read."""


class SlowScreen(Exception):
    """A screen took longer than DRAW_S for a key."""


def screen_target(logs: Sequence[Target], folder: Path) -> Target:
    """The seeds of all logs on the screens. folder: in which the app lists runs; empty."""
    seeds = [seed for target in logs for seed in target.seeds]
    screens = _Screens(folder)

    def show(case: Case) -> None:
        screens.show(_runs_of(case.seed, case.folder), case)

    return Target(NAME, seeds, show, cpu_s=CASE_S, close=screens.close)


def _runs_of(seed: Seed, folder: Path) -> list[RunDirectory]:
    if seed.source is None:
        return [RunDirectory(folder)]
    return [run_of(source) for source in sources_of(folder)[:3]]


class _Screens:
    """The app, which stays open from case to case until one breaks it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._runner = folder, asyncio.Runner()
        # Of all tasks: the app enters what it leaves at the end.
        self._variables = contextvars.copy_context()
        self._app: TuitrainApp | None = None
        self._context: AbstractAsyncContextManager[Pilot[Any]] | None = None
        self._pilot: Pilot[Any] | None = None

    def show(self, runs: list[RunDirectory], case: Case) -> None:
        """Raises what a handler of the app raised, SlowScreen, and AssertionError for a control character."""
        out = sys.stdout
        try:
            texts = self._runner.run(self._texts(runs, case.of), context=self._variables)
        except BaseException:
            self._forget()
            raise
        finally:
            # The app, which stays open, has put its own in the place.
            sys.stdout = out
        if (sign := next(filter(None, map(foreign, texts)), None)) is not None:
            raise AssertionError(f"on the screen: {sign!r}")
        print(len(texts))

    def close(self) -> None:
        """Leave the app."""
        if self._context is not None:
            self._runner.run(self._leave(), context=self._variables)
        self._app = self._context = self._pilot = None
        self._runner.close()

    async def _leave(self) -> None:
        if self._context is not None:
            await self._context.__aexit__(None, None, None)

    def _forget(self) -> None:
        """Leave a broken app behind."""
        self._app = self._context = self._pilot = None
        self._runner, self._variables = asyncio.Runner(), contextvars.copy_context()

    async def _opened(self) -> tuple[TuitrainApp, Pilot[Any]]:
        if self._app is None or self._pilot is None:
            self._app = TuitrainApp("watch", [], self._folder, settings=Settings(readonly=True))
            self._context = self._app.run_test(size=SIZES[0])
            self._pilot = await self._context.__aenter__()
        return self._app, self._pilot

    async def _texts(self, runs: list[RunDirectory], of: Random) -> list[str]:
        app, pilot = await self._opened()
        with app._context():
            size = of.choice(SIZES)
            if app.size != size:
                await pilot.resize_terminal(*size)
            app.open_runs(runs, "watch")
            deadline = time.monotonic() + WAIT_S
            while not all(view.loaded for view in app.state.runs) and time.monotonic() < deadline:
                await pilot.pause(0.01)
            texts = []
            for key in self._keys(of):
                before = time.process_time()
                await pilot.press(key)
                await pilot.pause()
                if (seconds := time.process_time() - before) > DRAW_S:
                    raise SlowScreen(f"{seconds:.1f} s for {key} on {app.screen.__class__.__name__}")
                texts.append("\n".join(strip.text for strip in app.screen._compositor.render_strips()))
                if app._exception is not None:
                    raise app._exception
            while len(app.screen_stack) > 2:
                await pilot.press("escape")
            return texts

    def _keys(self, of: Random) -> Iterator[str]:
        """Some of the screens, with a key on each."""
        for number in of.sample(list(SCREENS), 2):
            yield number
            yield of.choice(KEYS)
