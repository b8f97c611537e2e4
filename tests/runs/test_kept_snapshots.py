"""The snapshot of a quiet log of another tool is kept, and void as soon as something about the run changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tuitrain.runs import RunDirectory, find_run, read_snapshot
from tuitrain.runs import snapshot as snapshots
from tuitrain.runs.foreign import Given, keep

LOG = "step,loss,val_loss\n1,3,\n2,nan,4\n3,1,\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "settings"))
    write(tmp_path / "log.csv", LOG)
    return find_run(str(tmp_path / "log.csv"), tmp_path)


def write(path: Path, text: str, time: float = 1_700_000_000) -> None:
    path.write_text(text)
    os.utime(path, (time, time))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The logs that were read."""
    done: list[object] = []
    read = snapshots.read_on
    monkeypatch.setattr(snapshots, "read_on", lambda *given: done.append(given) or read(*given))
    return done


def test_a_log_is_read_once(run: RunDirectory, reads: list[object]) -> None:
    first = read_snapshot(run)
    assert (first.step.step, first.loss, first.val_loss, first.status) == (3, 1, 4, "unknown")  # type: ignore[union-attr]
    second = read_snapshot(run)
    assert len(reads) == 1
    # A nan is not equal to another one.
    assert repr(second) == repr(first)


def test_a_list_that_is_read_again_has_the_very_same_snapshot(run: RunDirectory) -> None:
    read_snapshot(run)
    reader = snapshots.SnapshotReader()
    assert reader.read(run) is reader.read(run)
    write(run.metrics, LOG + "4,0.5,\n", 1_700_000_001)
    assert reader.read(run).loss == 0.5


def test_a_log_that_grew_is_read_again(run: RunDirectory, reads: list[object]) -> None:
    read_snapshot(run)
    write(run.metrics, LOG + "4,0.5,\n", 1_700_000_001)
    assert read_snapshot(run).loss == 0.5
    assert len(reads) == 2


def test_what_the_user_says_about_a_log_counts_at_once(run: RunDirectory) -> None:
    assert read_snapshot(run).val_loss == 4
    keep(run, Given({"val_loss": ""}, {}))
    assert read_snapshot(run).val_loss is None


@pytest.mark.parametrize("settings", ["adapter_config.json", "adapter/adapter_config.json"])
def test_settings_beside_a_log_that_come_later_count(
    run: RunDirectory, tmp_path: Path, reads: list[object], settings: str
) -> None:
    write(tmp_path / "train.log", "Iter 1: Train loss 3.5, Learning Rate 1e-3\nIter 5: Train loss 3.0\n")
    console = find_run(str(tmp_path / "train.log"), tmp_path)
    assert read_snapshot(console).run is None or read_snapshot(console).run.total_steps is None  # type: ignore[union-attr]
    assert len(reads) == 1
    (tmp_path / settings).parent.mkdir(exist_ok=True)
    write(tmp_path / settings, '{"iters": 100}')
    assert read_snapshot(console).run.total_steps == 100  # type: ignore[union-attr]


def test_the_snapshot_of_a_live_log_is_not_kept(run: RunDirectory, reads: list[object]) -> None:
    run.metrics.write_text(LOG)
    assert read_snapshot(run).status == read_snapshot(run).status == "running"
    assert len(reads) == 2


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x80"])
def test_a_damaged_snapshot_is_as_none(run: RunDirectory, tmp_path: Path, content: bytes) -> None:
    expected = read_snapshot(run).loss
    (file,) = (tmp_path / "cache/snapshots").iterdir()
    file.write_bytes(content)
    assert read_snapshot(run).loss == expected
