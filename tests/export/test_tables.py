from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.analysis.histories import history
from tests.support import write_run
from tuitrain.analysis.compare import Comparison, compare_runs
from tuitrain.export.errors import ExportError
from tuitrain.export.tables import render_comparison
from tuitrain.runs import load_history


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    runs = tmp_path_factory.mktemp("runs")
    made = [
        ("gpt2-tiny", write_run(runs, "a", preset="gpt2-tiny", floor=2.5, tokens_per_sec=5e5)),
        ("llama2-tiny [best]", write_run(runs, "b")),
    ]
    return compare_runs([(name, load_history(run)) for name, run in made])


def test_the_table_has_values_deltas_differences_and_the_verdict(comparison: Comparison) -> None:
    text = render_comparison(comparison, "table", width=100)
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "gpt2-tiny (baseline)" in text
    assert "llama2-tiny [best]" in text
    assert "500 k tok/s *" in lines["mean throughput"]
    assert "−20.0 %" in lines["mean throughput"]
    assert lines["model.ffn"].split() == ["model.ffn", "gelu", "swiglu"]
    assert " ".join(comparison.verdict[0].split()) in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text


def test_logs_without_a_configuration_are_said_to_have_none() -> None:
    unknown = compare_runs([("a", history(config={})), ("b", history())])
    for fmt in ("table", "markdown"):
        assert "Configuration: unknown (none in the log of a)." in render_comparison(unknown, fmt)
    assert json.loads(render_comparison(unknown, "json", run_ids=["one", "two"]))["unconfigured"] == ["one"]


def test_cells_of_a_large_difference_are_separated(tmp_path: Path) -> None:
    slow, fast = (load_history(write_run(tmp_path, f"r{rate}", tokens_per_sec=rate)) for rate in (1e3, 4e5))
    text = render_comparison(compare_runs([("slow", slow), ("fast", fast)]), "table", width=100)
    (line,) = [line for line in text.splitlines() if line.startswith("mean throughput")]
    assert line.split("  ")[-1].split() == ["400×"]
    assert "400 k tok/s * " in line


def test_colour_is_only_an_addition(comparison: Comparison) -> None:
    coloured = render_comparison(comparison, "table", width=100, color=True)
    assert "\x1b[" in coloured
    assert "500 k tok/s *" in render_comparison(comparison, "table", width=100)


@pytest.mark.parametrize("width", [40, 60, 200])
def test_the_table_fits_the_width(comparison: Comparison, width: int) -> None:
    assert max(map(len, render_comparison(comparison, "table", width=width).splitlines())) <= width


def test_markdown_is_a_table_with_the_best_in_bold(comparison: Comparison) -> None:
    lines = render_comparison(comparison, "markdown").splitlines()
    assert lines[0] == "| at the end of each run | gpt2-tiny (baseline) | llama2-tiny \\[best\\] |"
    assert lines[1] == "| --- | ---: | ---: |"
    assert "| mean throughput | **500 k tok/s** | 400 k tok/s (−20.0 %) |" in lines
    assert {line.count("|") for line in lines if line.startswith("|")} == {4}


def test_csv_holds_the_stored_values(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(render_comparison(comparison, "csv"))))
    loss = next(row for row in rows if row["key"] == "final_loss")
    assert float(loss["gpt2-tiny"]) == comparison.summaries[0].final_loss
    assert [row["llama2-tiny [best]"] for row in rows if row["key"] == "model.ffn"] == ["swiglu"]


def test_json_is_the_whole_comparison(comparison: Comparison) -> None:
    ids = ["gpt2-tiny-1", "llama2-tiny-2"]
    document = json.loads(render_comparison(comparison, "json", run_ids=ids))
    assert document["runs"] == dict(zip(ids, comparison.names, strict=True))
    assert document["baseline"] == "gpt2-tiny-1"
    loss = next(row for row in document["metrics"] if row["key"] == "final_loss")
    assert loss["best"] == "llama2-tiny-2"
    assert list(loss["values"].values()) == [summary.final_loss for summary in comparison.summaries]
    assert loss["deltas"]["gpt2-tiny-1"] is None
    assert document["verdict"] == comparison.verdict


def test_the_position_of_a_comparison_is_stated(tmp_path: Path) -> None:
    history = load_history(write_run(tmp_path, steps=50))
    compared = compare_runs([("a", history), ("b", history)], at=("step", 20))
    assert render_comparison(compared, "table").startswith("at step 20")
    assert json.loads(render_comparison(compared, "json"))["at"] == {"step": 20}


def test_an_unknown_format_is_an_error(comparison: Comparison) -> None:
    with pytest.raises(ExportError, match="known: table, json, markdown, csv, latex"):
        render_comparison(comparison, "xls")


def test_values_of_many_runs_are_never_broken_over_lines() -> None:
    runs = [(f"run-{number}", history(loss=2.0 + number / 100, evals=((10, 2.5),))) for number in range(20)]
    lines = render_comparison(compare_runs(runs), "table", width=80).splitlines()
    losses = [word for line in lines if line.startswith("loss, mean") for word in line.split() if word[0] == "2"]
    assert losses == [f"{2.0 + number / 100:.4f}" for number in range(20)]
    assert max(map(len, lines)) <= 80
