"""Launch two small models without a terminal, then show, compare and export them."""

from __future__ import annotations

import csv
import io
import re

import pytest

from tests.e2e.conftest import Completed, Workspace
from tuitrain.config import load_config
from tuitrain.text import clean_lines


@pytest.fixture(scope="module")
def first(workspace: Workspace) -> Completed:
    return workspace("launch", *workspace.micro("gpt2-tiny", 20), "--tag", "left", "--note", "a small one")


@pytest.fixture(scope="module")
def second(workspace: Workspace, first: Completed) -> Completed:
    return workspace("launch", *workspace.micro("llama2-tiny", 20), "--name", "other")


def test_without_a_terminal_a_launch_prints_plain_progress_lines_and_exits_0(first: Completed) -> None:
    assert first.code == 0, first.err
    assert "\x1b" not in first.out
    assert "\r" not in first.out
    steps = re.findall(r"^step +(\d+)/20 .*loss .*tok/s.*MFU.*mem.*grad.*ETA", first.out, re.MULTILINE)
    assert [int(step) for step in steps] == list(range(1, 21))
    assert first.out.index("1L-2H-32D-AbsPos-LN-GELU-PreNorm") < first.out.index("1/20")
    assert "completed" in first.out.splitlines()[-10:][0] or "completed" in first.out
    assert "run gpt2-tiny-" in first.err


def test_the_run_directory_is_complete_and_launches_again(workspace: Workspace, first: Completed) -> None:
    run = workspace.runs[-1]
    info = run.read_metadata()
    assert info is not None
    assert (info.tags, info.notes) == (["left"], ["a small one"])
    assert load_config(str(run.config)).train.max_steps == 20
    assert workspace("launch", str(run.config), "--dry-run").code == 0
    assert run.console.read_text(encoding="utf-8") == first.out


def test_reading_commands_agree_about_the_run(workspace: Workspace, first: Completed, second: Completed) -> None:
    assert second.code == 0, second.err
    rows = workspace("ls", "--json").json()
    assert [row["name"] for row in rows] == ["other", "gpt2-tiny"]
    status = workspace("status", "gpt2", "--json")
    assert status.code == 0
    assert status.json()["loss"] == rows[1]["loss"]
    assert workspace("show", "gpt2", "--json").json()["newest"]["loss"] == rows[1]["loss"]
    assert "saved" in workspace("logs", "gpt2", "--grep", "saved").out


def test_all_commands_state_the_same_time_and_memory(workspace: Workspace, first: Completed) -> None:
    took = re.search(r"^ +time +(.*) in steps, (.*) in all$", first.out, re.MULTILINE)
    memory = re.search(r"^ +peak memory +(.*)$", first.out, re.MULTILINE)
    assert took is not None and memory is not None
    shown = workspace("show", "gpt2").out
    assert re.search(rf"^  training time +{re.escape(took[1])}, ", shown, re.MULTILINE)
    assert re.search(rf"^  wall clock of the run +{re.escape(took[2])}$", shown, re.MULTILINE)
    assert f"  the process, measured peak  {memory[1]}\n" in shown
    assert f"  took {took[2]}  " in workspace("status", "gpt2").out
    first_line, second_line = workspace("watch", "gpt2", "--once").out.splitlines()[:2]
    assert first_line.endswith(f"took {took[2]}")
    assert f"process {memory[1]}" in second_line
    run = workspace("show", "gpt2", "--json").json()
    for reported in (run, workspace("status", "gpt2", "--json").json(), workspace("ls", "--json").json()[-1]):
        assert reported["wall_time_s"] == pytest.approx(run["summary"]["wall_time_s"])
    planned = workspace("plan", str(workspace.runs[-1].config)).out
    estimate = re.search(r"estimate for a step +(\S+ MB), (.*)$", shown, re.MULTILINE)
    assert estimate is not None
    assert f"{float(estimate[1][:-3]):.1f}" in planned and estimate[2] in planned


def test_the_loss_falls(workspace: Workspace, first: Completed) -> None:
    losses = [float(text) for text in re.findall(r"^step .*?loss +([\d.]+)", first.out, re.MULTILINE)]
    assert losses[-1] < losses[0]


def test_a_frame_of_the_dashboard_is_text(workspace: Workspace, first: Completed) -> None:
    frame = workspace("watch", "gpt2").out
    assert "completed" in frame
    assert "loss" in frame
    assert re.search("[\u2801-\u28ff]", frame), "no braille: no curve"


def test_compare_and_diff_show_the_differences(workspace: Workspace, second: Completed) -> None:
    table = workspace("compare", "gpt2", "other")
    assert table.code == 0, table.err
    for words in ("gpt2-tiny", "other", "last loss", "model.norm", "rmsnorm"):
        assert words in table.out
    assert workspace("compare", "gpt2", "other", "--json").code == 0
    assert workspace("compare", "gpt2", "other", "--format", "markdown", "--at", "step=10").code == 0
    assert workspace("compare", "gpt2", "other", "--at", "steps=10").code == 2
    assert workspace("diff", "gpt2", "other", "--json").json()["model.ffn"] == {
        workspace.runs[-1].run_id: "gelu", workspace.runs[0].run_id: "swiglu"
    }  # fmt: skip


def test_figures_are_written_for_both_and_for_the_comparison(workspace: Workspace, second: Completed) -> None:
    done = workspace(
        "export", "plots", "gpt2", "other", "--format", "png,svg", "--dpi", "50", "--out", "figs", "--json"
    )
    assert done.code == 0, done.err
    paths = [workspace.path / path for path in done.json()]
    assert len(paths) == 6
    assert all(path.stat().st_size > 1000 for path in paths)
    assert sorted({path.suffix for path in paths}) == [".png", ".svg"]
    assert workspace("export", "plots", "gpt2", "--format", "bmp").code == 2


def test_metrics_and_comparison_are_exported(workspace: Workspace, second: Completed) -> None:
    rows = list(csv.DictReader(io.StringIO(workspace("export", "metrics", "gpt2", "--format", "csv").out)))
    assert [int(row["step"]) for row in rows if row["loss"]][-1] == 20
    done = workspace("export", "comparison", "gpt2", "other", "--out", "comparison.json")
    assert done.code == 0, done.err
    assert (workspace.path / "comparison.json").stat().st_size > 100


def test_samples_are_generated_from_the_newest_checkpoint(workspace: Workspace, first: Completed) -> None:
    words = ("sample", "gpt2", "--prompt", "def ", "--max-tokens", "5", "--seed", "3")
    printed, data = workspace(*words).out, workspace(*words, "--json").json()
    assert printed.startswith("def ")
    assert data["step"] == 20
    # The same seed gives the same text.
    assert printed == clean_lines(f"{data['prompt']}{data['text']}\n")


def test_a_completed_run_resumes_for_more_steps(workspace: Workspace, first: Completed) -> None:
    run_id = workspace.runs[-1].run_id
    assert workspace("resume", run_id).code == 2
    done = workspace("resume", run_id, "train.max_steps=25", "--json")
    assert done.code == 0, done.err
    assert done.json()["status"] == "completed"
    status = workspace("status", run_id, "--json").json()
    assert (status["step"], status["total_steps"]) == (25, 25)
