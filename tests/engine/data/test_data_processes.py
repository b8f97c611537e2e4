"""Several processes read one stream: together exactly what one process reads, with a state that any number can use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.data import hub, two_processes

ROOT = Path(__file__).parents[3]
PER_STEP = 2 * two_processes.MICRO * two_processes.ACCUMULATION


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return hub.parquet_dataset(tmp_path / "rows")


def run(tmp_path: Path, cache: Path, size: int, **request: Any) -> dict[str, Any]:
    """What `size` processes under torchrun read."""
    out, file = tmp_path / "out.json", tmp_path / "request.json"
    file.write_text(json.dumps({"from": 0, "state": {}, "out": str(out), **request}))
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "TUITRAIN_CACHE_DIR": str(cache),
        "PYTHONPATH": str(ROOT),
    }
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}"]
    done = subprocess.run(
        [*torchrun, two_processes.__file__, str(file)], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(out.read_text())
    return result


@pytest.mark.parametrize("packing", ["packed", "sample"])
def test_two_processes_read_what_one_reads_and_either_goes_on_for_the_other(
    tmp_path: Path, cache: Path, rows: Path, packing: str
) -> None:
    (tmp_path / "notes.txt").write_text("some other text\n" * 300)
    mixture = {f"hf:{rows}": 2.0, str(tmp_path / "notes.txt"): 1.0}
    data = {"mixture": mixture, "val_tokens": 40, "packing": "packed"} if packing == "packed" else {}
    data = data or {"source": f"hf:{rows}", "val_tokens": 40, "packing": "sample"}
    straight = run(tmp_path, cache, 1, data=data, steps=6)
    assert len(straight["sequences"]) == 6 * PER_STEP
    both = run(tmp_path, cache, 2, data=data, steps=3)
    assert both["sequences"] == straight["sequences"][: 3 * PER_STEP]
    assert both["states"][1] == {}
    resumed = run(tmp_path, cache, 1, data=data, steps=3, state=both["states"][0], **{"from": 3 * PER_STEP})
    assert resumed["sequences"] == straight["sequences"][3 * PER_STEP :]
    assert resumed["states"] == straight["states"]


def test_an_error_of_the_reading_process_reaches_all(tmp_path: Path, cache: Path, rows: Path) -> None:
    """The held-out documents are in the cache; then the dataset shrinks, which rank 0 sees as it begins to read."""
    data = {"source": f"hf:{rows}", "val_tokens": 40}
    run(tmp_path, cache, 1, data=data, steps=1)
    (rows / "part-4.parquet").unlink()
    result = run(tmp_path, cache, 2, data=data, steps=1)
    assert "has changed: it has 4 shards, and had 5" in result["problems"][0]
    assert result["problems"][1] == result["problems"][0]
