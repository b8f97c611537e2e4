"""Makes docs/gallery.md and its pictures: trains two small models and takes each screen of the dashboard as an SVG.

    make screenshots          or: python docs/make_gallery.py

One model is trained to its end; the other is being trained while the pictures are taken. Needs the engine.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from tuitrain.runs import RunDirectory, list_runs, read_snapshot
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.registry import ScreenName
from tuitrain.tui.settings import Settings

DOCS = Path(__file__).resolve().parent
PICTURES = DOCS / "gallery"
RUNS = Path("runs")
STEPS_BEFORE = 160
"""How far the run that goes on has come when the pictures are taken."""
WIDE = (150, 42)


@dataclass(frozen=True)
class Shot:
    """One picture: which screen, what is pressed on it, and the sentence about it."""

    name: str
    screen: ScreenName
    about: str
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = WIDE
    theme: str = "dark"


SHOTS = (
    Shot("watch", "watch", "The dashboard of a live run: health, speed, progress, remaining time."),
    Shot("training", "watch", "The layout `training` (`L`): gradients, updates and learning rate, by layer.", ("L",)),
    Shot("performance", "watch", "The layout `performance` (`L` twice): the parts of the time of a step.", ("L", "L")),
    Shot("zoom", "watch", "One maximised panel (`z`) with a crosshair (`i`) and exact values.",
         ("z", "i", "left", "left", "left")),
    Shot("runs", "runs", "All runs, live (`r`): filter with `/`, mark with space, compare with `c`."),
    Shot("compare", "compare", "Runs against each other (`c`): curves, deltas, findings, keys that differ."),
    Shot("system", "system", "The machine (`4`)."),
    Shot("samples", "samples", "Generated text (`5`), beside that of an earlier step."),
    Shot("logs", "logs", "The console (`6`), with search and follow."),
    Shot("config", "config", "The configuration (`7`), what differs from the preset, and the architecture."),
    Shot("launch", "launch", "Starting a run (`8`): the plan is updated while values are typed.",
         (*"llama2", "minus", "t")),
    Shot("help", "watch", "`?` lists the keys of a screen.", ("question_mark",)),
    Shot("small", "watch", "A terminal of 80×24 shows one chart at a time.", size=(80, 24)),
    Shot("light", "watch", "The theme `light` (`t`).", size=(120, 35), theme="light"),
    Shot("colour-blind", "compare", "The theme `colour-blind`.", size=(120, 35), theme="colour-blind"),
)  # fmt: skip


def tuitrain(*words: str) -> None:
    """Run a command of ours; what it prints goes on."""
    subprocess.run([sys.executable, "-m", "tuitrain.cli", *words], check=True, stdin=subprocess.DEVNULL)


@contextmanager
def trained() -> Iterator[list[RunDirectory]]:
    """A run that is being trained and one that has ended, the newer first."""
    tuitrain("launch", "gpt2-tiny", "train.max_steps=300", "--foreground", "--tag", "small")
    tuitrain("launch", "llama2-tiny", "train.max_steps=2000", "sampling.interval=40", "--detach", "--tag", "small",
             "--note", "a first look")  # fmt: skip
    runs = list_runs(RUNS)
    try:
        while (step := read_snapshot(runs[0]).step) is None or step.step < STEPS_BEFORE:
            time.sleep(0.5)
        yield runs
    finally:
        tuitrain("stop", runs[0].run_id, "--now")


async def settled(app: TuitrainApp, pilot: Pilot[None]) -> None:
    """Wait until what is asked for has been read and drawn."""
    async with asyncio.timeout(60):
        while not all(view.loaded for view in app.state.runs):
            await pilot.pause(0.05)
    await pilot.pause(2.5)


async def take(shot: Shot, runs: list[RunDirectory]) -> None:
    """Show a screen and save what is seen."""
    # What one picture changes is not remembered for the next.
    os.environ["TUITRAIN_STATE_DIR"] = tempfile.mkdtemp(dir=Path.cwd())
    chosen = runs if shot.screen == "compare" else runs[:1]
    app = TuitrainApp("watch", chosen, RUNS, settings=Settings(theme=shot.theme))
    async with app.run_test(size=shot.size, notifications=False) as pilot:
        app.show_screen(shot.screen)
        await settled(app, pilot)
        for key in shot.keys:
            await pilot.press(key)
            await pilot.pause(0.2)
        await pilot.pause(0.5)
        (PICTURES / f"{shot.name}.svg").write_text(app.export_screenshot(title=f"tuitrain: {shot.screen}"))


def page() -> str:
    """docs/gallery.md."""
    lines = [
        "# The screens",
        "",
        "`make screenshots` writes them from runs of [`gpt2-tiny`](../presets/gpt2-tiny.toml) and"
        " [`llama2-tiny`](../presets/llama2-tiny.toml), the second while it trains.",
        "[dashboard.md](dashboard.md) describes their actions.",
    ]
    for shot in SHOTS:
        lines += ["", f"## {shot.name}", "", shot.about, "", f"![{shot.name}](gallery/{shot.name}.svg)"]
    return "\n".join(lines) + "\n"


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        os.environ |= {"TUITRAIN_CONFIG_DIR": place, "TUITRAIN_RUNS_DIR": str(RUNS)}
        with trained() as runs:
            for shot in SHOTS:
                asyncio.run(take(shot, runs))
                print(shot.name, flush=True)
        os.chdir(DOCS)
    (DOCS / "gallery.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
