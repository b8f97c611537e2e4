"""Two processes read the same stream as one, with a state that any number of processes can load."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.data import hub, two_processes
from tests.warm_engine import WarmProcess

from tuitrain_engine.data import Dataset

Opened = Callable[..., Dataset]
PER_STEP = two_processes.GLOBAL * two_processes.ACCUMULATION


@pytest.fixture
def rows(tmp_path: Path, offline: None) -> Path:
    return hub.parquet_dataset(tmp_path / "rows")


def run_two(tmp_path: Path, cache: Path, **request: Any) -> dict[str, Any]:
    """The sequences that two processes read."""
    out, file = tmp_path / "out.json", tmp_path / "request.json"
    file.write_text(json.dumps({"out": str(out), **request}))
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "TUITRAIN_CACHE_DIR": str(cache),
    }
    program = WarmProcess([str(file)], module="tests.engine.data.two_processes", env=env, cwd=tmp_path)
    _, errors = program.communicate(timeout=240)
    assert program.returncode == 0, errors
    result: dict[str, Any] = json.loads(out.read_text())
    return result


@pytest.mark.parametrize("packing", ["packed", "sample"])
def test_two_processes_read_what_one_reads_and_either_resumes_the_other(
    opened: Opened, tmp_path: Path, cache: Path, rows: Path, packing: str
) -> None:
    """Three times the number of steps: one process, then two, then one again."""
    data: dict[str, Any] = {"source": f"hf:{rows}", "val_bytes": 40, "packing": packing}
    if packing == "packed":
        (tmp_path / "notes.txt").write_text("some other text\n" * 300)
        data |= {"source": "mixture", "mixture": {f"hf:{rows}": 2.0, str(tmp_path / "notes.txt"): 1.0}}
    steps, part = 3, 3 * PER_STEP
    straight, before, after = (opened(**data).train for _ in range(3))
    x, y = straight.batch(0, 3 * part)
    before.batch(0, part)
    both = run_two(tmp_path, cache, data=data, steps=steps, first=part, state=before.state_at(part))
    assert both["sequences"] == [list(pair) for pair in zip(x.tolist(), y.tolist(), strict=True)][part : 2 * part]
    assert both["states"][1] == {}
    after.restore(both["states"][0], 2 * part)
    assert after.batch(2 * part, part)[0].tolist() == x[2 * part :].tolist()


def test_an_error_of_the_reading_process_is_raised_on_all(
    opened: Opened, tmp_path: Path, cache: Path, rows: Path
) -> None:
    """The held-out documents are in the cache; then the dataset shrinks, which rank 0 detects when it reads."""
    data = {"source": f"hf:{rows}", "val_bytes": 40}
    opened(**data)
    (rows / "part-4.parquet").unlink()
    result = run_two(tmp_path, cache, data=data, steps=1, first=0, state={})
    assert "has changed: it has 4 shards, and had 5" in result["problems"][0]
    assert result["problems"][1] == result["problems"][0]


def test_a_stop_while_the_stream_stalls_ends_all_processes(
    opened: Opened, tmp_path: Path, cache: Path, rows: Path
) -> None:
    data = {"source": f"hf:{rows}", "val_bytes": 40, "stall_timeout_s": 120}
    opened(**data)
    result = run_two(tmp_path, cache, data=data, steps=30, first=0, state={}, hang_at=100)
    assert result["problems"] == ["stopped by SIGTERM"] * 2
    assert len(result["sequences"]) >= two_processes.GLOBAL
