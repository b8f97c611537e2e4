"""What commands say in the cases that are easily said wrong."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import Cli
from tests.support import write_run
from tuitrain.launch import resume as resuming
from tuitrain.launch.local import Label, start, wrapped_command
from tuitrain.runs import RunDirectory, RunMetadata, create_run_directory


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("data.source=nothere.txt", 3),
        ("data.source=hf:", 2),
        ("data.tokenizer=sentencepeice:300", 2),
        ("model.attention_backend=flex", 2),
    ],
)
def test_a_dry_run_fails_as_the_launch_would(cli: Cli, runs_dir: Path, override: str, code: int) -> None:
    dry, real = cli("launch", "gpt2-tiny", override, "--dry-run"), cli("launch", "gpt2-tiny", override)
    assert (dry.code, dry.out) == (code, "")
    assert (dry.code, dry.err) == (real.code, real.err)
    assert not runs_dir.exists()


def test_a_dry_run_prints_a_model_that_does_not_fit_and_where_the_run_would_be(cli: Cli, runs_dir: Path) -> None:
    arguments = ("launch", "llama3-8b", "parallel.activation_checkpointing=none", "--dry-run", "--json")
    result = cli(*arguments)
    assert result.code == 2 and "llama3-8b needs about" in result.err
    assert cli(*arguments, "--force").code == 0
    assert result.json()["fits"] is False
    assert f"{runs_dir}/llama3-8b-" in " ".join(result.json()["command"])


def test_a_plan_names_a_hub_dataset_that_is_cut(cli: Cli) -> None:
    result = cli("plan", "gpt2-124m", "data.source=hf:some/name", "train.token_budget=10B", "data.max_tokens=200M")
    assert "at most 200 M tokens of it are read (data.max_tokens)" in result.out
    assert "50.3 times or more" in result.out
    assert "at most" not in cli("plan", "gpt2-tiny", "data.source=hf:some/name").out


@pytest.mark.parametrize("name", ["bad name/x", "", "-x", "a" * 65])
@pytest.mark.parametrize("rest", [["gpt2-tiny", "--dry-run"], ["--", "true"]])
def test_an_invalid_name_is_refused(cli: Cli, runs_dir: Path, name: str, rest: list[str]) -> None:
    result = cli("launch", f"--name={name}", *rest)
    assert result.code == 2
    assert "--name" in result.err
    assert not runs_dir.exists()


def test_a_key_that_cannot_be_unset_says_so(cli: Cli) -> None:
    result = cli("plan", "gpt2-tiny", "model.n_layers=none")
    assert result.code == 2
    assert result.err == "tuitrain: model.n_layers cannot be unset: give it a value.\n"


def test_ls_says_what_is_wrong_in_its_own_words(cli: Cli, runs_dir: Path) -> None:
    result = cli("ls", "--sort", "x")
    assert result.code == 2
    assert "'x' is not one of 'age', 'name'" in result.err
    assert "Value error" not in result.err
    file = runs_dir.parent / "file"
    file.touch()
    result = cli("ls", "--runs-dir", str(file))
    assert result.code == 3
    assert "is a file" in result.err
    write_run(runs_dir, "over")
    result = cli("ls", "--status", "failed")
    assert "No run in" in result.err
    assert "Start one" not in result.err


def test_a_run_that_is_over_is_reported_once(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "over")
    result = cli("stop", "over")
    assert (result.out + result.err).count("completed") == 1


def test_an_external_program_runs_from_the_start_and_promises_no_checkpoint(cli: Cli, runs_dir: Path) -> None:
    run = create_run_directory(runs_dir, "mine")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        run.write_metadata(
            RunMetadata(name="mine", created=1.0, started=time.time(), pid=child.pid, host=socket.gethostname(),
                    pid_started=psutil.Process(child.pid).create_time(), command=wrapped_command(run, ["train"]))
        )  # fmt: skip
        status = cli("status", "mine")
        stopped = cli("stop", "mine", "--no-wait")
        child.kill()
    assert status.out.startswith("running")
    assert "SIGTERM" in stopped.err
    assert "checkpoint" not in stopped.err
    write_run(runs_dir, "engine", status=None)
    assert "writes a checkpoint first" in cli("stop", "engine", "--no-wait").err


def test_a_stop_that_ends_in_a_failure_is_one(cli: Cli, runs_dir: Path) -> None:
    run = create_run_directory(runs_dir, "mine")
    source = (
        "import os, time; from tuitrain.events import EventWriter, End\n"
        "run = os.environ['TUITRAIN_RUN_DIR']\n"
        "while not os.path.exists(run + '/control/stop'): time.sleep(0.05)\n"
        "with EventWriter(run + '/metrics.jsonl') as log: log.write(End(status='failed', reason='The disk is full.'))"
    )
    process = start(run, [sys.executable, "-c", source], Label("mine"))
    result = cli("stop", "mine")
    process.wait()
    assert result.code == 1
    assert "failed: The disk is full." in result.err
    assert cli("stop", "mine").code == 0


def test_a_resumed_run_is_started_with_its_whole_path(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(runs_dir, "over")
    (run.checkpoints / "step-00000050").mkdir(parents=True)
    (run.checkpoints / "step-00000050" / ".metadata").touch()
    started: list[list[str]] = []
    monkeypatch.setattr(resuming, "start_engine", lambda run, command, *_, **kept: started.append(command))
    resuming.resume_run(RunDirectory(Path("runs/over")))
    assert str(runs_dir / "over") in started[0]


def test_a_point_that_no_run_has_reached_is_refused(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "one", steps=10)
    write_run(runs_dir, "two", steps=20)
    result = cli("compare", "one", "two", "--at", "step=99")
    assert result.code == 2
    assert "no run has reached step = 99; the farthest is at 20" in " ".join(result.err.split())
    assert cli("compare", "one", "two", "--at", "step=20").code == 0


def test_a_point_of_an_axis_that_no_run_has_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n1,3.0\n2,2.5\n3,2.0\n")
    result = cli("compare", str(tmp_path / "log.csv"), "--at", "flops=1e18")
    assert (result.code, "no run has flops, so none can be compared there" in result.err) == (2, True)


def test_a_loss_that_runs_come_to_and_one_that_none_comes_to(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "one", steps=50)
    write_run(runs_dir, "two", steps=50, floor=2.5, tokens_per_sec=8e5)
    at_loss = cli("compare", "one", "two", "--at", "loss=4.5", "--json").json()
    assert at_loss["at"] == {"loss": 4.5}
    assert at_loss["metrics"][0]["key"] == "step"
    assert at_loss["metrics"][0]["best"] == "one"
    assert 0 < at_loss["metrics"][0]["values"]["one"] < at_loss["metrics"][0]["values"]["two"] < 50
    never = cli("compare", "one", "two", "--at", "val_loss=1.5")
    assert never.code == 0
    assert never.out.count("did not reach a validation loss of 1.5: its lowest is") == 2


def test_costs_are_those_of_the_price(cli: Cli, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(runs_dir, "one", steps=50)
    write_run(runs_dir, "two", steps=50)
    assert "cost" not in cli("compare", "one", "two").out
    assert "cost" in cli("compare", "one", "two", "--usd-per-gpu-hour", "2.5").out
    for wrong in ("-1", "nan", "inf", "free"):
        result = cli("compare", "one", "two", "--usd-per-gpu-hour", wrong)
        assert (result.code, result.out) == (2, ""), wrong
    monkeypatch.setenv("TUITRAIN_USD_PER_GPU_HOUR", "3")
    at_loss = cli("compare", "one", "two", "--at", "loss=4.5", "--json").json()
    assert "cost_usd" in {row["key"] for row in at_loss["metrics"]}


def test_an_axis_alone_is_the_farthest_point_of_all(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "one", steps=10)
    write_run(runs_dir, "two", steps=20)
    assert cli("compare", "one", "two", "--at", "step", "--json").json()["at"] == {"step": 10.0}
    for wrong in ("wishes=1", "loss", "tokens=", "step=-1", "time=inf", "loss=nan"):
        result = cli("compare", "one", "two", "--at", wrong)
        assert result.code == 2, wrong
        assert "is not valid" in " ".join(result.err.split()), wrong
