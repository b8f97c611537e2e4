"""bench/gpu.py on small shapes: a finished row is kept, a row that failed is retried once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench/gpu.py"
WORKS, FAILS = "qwen3-1.8b", "nanoGPT as gpt2-124m"


@pytest.mark.slow
def test_a_finished_row_is_kept_and_a_failed_row_is_retried_once(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH), "--out", str(tmp_path / "out"), "--tiny", "--row", WORKS, "--row", FAILS]
    tables = []
    for _ in range(3):
        done = subprocess.run(
            [*command, "--nanogpt", str(tmp_path / "none.py")], capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr
        tables.append(json.loads((tmp_path / "out/gpu.json").read_text())["rows"])
    assert [{name: (row["status"], row["attempts"]) for name, row in rows.items()} for rows in tables] == [
        {WORKS: ("done", 1), FAILS: ("died", 1)},
        {WORKS: ("done", 1), FAILS: ("died", 2)},
        {WORKS: ("done", 1), FAILS: ("died", 2)},
    ]
    assert tables[0][WORKS] == tables[2][WORKS] and tables[0][WORKS]["measured"]["tokens/s"] > 0
    assert f"| {FAILS} | died" in (tmp_path / "out/gpu.md").read_text()
