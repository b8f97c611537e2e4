from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path

import pytest

from tests.support import write_run
from tuitrain.export.comparison import export_comparison
from tuitrain.export.errors import ExportError
from tuitrain.runs import RunDirectory, RunHistory, find_runs, load_history

SEED = Path(__file__).parents[1] / "data/corpus/seed002-comparison/data/training_runs_comparison.json"

PINNED = (
    "train.max_steps=300", "train.global_batch_size=16", "train.micro_batch_size=16", "model.seq_len=128",
    "optim.lr=0.002", "eval.interval=50", "checkpoint.interval=100", "telemetry.log_interval=1",
)  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> list[tuple[RunDirectory, RunHistory]]:
    made = [
        write_run(tmp_path, "a", preset="gpt2-tiny", overrides=PINNED, steps=50),
        write_run(tmp_path, "b", steps=60),
    ]
    return [(run, load_history(run)) for run in made]


def test_the_file_has_the_fields_of_its_format(runs: list[tuple[RunDirectory, RunHistory]], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "comparison.json"
    text = export_comparison(runs, out)
    assert out.read_text(encoding="utf-8") == text
    document = json.loads(text)
    assert datetime.fromisoformat(document["timestamp"]).tzinfo is not None
    assert "gpt2-tiny" in document["comparison_table"]
    first, second = document["runs"]
    assert (first["run_name"], second["run_name"]) == ("gpt2-tiny", "llama2-tiny")
    assert Path(first["run_path"]) == runs[0][0].path
    hyperparameters = first["hyperparameters"]
    expected = {
        "learning_rate": 0.002, "batch_size": 16, "iters": 300, "max_seq_length": 128, "num_layers": 4,
        "grad_accumulation_steps": 1, "grad_checkpoint": False, "steps_per_eval": 50, "steps_per_report": 1,
        "save_every": 100, "model": "4L-4H-128D-AbsPos-LN-GELU-PreNorm",
    }  # fmt: skip
    assert {key: hyperparameters[key] for key in expected} == expected
    assert hyperparameters["config"]["model.ffn"] == "gelu"


def test_curves_have_one_length_and_final_values_are_the_summary(runs: list[tuple[RunDirectory, RunHistory]]) -> None:
    run = json.loads(export_comparison(runs))["runs"][0]
    curves = run["training_metrics"]
    assert {len(curve) for curve in curves.values()} == {51}
    assert [step for step, loss in zip(curves["iterations"], curves["val_loss"], strict=True) if loss is not None] == [
        0, 25, 50,
    ]  # fmt: skip
    final, history = run["final_metrics"], runs[0][1]
    assert final["final_iteration"] == 50
    assert final["total_trained_tokens"] == 50 * 16 * 128
    assert final["final_val_loss"] == history.evals.last("loss")
    assert final["final_val_time_sec"] == 0.08
    assert final["final_iterations_per_sec"] == pytest.approx(1000 / (history.steps.last("step_time_ms") or math.nan))
    assert final["peak_memory_gb"] == 63.1
    assert final["train_val_gap"] == pytest.approx(final["final_val_loss"] - final["final_train_loss"])


def test_the_file_of_another_tool_comes_out_as_it_went_in(tmp_path: Path) -> None:
    given = json.loads(SEED.read_text())["runs"]
    pairs = [(run, load_history(run)) for run in find_runs(str(SEED), tmp_path)]
    made = json.loads(export_comparison(pairs))["runs"]
    assert [run["run_name"] for run in made] == [run["run_name"] for run in given]
    for before, after in zip(given, made, strict=True):
        for part in ("hyperparameters", "training_metrics"):
            for key, value in before[part].items():
                assert after[part][key] == value, key
        for key, value in before.get("final_metrics", {}).items():
            assert after["final_metrics"][key] == pytest.approx(value), key


def test_a_run_without_steps_is_included_without_numbers(tmp_path: Path) -> None:
    run = json.loads(export_comparison([(RunDirectory(tmp_path / "new"), RunHistory())]))["runs"][0]
    assert (run["run_name"], run["hyperparameters"], run["training_metrics"], run["final_metrics"]) == (
        "new",
        {},
        {},
        {},
    )


def test_a_comparison_without_runs_is_an_error() -> None:
    with pytest.raises(ExportError, match="name at least one run"):
        export_comparison([])
