"""Plans: what fits on which device, and the changes of a smoke test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuitrain.accounting import Devices, estimate_memory
from tuitrain.config import ConfigError, load_config
from tuitrain.launch import LaunchError
from tuitrain.launch.machine import Device, Machine, gpu_by_name, training_device
from tuitrain.launch.plan import make_plan
from tuitrain.launch.plan_view import plan_json, plan_rows
from tuitrain.launch.preflight import check_memory, fits, require_engine, with_absolute_paths
from tuitrain.launch.request import LaunchRequest, preview
from tuitrain.launch.smoke import smoke_config

CPU = Device("cpu", "CPU", 25.3)
H100 = Device("gpu", "NVIDIA H100 80GB HBM3", 85.0)


def test_the_fit_compares_the_estimate_with_the_device() -> None:
    config = load_config("qwen3-1.8b", ["train.micro_batch_size=2"])
    enough = estimate_memory(config, Devices(dtype="bfloat16")).total / 1e9 / 0.9
    assert make_plan(config, Device("gpu", "x", enough + 0.1)).fits
    assert not make_plan(config, Device("gpu", "x", enough - 0.1)).fits


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
@pytest.mark.parametrize("share", [0.85, 0.95, 1.05])
def test_fit_strategy_and_suggestions_use_the_same_limit(kind: str, share: float) -> None:
    overrides = ["parallel.activation_checkpointing=none", "train.micro_batch_size=5", "parallel.strategy=fsdp"]
    dtype = Device(kind, "x", 1.0).dtype("auto")
    devices = Devices("cuda" if kind == "gpu" else "cpu", dtype, 4)
    fsdp = estimate_memory(load_config("llama2-1.3b", overrides), devices)
    processes = 4 if kind == "cpu" else 1
    device = Device(kind, "x", processes * fsdp.total / 1e9 / share)
    auto = make_plan(load_config("llama2-1.3b", overrides[:2]), device, gpus=4)
    assert auto.strategy == "fsdp"
    assert auto.fits is (share < 0.9)
    assert auto.strategy_reason.startswith("none fits") is not auto.fits
    assert f"{auto.usable_gb:.1f} GB usable" in auto.strategy_reason
    changes = auto.changes()
    assert changes
    assert all(change.bytes / 1e9 <= auto.usable_gb for change in changes)


def test_a_plan_states_the_micro_batch_of_the_engine_with_the_reason() -> None:
    config = load_config("gpt2-124m")
    assert config.train.micro_batch_size == "auto"
    for device, gpus in ((H100, 1), (H100, 8), (CPU, 2), (CPU, 1)):
        plan = make_plan(config, device, gpus=gpus)
        micro = plan.config.train.micro_batch
        assert plan.fits and plan.accumulation == plan.config.accumulation(gpus)
        (text,) = [text for label, text in plan_rows(plan) if label == "micro-batch"]
        assert text.startswith(f"{micro}, chosen: the largest ")
        assert f"that fits 90 % of {plan.memory_gb:.1f} GB" in text
        assert (plan_json(plan)["micro_batch_size"], plan_json(plan)["accumulation"]) == (micro, plan.accumulation)
    assert micro == 16
    named = make_plan(load_config("gpt2-124m", ["train.micro_batch_size=4"]), H100)
    assert named.config.train.micro_batch == 4 and named.micro_batch_reason is None
    assert "micro-batch" not in dict(plan_rows(named))


def test_the_micro_batch_is_unknown_until_the_vocabulary_is_known() -> None:
    unknown = load_config("gpt2-124m", ["model.vocab_size=none", "data.tokenizer=char"])
    plan = make_plan(unknown, H100)
    assert "n/a: chosen by memory once the vocabulary is known" in dict(plan_rows(plan))["micro-batch"]
    assert plan_json(plan)["micro_batch_size"] is plan_json(plan)["accumulation"] is None


def test_a_batch_that_the_processes_do_not_divide_is_refused_for_any_micro_batch() -> None:
    with pytest.raises(ConfigError, match="must be a multiple of"):
        make_plan(load_config("gpt2-124m"), H100, gpus=3)


def test_a_model_that_does_not_fit_with_one_sequence_is_refused() -> None:
    plan = make_plan(load_config("llama3-8b"), H100)
    assert (plan.fits, plan.config.train.micro_batch) == (False, 1)
    with pytest.raises(LaunchError, match=r"micro-batch 1, bfloat16"):
        check_memory(load_config("llama3-8b", ["train.device=cuda"]), Machine((H100,), CPU, 2))


def test_a_form_shows_auto_and_plans_with_the_resolved_number() -> None:
    form = preview(LaunchRequest("gpt2-124m", {"gpu": "H100"}))
    assert form.values["train.micro_batch_size"] == "auto"
    assert form.plan is not None and form.plan.config.train.micro_batch > 16
    assert "train.micro_batch_size" in preview(LaunchRequest("gpt2-124m", {"train.micro_batch_size": "autoo"})).errors


def test_the_default_is_bfloat16_on_a_gpu_and_float32_on_a_cpu() -> None:
    config = load_config("gpt2-124m")
    assert make_plan(config, H100).devices.dtype == "bfloat16"
    assert make_plan(config, CPU).devices.dtype == "float32"
    assert make_plan(load_config("gpt2-124m", ["train.dtype=float32"]), H100).devices.dtype == "float32"


def test_a_time_estimate_needs_a_peak() -> None:
    assert make_plan(load_config("gpt2-124m"), CPU).budget is None
    stated = make_plan(load_config("gpt2-124m", ["hardware.peak_tflops=2"]), CPU)
    assert stated.budget is not None
    assert stated.budget.tokens == stated.tokens


def test_the_cpu_is_used_when_configured() -> None:
    machine = Machine((H100,), CPU, 2)
    assert training_device(load_config("gpt2-tiny", ["train.device=cpu"]), machine) is CPU
    assert training_device(load_config("gpt2-tiny", ["train.device=cuda"]), machine) is H100


def test_a_model_too_large_for_a_gpu_names_the_gpu() -> None:
    small = Machine((Device("gpu", "NVIDIA GeForce RTX 3090", 25.8),), CPU, 2)
    with pytest.raises(LaunchError, match="one NVIDIA GeForce RTX 3090") as error:
        check_memory(load_config("qwen3", ["train.device=cuda"]), small)
    assert "it has 25.8 GB, 23.2 GB of it usable" in str(error.value)
    offered = str(error.value).split("It would with ")[-1].split(". Presets")[0]
    assert all(float(size) <= 23.2 for size in re.findall(r"\((\d+\.\d) GB\)", offered))
    assert fits("qwen3-tiny", small)


def test_gpus_are_identified_by_name() -> None:
    gpu = gpu_by_name("RTX 4090")
    assert gpu is not None
    assert gpu.memory_gb == pytest.approx(25.8)
    assert gpu_by_name("RTX 9999") is None


def test_relative_paths_of_data_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    directory = Path.cwd()
    assert with_absolute_paths(load_config("gpt2-tiny", ["data.source=a/*.txt"])).data.source == str(
        directory / "a/*.txt"
    )
    assert with_absolute_paths(load_config("gpt2-tiny", ["data.source=bin:d"])).data.source == f"bin:{directory / 'd'}"
    assert with_absolute_paths(load_config("gpt2-tiny", ["data.source=hf:./d"])).data.source == f"hf:{directory / 'd'}"
    mixed = load_config("gpt2-tiny", ['data.mixture={"stdlib"=0.7,"a.txt"=0.3}', "data.source=mixture"])
    assert with_absolute_paths(mixed).data.mixture == {"stdlib": 0.7, str(directory / "a.txt"): 0.3}
    for source in ("stdlib", "shakespeare", "hf:some/name", "/abs/a.txt"):
        config = load_config("gpt2-tiny", [f"data.source={source}"])
        assert with_absolute_paths(config) == config


def test_a_smoke_test_keeps_the_model_and_shortens_the_run() -> None:
    config = load_config("qwen3-1.8b")
    smoke = smoke_config(config)
    assert smoke.model == config.model
    assert smoke.train.micro_batch_size == config.train.micro_batch_size
    assert smoke.total_steps == 10
    assert (smoke.eval.interval, smoke.sampling.interval, smoke.checkpoint.interval) == (5, 5, 5)


def test_a_missing_engine_states_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LaunchError, match=r"pip install 'tuitrain\[engine\]'"):
        require_engine()
