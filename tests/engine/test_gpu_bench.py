"""bench/gpu.py on small shapes: a finished row is kept, a row that failed is retried once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench/gpu.py"
WORKS, FAILS = "qwen3-1.8b", "clocks and power"


@pytest.mark.slow
@pytest.mark.timeout(600)  # the limit of its row ends it before
def test_a_finished_row_is_kept_and_a_failed_row_is_retried_once(tmp_path: Path) -> None:
    def table(*rows: str, search: str = "") -> dict[str, Any]:
        command = [sys.executable, str(BENCH), "--out", str(tmp_path / "out"), "--tiny"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [search, os.getenv("PYTHONPATH")]))}
        done = subprocess.run(
            [*command, *(f"--row={row}" for row in rows)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "out/gpu.json").read_text())["rows"]

    works = table(WORKS)[WORKS]
    assert (works["status"], works["attempts"]) == ("done", 1), works["note"]
    assert works["measured"]["tokens/s"] > 0
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/torch.py").write_text("raise SystemExit(7)\n")
    for attempt in (1, 2, 2):
        rows = table(WORKS, FAILS, search=str(tmp_path / "broken"))
        assert rows[WORKS] == works
        assert (rows[FAILS]["status"], rows[FAILS]["attempts"]) == ("died", attempt)
        assert "its process ended with 7" in rows[FAILS]["note"]
    assert f"| {FAILS} | died" in (tmp_path / "out/gpu.md").read_text()
