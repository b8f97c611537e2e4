"""What `launch` says before anything starts, and what the other commands say to runs that are over."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import Cli
from tests.support import write_run
from tuitrain.cli import attach, launch_here
from tuitrain.config import load_config
from tuitrain.events import Control, EventWriter
from tuitrain.events.layout import Nodes
from tuitrain.launch import machine, preflight
from tuitrain.launch import resume as resuming
from tuitrain.launch.local import Label
from tuitrain.launch.machine import Device, Machine
from tuitrain.launch.queue import enqueue_all, leave_queue
from tuitrain.launch.resume import prepare_resume
from tuitrain.runs import RunMetadata

BY_HAND = ("--nodes", "2", "--node-rank", "1", "--rendezvous", "node0:29500")


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Machine((), Device("cpu", "CPU", 25.3), 2)
    monkeypatch.setattr(preflight, "find_machine", lambda: here)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.max_step=200", "train.max_step is not a key of the configuration. Did you mean 'train.max_steps'?"),
        ("model.norm=layernrm", "Did you mean 'layernorm'?"),
        ("train.max_steps=-1", "train.max_steps = -1"),
        ("train.max_steps", "is not an override: write KEY=VALUE"),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence_and_leaves_nothing(
    cli: Cli, runs_dir: Path, override: str, sentence: str
) -> None:
    result = cli("launch", "llama2-tiny", override)
    assert result.code == 2
    assert sentence in result.err
    assert "Traceback" not in result.err
    assert not runs_dir.exists()


def test_invalid_settings_of_the_dashboard_fail_before_anything_starts(
    cli: Cli, runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "is_terminal", lambda: True)
    (tmp_path / "tuitrain.toml").write_text("[tui]\nsmoothing = 2")
    for words in (["llama2-tiny"], ["--", "true"]):
        result = cli("launch", *words)
        assert (result.code, result.out) == (2, "")
        assert "tui.smoothing = 2 is not valid" in result.err
        assert not runs_dir.exists()
    run = write_run(runs_dir, status="stopped")
    files = sorted(run.path.rglob("*"))
    assert "tui.smoothing = 2 is not valid" in cli("resume", run.run_id).err
    assert sorted(run.path.rglob("*")) == files


def test_an_unknown_preset_or_file_is_not_found(cli: Cli, runs_dir: Path) -> None:
    result = cli("launch", "lama2-tiny")
    assert result.code == 3
    assert "Did you mean 'llama2-tiny'?" in result.err
    assert cli("launch", "./nothing.toml").code == 3
    assert not runs_dir.exists()


def test_a_preset_that_does_not_fit_names_those_that_do(cli: Cli, runs_dir: Path, small_machine: None) -> None:
    result = cli("launch", "qwen3")
    assert result.code == 2
    assert "qwen3-1.8b needs about" in result.err
    assert "this machine has 25.3 GB" in result.err
    fitting = result.err.split("Presets that fit: ")[1].split(". ")[0].split(", ")
    assert "qwen3-tiny" in fitting
    assert "qwen3-1.8b" not in fitting
    assert "--force" in result.err
    assert not runs_dir.exists()


def test_a_source_that_is_not_there_is_noticed_before_the_start(cli: Cli, runs_dir: Path) -> None:
    result = cli("launch", "gpt2-tiny", "data.source=nowhere.txt")
    assert result.code == 3
    assert "data.source" in result.err
    assert not runs_dir.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gpt2-tiny", "--gpus", "2"], "this would work: train.micro_batch_size=4"),
        (["gpt2-tiny", "parallel.strategy=fsdp"], "this run has one"),
        (["gpt2-tiny", "--strategy", "fspd"], "parallel.strategy = 'fspd'"),
        (["gpt2-tiny", "--strategy", "single", "--gpus", "2", "train.micro_batch_size=4"], "is one process, not 2"),
        (["--gpus", "2", "--", "true"], "--gpus: only with --queue for a command"),
        (["--halving", "--queue", "--", "true"], "--halving: only for the engine's own"),
        (["gpt2-tiny", "--halving"], "--halving needs a sweep"),
        (["gpt2-tiny", "--first-rung", "0.1"], "--first-rung: only with --halving"),
        (["gpt2-tiny", "--watch"], "needs a terminal"),
        (["gpt2-tiny", "--detach", "--foreground"], "exclude each other"),
        ([], "give a preset"),
        (["--"], "no command after"),
        (["gpt2-tiny", "--", "true"], "not both"),
        (["gpt2-tiny", "--log", "out"], "--log: only for a command after"),
        (["gpt2-tiny", "--set", "gpus=2"], "--set: only for a command after"),
        (["--map", "ce=losss", "--", "true"], "losss"),
        (["--set", "gpus=none", "--", "true"], "gpus = 'none' is not valid"),
        (["gpt2-tiny", "--slurmed"], "--slurmed: there is no such option"),
        (["gpt2-tiny", "--nodes", "2"], "--nodes needs --slurm, or --node-rank and --rendezvous"),
        (["gpt2-tiny", "--slurm", "--retries", "2"], "--retries: not with --slurm"),
        (["gpt2-tiny", "--partition", "a", "--nodes", "2"], "--partition: only with --slurm."),
        (["gpt2-tiny", "--min-nodes", "1"], "--min-nodes: only with --node-rank."),
        (["gpt2-tiny", "--node-rank", "0"], "--node-rank needs --nodes"),
        (["gpt2-tiny", "--node-rank", "0", "--nodes", "2"], "--node-rank needs --rendezvous HOST:PORT"),
        (["gpt2-tiny", *BY_HAND, "--nodes", "1"], "--nodes 1 is this machine alone"),
        (["gpt2-tiny", *BY_HAND, "--node-rank", "2"], "--node-rank 2: the last of 2 nodes has --node-rank 1."),
        (["gpt2-tiny", *BY_HAND, "--min-nodes", "3"], "--min-nodes 3 is more than --nodes 2."),
        (["gpt2-tiny", *BY_HAND, "--rendezvous", "node0"], "--rendezvous 'node0' is no HOST:PORT"),
        (["gpt2-tiny", *BY_HAND, "--slurm"], "--node-rank and --rendezvous: not with --slurm."),
        (["gpt2-tiny", *BY_HAND, "--queue"], "--queue: not with --node-rank."),
        (["gpt2-tiny", *BY_HAND, "train.seed=1,2"], "--node-rank: not for a sweep, whose runs are queued."),
        ([*BY_HAND, "--", "true"], "--node-rank: not for a command, whose own launcher"),
        (["gpt2-tiny", "--skip-bad-batch"], "--skip-bad-batch needs --retries."),
        (["gpt2-tiny", "--sync", ".", "--no-sync"], "--sync and --no-sync: only with --host."),
        (["gpt2-tiny", "--host", "far", "--sync", ".", "--no-sync"], "--sync and --no-sync exclude each other."),
        (["--dry-run", "--", "true"], "--dry-run: only for the engine's own configurations, not for a command."),
        (["--grace", "0", "gpt2-tiny"], "--grace: only for a command after `--`."),
        (["gpt2-tiny", "train.seed=1,2", "--detach"], "--detach: not for a sweep, whose runs are queued."),
        (["gpt2-tiny", "train.seed=1,2", "--dry-run"], "--dry-run: not for a sweep, whose runs are queued."),
        (["gpt2-tiny", "train.seed=1,2", "--slurm", "--halving"], "--halving: not with --slurm, which starts"),
        (["gpt2-tiny", "--random", "2"], "--random needs a sweep: several values of a key"),
        (["gpt2-tiny", "--slurm", "--time", "soon"], '--time: "soon" is not valid'),
    ],
)
def test_an_invalid_request_exits_with_2(cli: Cli, runs_dir: Path, arguments: list[str], words: str) -> None:
    result = cli("launch", *arguments)
    assert result.code == 2
    assert words in result.err
    assert not runs_dir.exists()


def test_a_dry_run_prints_the_plan_and_the_command_and_starts_nothing(cli: Cli, runs_dir: Path) -> None:
    result = cli("launch", "gpt2-tiny", "train.max_steps=7", "--dry-run")
    assert result.code == 0
    for words in ("4L-4H-128D-AbsPos-LN-GELU-PreNorm", "842,496", "7 steps", "fits", "tuitrain_engine train --run-dir"):
        assert words in result.out
    plan = cli("launch", "gpt2-tiny", "--name", "mine", "--dry-run", "--json").json()
    assert plan["name"] == "mine"
    assert plan["fits"] is True
    assert "--run-dir" in plan["command"]
    assert not runs_dir.exists()


def test_several_processes_on_the_cpu_are_planned_in_words(cli: Cli, runs_dir: Path, small_machine: None) -> None:
    arguments = ("launch", "gpt2-tiny", "train.micro_batch_size=4", "--gpus", "2", "--dry-run")
    text = cli(*arguments).out
    assert "2 processes on the CPU that communicate through gloo" in text
    assert "4 × 1 micro-batches × 2 processes" in text
    assert "-m tuitrain_engine.torchrun --standalone --nproc-per-node 2 -m tuitrain_engine train" in text
    plan = cli(*arguments, "--json").json()
    assert plan["strategy"] == "ddp"
    assert "ddp needs" in plan["strategy_reason"]
    assert plan["device"]["count"] == 2
    assert cli(*arguments, "--strategy", "zero1", "--json").json()["strategy"] == "zero1"
    joins = cli("launch", "gpt2-tiny", "train.micro_batch_size=4", *BY_HAND, "--dry-run").out
    assert "-m tuitrain.launch.nodes.agent --rendezvous=node0:29500 --node-rank=1 --gpus=1" in joins
    chosen = cli("launch", "gpt2-tiny", "train.micro_batch_size=auto", "--gpus", "2", "--dry-run").out
    assert "4 × 1 micro-batches × 2 processes" in chosen and "4, chosen: the largest up to 16 that fits" in chosen
    assert not runs_dir.exists()


def test_all_gpus_are_used_or_a_note_says_why_not(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    eight = Machine((Device("gpu", "NVIDIA H100 80GB HBM3", 85.0),) * 8, Device("cpu", "CPU", 25.3), 64)
    monkeypatch.setattr(machine, "torch_is_cpu_only", lambda: False)
    for module in (launch_here, preflight):
        monkeypatch.setattr(module, "find_machine", lambda: eight)
    all_of_them = cli("launch", "gpt2-124m", "--dry-run")
    assert "8 × NVIDIA H100" in all_of_them.out
    assert "GPUs are used" not in all_of_them.err
    fewer = cli("launch", "gpt2-124m", "train.global_batch_size=48", "train.micro_batch_size=8", "--dry-run")
    assert "6 of 8 GPUs are used" in fewer.err
    assert "6 × NVIDIA H100" in fewer.out
    assert "this machine has 8 GPUs" in cli("launch", "gpt2-124m", "--gpus", "16", "--dry-run").err


def test_a_console_of_each_process_can_be_read(cli: Cli, runs_dir: Path) -> None:
    info = RunMetadata(name="two", created=1.0, launcher="torchrun", processes=2)
    run = write_run(runs_dir, "two", info=info)
    run.console_of(1).write_text("from rank 1\n", encoding="utf-8")
    assert cli("logs", "two", "--rank", "1").out == "from rank 1\n"
    assert "from rank 1" not in cli("logs", "two").out
    missing = cli("logs", "two", "--rank", "2")
    assert missing.code == 3
    assert "two has no process 2; the number of its last one is 1." in missing.err


def test_what_each_node_says_can_be_read_and_followed(cli: Cli, runs_dir: Path) -> None:
    nodes = Nodes(count=3, least=1, rendezvous="node0:29500")
    write_run(runs_dir, "two", info=RunMetadata(name="two", created=1.0, processes=3, nodes=nodes))
    (runs_dir / "two" / "console.node-2.log").write_text("node 2 of two\n", encoding="utf-8")
    write_run(runs_dir, "one", info=RunMetadata(name="one", created=1.0))
    assert cli("logs", "two", "--node-rank", "2").out == "node 2 of two\n"
    assert cli("logs", "two", "--node-rank", "2", "-f").out == "node 2 of two\n"
    assert cli("logs", "two", "--node-rank", "0").out == cli("logs", "two").out
    for run, said in (("two", "its nodes are 0 to 2"), ("one", "it was not launched with --node-rank")):
        missing = cli("logs", run, "--node-rank", "3")
        assert missing.code == 3 and missing.err == f"tuitrain: {run} has no node 3: {said}.\n"
    assert "exclude each other" in cli("logs", "two", "--node-rank", "1", "--rank", "1").err


def test_consoles_of_an_attempt_with_more_processes_can_still_be_read(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "one", info=RunMetadata(name="one", created=1.0))
    assert "one has no process 7; the number of its last one is 0." in cli("logs", "one", "--rank", "7").err
    for rank in (1, 2, 3):
        run.console_of(rank).write_text(f"from rank {rank}\n", encoding="utf-8")
    assert cli("logs", "one", "--rank", "3").out == "from rank 3\n"
    missing = cli("logs", "one", "--rank", "7")
    assert missing.code == 3
    assert "one has no process 7; the number of its last one is 3." in missing.err


def test_a_resumed_run_keeps_its_number_of_processes_by_default(
    cli: Cli, runs_dir: Path, small_machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = RunMetadata(name="two", created=1.0, launcher="torchrun", processes=2)
    overrides = ("train.max_steps=100", "train.micro_batch_size=4")
    run = write_run(runs_dir, "two", overrides=overrides, steps=50, status="stopped", info=info)
    (run.checkpoints / "step-00000050").mkdir(parents=True)
    (run.checkpoints / "step-00000050" / ".metadata").touch()
    assert prepare_resume(run)[1].count == 2
    assert prepare_resume(run, gpus=1)[1].count == 1
    refused = cli("resume", "two", "--gpus", "3")
    assert refused.code == 2
    assert "train.global_batch_size" in refused.err
    started: list[list[str]] = []
    monkeypatch.setattr(resuming, "start_engine", lambda run, command, *_, **kept: started.append(command))
    resuming.resume_run(run, ["parallel.strategy=fsdp"])
    assert "--nproc-per-node 2" in " ".join(started[0])
    assert "--resume" in started[0]


def test_a_written_preset_is_a_configuration_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(cli("presets", "gpt2-tiny").out, encoding="utf-8")
    plan = cli("launch", "mine.toml", "--dry-run", "--json").json()
    assert plan["name"] == "mine"
    assert plan["parameters"]["total"] == 842_496


@pytest.mark.parametrize("command", ["checkpoint", "eval", "snapshot"])
def test_only_a_live_run_can_be_asked(cli: Cli, runs_dir: Path, command: str) -> None:
    run = write_run(runs_dir, "over")
    result = cli(command, "over")
    assert result.code == 1
    assert "over is completed" in result.err
    live = write_run(runs_dir, "live", status=None)
    assert cli(command, "live").code == 0
    assert (live.control / command).exists()
    assert not (run.control / command).exists()


def test_only_a_run_of_the_engine_that_is_not_paused_can_be_paused(cli: Cli, runs_dir: Path) -> None:
    live = write_run(runs_dir, "live", status=None)
    refused = cli("continue", "live")
    assert (refused.code, refused.err) == (1, "tuitrain: live is running, not paused.\n")
    # The newer of the two counts, also when the run has not read the first.
    assert [cli(command, "live").code for command in ("pause", "continue")] == [0, 0]
    assert [path.name for path in live.control.iterdir()] == ["continue"]
    with EventWriter(live.metrics) as log:
        log.write(Control(request="pause", result="paused at step 100"))
    assert cli("status", "live").out.startswith("paused  live  step 100")
    assert cli("ls", "-q", "status:paused").out == "live\n"
    assert "is paused already" in cli("pause", "live").err
    assert "║ paused" in cli("watch", "live", "--once").out
    with EventWriter(live.metrics) as log:
        log.write(Control(request="continue", result="continued after 3 s at step 100"))
    live.config.unlink()
    assert "only the engine can pause" in cli("pause", "live").err


def test_stopping_what_is_over_says_so(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "over")
    result = cli("stop", "over")
    assert result.code == 0
    assert "already completed" in result.err
    assert cli("stop", "over", "--json").json() == [{"run_id": "over", "status": "completed"}]


def test_of_a_sweep_the_runs_that_wait_are_stopped_first_and_one_run_is_never_guessed(cli: Cli, runs_dir: Path) -> None:
    trains = write_run(runs_dir, "trains", status=None, info=RunMetadata(name="a", created=1.0, group="grid"))
    config = load_config("gpt2-tiny", ["train.device=cpu"])
    waits, removed = enqueue_all([config, config], runs_dir, Label("grid", group="grid"))
    for command in (["pause"], ["checkpoint"], ["resume"], ["fork"], ["sample"], ["queue", "move"]):
        refused = cli(*command, "group:grid", *(["1"] if "move" in command else []))
        assert refused.code == 3 and "group:grid has 3 runs: give the id of one of them, such as trains." in refused.err
    assert not list(trains.control.iterdir())
    for command in ("pause", "checkpoint"):
        assert f"{waits.run_id} is queued: it reads requests when it trains." in cli(command, waits.run_id).err
    assert f"{waits.run_id} is queued and has no console yet." in cli("logs", waits.run_id).err
    assert "trains is not in the queue" in cli("queue", "rm", "trains").err
    assert leave_queue(removed, "for this test")
    stopped = cli("stop", "trains", waits.run_id, "--no-wait", "--json").json()
    assert [(each["run_id"], each["status"]) for each in stopped] == [(waits.run_id, "stopped"), ("trains", "running")]
    taken = cli("queue", "rm", "group:grid")
    assert taken.code == 3 and f"trains, {waits.run_id}, {removed.run_id} are not in the queue" in taken.err


def test_what_waits_of_a_sweep_is_taken_out_of_the_queue(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "over", info=RunMetadata(name="a", created=1.0, group="grid"))
    enqueue_all([load_config("gpt2-tiny", ["train.device=cpu"])], runs_dir, Label("grid", group="grid"))
    taken = cli("queue", "rm", "group:grid")
    assert (taken.code, taken.err) == (0, "over is not in the queue.\nThe queue is empty.\n")


def test_resuming_what_cannot_go_on_says_why(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "over", overrides=("train.max_steps=100",))
    result = cli("resume", "over")
    assert result.code == 3
    assert "no complete checkpoint" in result.err
    checkpoint = run.checkpoints / "step-00000100"
    checkpoint.mkdir(parents=True)
    (checkpoint / ".metadata").touch()
    result = cli("resume", "over")
    assert result.code == 2
    assert "train.max_steps=200" in result.err
    write_run(runs_dir, "live", status=None)
    assert "stop it first" in cli("resume", "live").err


def test_gpus_hidden_from_cuda_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert machine.visible(2) == [1, 0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.visible(2) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,5,1")
    assert machine.visible(2) == [0]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert machine.visible(2) == [0, 1]


def test_the_cpu_has_the_memory_of_the_machine() -> None:
    assert machine.find_machine().cpu.memory_gb == pytest.approx(psutil.virtual_memory().total / 1e9)
