"""Some screens, compared with SVG files in every cell and colour.

`UPDATE_SNAPSHOTS=1 pytest tests/tui/test_snapshots.py` writes the files; look at them before they are committed. They
are drawn with the version of Textual in constraints.txt.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support import write_run
from tests.tui.conftest import running
from tuitrain.runs import RunDirectory
from tuitrain.tui.theme import DARK, LIGHT

SNAPSHOTS = Path(__file__).parent / "snapshots"
START = 1_767_268_800.0


@pytest.fixture
def two(tmp_path: Path) -> list[RunDirectory]:
    """Two finished runs with fixed times."""
    first = write_run(tmp_path, "llama2-tiny-20260101-120000-abcd", start=START)
    second = write_run(tmp_path, "gpt2-tiny-20260101-130000-ef01", preset="gpt2-tiny", floor=2.6, start=START)
    return [first, second]


@pytest.mark.parametrize(
    ("name", "screen", "runs", "size", "theme", "keys"),
    [
        ("watch", "watch", 1, (120, 35), DARK, ""),
        ("watch-light", "watch", 1, (80, 24), LIGHT, ""),
        ("watch-crosshair", "watch", 2, (150, 30), "colour-blind", "i left left left"),
        ("compare", "compare", 2, (120, 35), DARK, ""),
        ("samples", "samples", 1, (100, 20), "contrast", ""),
        ("config", "config", 1, (100, 30), LIGHT, ""),
        ("keys", "watch", 1, (80, 24), DARK, "question_mark"),
    ],
)
async def test_the_screen_equals_its_snapshot(
    two: list[RunDirectory], name: str, screen: str, runs: int, size: tuple[int, int], theme: str, keys: str
) -> None:
    async with running(screen, two[:runs], two[0].path.parent, size, theme) as (app, pilot):
        await pilot.press(*keys.split())
        await app.workers.wait_for_complete()
        await pilot.pause()
        picture = _without_ids(app.export_screenshot())
    kept = SNAPSHOTS / f"{name}.svg"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOTS.mkdir(exist_ok=True)
        kept.write_text(picture, encoding="utf-8")
    assert _words(picture) == _words(kept.read_text(encoding="utf-8"))
    assert picture == kept.read_text(encoding="utf-8")


def _without_ids(svg: str) -> str:
    """The picture without the random number that Rich gives it."""
    return re.sub(r"terminal-\d+", "terminal", svg)


def _words(svg: str) -> list[str]:
    """The text of the picture, for a readable difference."""
    return re.findall(r">([^<>]+)</text>", svg)
