from __future__ import annotations

import csv
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from tests.extremes import extreme_history
from tests.support import write_run
from tuitrain.events import Eval, Step
from tuitrain.export.errors import ExportError
from tuitrain.export.metrics import export_metrics
from tuitrain.runs import RunHistory, load_history


@pytest.fixture
def history(tmp_path: Path) -> RunHistory:
    return load_history(write_run(tmp_path, steps=50))


@pytest.fixture
def irregular() -> RunHistory:
    """An evaluation before the first step, an absent value, nan, inf."""
    made = RunHistory()
    made.absorb([Eval(time=1.0, step=0, tokens=0, loss=9.0)])
    made.absorb(
        [Step(time=2.0, step=1, tokens=10, loss=math.nan), Step(time=3.0, step=2, tokens=20, grad_norm=math.inf)]
    )
    made.absorb([Eval(time=4.0, step=2, tokens=20, loss=8.0, accuracy=0.25)])
    return made


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_csv_has_a_row_for_each_step_and_each_evaluation(
    irregular: RunHistory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export_metrics(irregular, "csv") is None
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [
        ["step", "time", "tokens", "loss", "grad_norm", "val_loss", "val_accuracy"],
        ["0", "1.0", "0", "", "", "9.0", ""],
        ["1", "2.0", "10", "nan", "", "", ""],
        ["2", "3.0", "20", "", "inf", "8.0", "0.25"],
    ]


def test_each_split_has_columns_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    made = RunHistory()
    made.absorb(Eval(time=1.0, step=5, split=split, loss=loss) for split, loss in (("train", 1.0), ("val", 2.0)))
    assert export_metrics(made, "csv") is None
    assert capsys.readouterr().out.splitlines() == ["step,time,val_loss,eval/train/loss", "5,1.0,2.0,1.0"]


def test_json_lines_are_strict_and_leave_out_what_is_absent(irregular: RunHistory, tmp_path: Path) -> None:
    out = export_metrics(irregular, "jsonl", tmp_path / "deep" / "run.jsonl")
    assert out is not None
    assert [strict(line) for line in out.read_text().splitlines()] == [
        {"step": 0, "time": 1.0, "tokens": 0, "val_loss": 9.0},
        {"step": 1, "time": 2.0, "tokens": 10, "loss": "nan"},
        {"step": 2, "time": 3.0, "tokens": 20, "grad_norm": "inf", "val_loss": 8.0, "val_accuracy": 0.25},
    ]


def test_the_nested_file_has_the_groups_of_its_format(history: RunHistory, tmp_path: Path) -> None:
    out = export_metrics(history, "json", tmp_path / "run.json")
    assert out is not None
    document = strict(out.read_text())
    assert list(document) == ["run_name", "startup_info", "training_iterations", "summary"]
    assert document["run_name"] == "llama2-tiny-20260101-120000-abcd"
    assert document["startup_info"]["model"]["name"] == "4L-4H-128D-RoPE-RMS-SwiGLU-PreNorm"
    assert document["startup_info"]["hardware"]["device"] == "NVIDIA A100-SXM4-80GB"
    last = document["training_iterations"][-1]
    assert last["iter"] == 50
    assert last["time_ms"] == pytest.approx(history.steps.last("step_time_ms"))
    assert set(last["memory"]) == {"allocated_gb", "peak_gb", "reserved_gb"}
    assert last["gradients"]["global_norm"] == history.steps.last("grad_norm")
    assert last["mfu"]["mfu_percent"] == pytest.approx(100 * (history.steps.last("mfu") or 0))
    assert document["summary"]["avg_mfu"] == pytest.approx(last["mfu"]["mfu_percent"], rel=0.1)
    assert document["summary"]["total_iterations"] == 50


def test_the_nested_numbers_agree_with_each_other_over_all_devices(history: RunHistory, tmp_path: Path) -> None:
    run = history.run
    assert run is not None
    assert run.parallel is not None
    # As two devices of half the peak would have logged it.
    assert run.hardware is not None
    assert run.hardware.peak_tflops is not None
    run.parallel.world_size = 2
    run.hardware.peak_tflops /= 2
    out = export_metrics(history, "json", tmp_path / "run.json")
    assert out is not None
    for iteration in strict(out.read_text())["training_iterations"][1:]:
        mfu = iteration["mfu"]
        assert mfu["achieved_tflops"] == pytest.approx(mfu["tokens_per_sec"] * mfu["flops_per_token"] / 1e12)
        assert mfu["mfu_percent"] == pytest.approx(100 * mfu["achieved_tflops"] / mfu["hardware_peak_tflops"])


def test_parquet_distinguishes_null_from_nan_and_counts_are_integers(irregular: RunHistory, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = export_metrics(irregular, "parquet", tmp_path / "run.parquet")
    table = parquet.read_table(out)
    assert table.column("step").to_pylist() == [0, 1, 2]
    assert str(table.schema.field("tokens").type) == "int64"
    first, second, third = table.column("loss").to_pylist()
    assert (first, third) == (None, None)
    assert math.isnan(second)


def test_tensorboard_files_can_be_read(history: RunHistory, tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = export_metrics(history, "tensorboard", tmp_path / "tb")
    events = loader.EventAccumulator(str(out))
    events.Reload()
    tags = events.Tags()["scalars"]
    assert {"train/loss", "train/lr", "train/mfu", "validation/loss", "memory/peak_gb", "gradients/norm"} <= set(tags)
    loss = events.Scalars("train/loss")
    assert [event.step for event in loss] == list(range(1, 51))
    assert loss[-1].value == pytest.approx(history.steps.last("loss"), rel=1e-6)
    assert loss[-1].wall_time == history.steps.last("time")
    assert [event.step for event in events.Scalars("validation/loss")] == [0, 25, 50]


@pytest.mark.parametrize(
    ("fmt", "module"), [("parquet", "pyarrow"), ("tensorboard", "tensorboard.compat.proto.event_pb2")]
)
def test_a_missing_package_is_an_error_that_states_how_to_install_it(
    history: RunHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fmt: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExportError, match=r"pip install 'tuitrain\[formats\]'"):
        export_metrics(history, fmt, tmp_path / "out")


def test_an_impossible_export_is_an_error(history: RunHistory, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="known: csv, jsonl, json, parquet, tensorboard"):
        export_metrics(history, "xls")
    with pytest.raises(ExportError, match="cannot go to standard output"):
        export_metrics(history, "parquet")
    with pytest.raises(ExportError, match="no step and no evaluation"):
        export_metrics(RunHistory(), "csv", tmp_path / "a.csv")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ExportError, match="needs a directory"):
        export_metrics(history, "tensorboard", file)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("fmt", ["csv", "jsonl", "json", "parquet", "tensorboard"])
def test_any_numbers_can_be_exported(fmt: str, seed: int, tmp_path: Path) -> None:
    assert export_metrics(extreme_history(seed), fmt, tmp_path / "out") == tmp_path / "out"


def test_the_largest_count_is_written_exactly(tmp_path: Path) -> None:
    history = RunHistory()
    history.absorb([Step(time=1.0, step=2**63 - 1, tokens=2**63 - 1, loss=1.0)])
    export_metrics(history, "csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").count("9223372036854775807") == 2
    export_metrics(history, "parquet", tmp_path / "out.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet")["step"].to_pylist() == [2**63 - 1]
