"""Metrics of one's own in the commands."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.test_surface import complete
from tests.support import write_own_metrics
from tuitrain.cli.json_output import check_output

ODD = "ünsafe/\x1b[31mname\n\u202e" + "x" * 300
OWN = [
    {"reward/mean": step / 10, "kl": 0.5 / step, "memory": 7.0, ODD: 3.0} | ({"late": 42.0} if step > 15 else {})
    for step in range(1, 21)
]


@pytest.fixture
def run(runs_dir: Path) -> str:
    return write_own_metrics(runs_dir, "ppo-20260101-000000-0000", OWN).run_id


def test_show_has_the_newest_values(cli: Cli, run: str) -> None:
    lines = cli("show", run).out.splitlines()
    assert any(line.split() == ["reward/mean", "2"] for line in lines)
    assert all(line.isprintable() for line in lines)
    newest = cli("show", run, "--json").json()["newest"]
    assert (newest["reward/mean"], newest["late"], newest[ODD]) == (2, 42, 3)


def test_show_counts_what_it_leaves_out(cli: Cli, runs_dir: Path) -> None:
    run = write_own_metrics(runs_dir, "many-20260101-000000-0000", [{f"layer/{n}/norm": 1.0 for n in range(300)}])
    shown = cli("show", run.run_id).out
    assert shown.count("/norm") == 30
    assert "and 270 more" in shown


def test_compare_has_the_final_values(cli: Cli, runs_dir: Path, run: str) -> None:
    other = write_own_metrics(runs_dir, "dpo-20260101-000000-0000", OWN[:10]).run_id
    table = cli("compare", run, other).out
    assert next(line for line in table.splitlines() if line.startswith("reward/mean")).split()[1:3] == ["2", "1"]
    printed = cli("compare", run, other, "--json").out
    metrics = {row["key"]: row for row in check_output("compare", printed).model_dump()["metrics"]}
    assert metrics["reward/mean"]["values"] == {run: 2, other: 1}
    assert metrics["reward/mean"]["best"] is None
    assert "late" not in metrics


def test_export_metrics_has_a_column_for_each(cli: Cli, run: str) -> None:
    head, *rows = csv.reader(io.StringIO(cli("export", "metrics", run).out))
    assert {"reward/mean", "kl", "late"} < set(head)
    assert [row[head.index("late")] for row in rows] == [""] * 15 + ["42.0"] * 5
    lines = [json.loads(line) for line in cli("export", "metrics", run, "--format", "jsonl").out.splitlines()]
    assert lines[-1]["reward/mean"] == 2
    assert "late" not in lines[0]


def test_tensorboard_and_parquet_have_them_under_their_names(cli: Cli, run: str, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert cli("export", "metrics", run, "--format", "parquet", "--out", str(tmp_path / "x.parquet")).code == 0
    assert parquet.read_table(tmp_path / "x.parquet")["late"].null_count == 15
    assert cli("export", "metrics", run, "--format", "tensorboard", "--out", str(tmp_path / "tb")).code == 0
    events = accumulator.EventAccumulator(str(tmp_path / "tb")).Reload()
    assert [event.step for event in events.Scalars("late")] == [16, 17, 18, 19, 20]
    assert "reward/mean" in events.Tags()["scalars"]


def test_any_metric_is_a_figure_with_a_safe_file_name(cli: Cli, run: str, tmp_path: Path) -> None:
    names = [word for name in ("reward/mean", "reward mean", ODD) for word in ("--figure", name)]
    write_own_metrics(tmp_path / "runs", "odd-20260101-000000-0000", [{"reward mean": 1.0} | OWN[0]] * 3)
    result = cli("export", "plots", "odd", *names, "--format", "svg,txt")
    assert result.code == 0, result.err
    files = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert len(files) == 6
    assert {"odd-20260101-000000-0000-reward-mean.svg", "odd-20260101-000000-0000-reward-mean-2.svg"} < set(files)
    assert all(name.isprintable() and len(name.encode()) <= 255 for name in files)


def test_a_metric_that_is_called_like_a_panel_is_drawn(cli: Cli, run: str) -> None:
    assert "memory 7" in cli("plot", run, "-m", "memory").out


def test_shells_complete_the_metrics_of_the_run(
    run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complete(f"tuitrain plot {run} -m rew", 4, monkeypatch, capsys) == ["reward/mean"]
    assert complete(f"tuitrain export plots {run} --figure lat", 5, monkeypatch, capsys) == ["late"]
