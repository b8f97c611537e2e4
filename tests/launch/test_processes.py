"""The number of processes of a run, and settings that exclude each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuitrain.config import ConfigError, RunConfig, load_config
from tuitrain.config.requirements import check_processes
from tuitrain.launch import LaunchError
from tuitrain.launch.local import SPIN_COUNT, process_environment, train_command
from tuitrain.launch.machine import Device, Machine
from tuitrain.launch.preflight import choose_processes
from tuitrain.runs import create_run_directory

CPU = Device("cpu", "CPU", 25.3)
H100 = Device("gpu", "NVIDIA H100 80GB HBM3", 85.0)
ALONE = Machine((), CPU, 2)
EIGHT = Machine((H100,) * 8, CPU, 64)


@pytest.fixture(autouse=True)
def torch_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuitrain.launch.machine.torch_is_cpu_only", lambda: False)


def config(batch: int, micro: int, *overrides: str) -> RunConfig:
    sizes = [f"train.global_batch_size={batch}", f"train.micro_batch_size={micro}"]
    return load_config("gpt2-tiny", [*sizes, *overrides])


@pytest.mark.parametrize(("batch", "micro", "count"), [(64, 8, 8), (64, 16, 4), (48, 8, 6), (8, 8, 1), (56, 8, 7)])
def test_all_gpus_that_divide_the_batch_are_used(batch: int, micro: int, count: int) -> None:
    chosen = choose_processes(config(batch, micro), EIGHT, None)
    assert chosen.count == count
    assert (chosen.note is None) == (count == 8)
    if chosen.note is not None:
        assert f"{count} of 8 GPUs" in chosen.note


def test_an_automatic_micro_batch_allows_every_number_that_divides_the_batch() -> None:
    automatic = load_config("gpt2-tiny", ["train.global_batch_size=12", "train.micro_batch_size=auto"])
    assert choose_processes(automatic, EIGHT, None).count == 6
    with pytest.raises(ConfigError, match=r"this would work: --gpus 3, --gpus 4, train\.global_batch_size=15"):
        check_processes(automatic, 5)
    # --gpus counts those of a node.
    with pytest.raises(ConfigError, match=r"this would work: --gpus 2, --gpus 4, train\.global_batch_size=15"):
        check_processes(automatic, 15, 3)
    with pytest.raises(ConfigError, match=r"this would work: train\.global_batch_size=15"):
        check_processes(automatic, 5, 5)


def test_the_cpu_runs_one_process_by_default() -> None:
    assert choose_processes(config(8, 4), ALONE, None).count == 1
    assert choose_processes(config(8, 4), ALONE, 2).count == 2
    assert choose_processes(config(8, 4, "train.device=cpu"), EIGHT, None).count == 1
    assert choose_processes(config(64, 1, "train.device=cpu"), EIGHT, 16).count == 16


def test_the_single_strategy_runs_one_process_on_any_number_of_gpus() -> None:
    assert choose_processes(config(8, 1, "parallel.strategy=single"), EIGHT, None).count == 1


def test_more_processes_than_gpus_are_refused_with_the_number_of_gpus() -> None:
    with pytest.raises(LaunchError, match="this machine has 8 GPUs") as caught:
        choose_processes(config(64, 1), EIGHT, 16)
    assert "--gpus 8" in str(caught.value)


@pytest.mark.parametrize(("batch", "micro", "count"), [(8, 8, 2), (12, 4, 2), (24, 4, 4), (5, 5, 3), (6, 1, 4)])
def test_a_batch_that_does_not_divide_lists_valid_numbers(batch: int, micro: int, count: int) -> None:
    with pytest.raises(ConfigError, match=r"train\.global_batch_size .* train\.micro_batch_size") as caught:
        check_processes(config(batch, micro), count)
    advice = str(caught.value).split("this would work: ")[1]
    for setting, number in re.findall(r"(train\.\w+|--gpus)[= ](\d+)", advice):
        tried = {"train.global_batch_size": batch, "train.micro_batch_size": micro, "--gpus": count, setting: number}
        check_processes(
            config(int(tried["train.global_batch_size"]), int(tried["train.micro_batch_size"])), int(tried["--gpus"])
        )
    assert re.search(r"(train\.\w+|--gpus)[= ]\d", advice)


@pytest.mark.parametrize("strategy", ["ddp", "zero1", "fsdp", "hsdp"])
def test_strategies_of_several_processes_are_refused_for_one(strategy: str) -> None:
    with pytest.raises(ConfigError, match="needs several processes") as caught:
        check_processes(config(8, 4, f"parallel.strategy={strategy}"), 1)
    assert str(caught.value).index("--strategy auto") < str(caught.value).index("--gpus 2")
    check_processes(config(8, 4, f"parallel.strategy={strategy}"), 2)


def test_single_is_refused_for_several() -> None:
    with pytest.raises(ConfigError, match="one process, not 2"):
        check_processes(config(8, 4, "parallel.strategy=single"), 2)


def test_shards_divide_the_processes() -> None:
    check_processes(config(8, 1, "parallel.strategy=hsdp", "parallel.shard_size=2"), 4)
    with pytest.raises(ConfigError, match=r"parallel\.shard_size = 3 .* \(4\): 2, 4 would"):
        check_processes(config(8, 1, "parallel.strategy=hsdp", "parallel.shard_size=3"), 4)


def test_several_processes_are_started_by_torchrun_and_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run_directory(tmp_path, "mine")
    assert "tuitrain_engine.torchrun" not in train_command(run)
    command = " ".join(train_command(run, processes=4))
    assert "-m tuitrain_engine.torchrun --standalone --nproc-per-node 4 -m tuitrain_engine train --run-dir" in command
    monkeypatch.setattr("tuitrain.launch.local.usable_cores", lambda: 9)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert process_environment(run, 4)["OMP_NUM_THREADS"] == "2"
    assert process_environment(run, 16)["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in process_environment(run)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert process_environment(run, 4)["OMP_NUM_THREADS"] == "7"


def test_waiting_threads_spin_briefly_unless_the_user_sets_a_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run_directory(tmp_path, "mine")
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    assert process_environment(run)["GOMP_SPINCOUNT"] == str(SPIN_COUNT)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert "GOMP_SPINCOUNT" not in process_environment(run)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert process_environment(run)["GOMP_SPINCOUNT"] == "7"


def test_gpu_memory_grows_in_segments_unless_the_user_sets_a_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run_directory(tmp_path, "mine")
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    assert process_environment(run)["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "backend:cudaMallocAsync")
    assert process_environment(run)["PYTORCH_ALLOC_CONF"] == "backend:cudaMallocAsync"
    monkeypatch.delenv("PYTORCH_ALLOC_CONF")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "backend:cudaMallocAsync")
    assert "PYTORCH_ALLOC_CONF" not in process_environment(run)
