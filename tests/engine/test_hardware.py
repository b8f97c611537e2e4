"""What the engine finds out about the machine, and what it decides."""

from __future__ import annotations

import pytest
import torch

from tuitrain.config import ConfigError, ModelConfig
from tuitrain.config.sections import HardwareConfig, ParallelConfig, TrainConfig
from tuitrain_engine.hardware import decide_attention, find_machine
from tuitrain_engine.parallel import World, compile_model, decide_compile, decide_strategy
from tuitrain_engine.system_monitor import GpuReader, SystemMonitor

CPU = torch.device("cpu")


def machine(peak: float | None = None, **train: object):
    return find_machine(TrainConfig(max_steps=1, device="cpu", **train), HardwareConfig(peak_tflops=peak))


def test_a_cpu_has_no_peak_unless_one_is_given() -> None:
    found = machine()
    assert (found.device.type, found.dtype, found.peak_tflops, found.peak_source) == ("cpu", "float32", None, None)
    assert found.name and found.memory_gb > 0.1
    given = machine(peak=0.5)
    assert (given.peak_tflops, given.peak_source) == (0.5, "hardware.peak_tflops")


def test_every_decision_has_a_reason() -> None:
    for decision in machine().decisions:
        assert decision.subject and decision.value and decision.reason


def test_bfloat16_is_used_where_it_is_asked_for() -> None:
    found = machine(dtype="bfloat16")
    with found.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_cuda_is_told() -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        find_machine(TrainConfig(max_steps=1, device="cuda"), HardwareConfig())


def test_attention_auto_is_resolved_to_a_kernel() -> None:
    model = ModelConfig(n_layers=1, d_model=32, n_heads=4, n_kv_heads=2, vocab_size=16, seq_len=8)
    assert decide_attention(model, machine()).value in ("flash", "math")
    with pytest.raises(ConfigError, match="attention_backend"):
        decide_attention(model.model_copy(update={"attention_backend": "cudnn"}), machine())


def test_without_a_compiler_the_model_stays_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    decision = decide_compile(True, CPU)
    assert decision.value == "off" and "g++" in decision.reason
    model = torch.nn.Linear(2, 2)
    assert compile_model(model, decision) is model


def test_with_a_compiler_it_is_compiled_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if name == "clang++" else None)
    assert decide_compile(True, CPU).value == "on"
    assert decide_compile(False, CPU).value == "off"


def test_strategies_that_need_more_processes_are_refused() -> None:
    assert decide_strategy(ParallelConfig(), World()).value == "single"
    with pytest.raises(ConfigError, match="needs several processes"):
        decide_strategy(ParallelConfig(strategy="fsdp"), World())


def test_the_monitor_writes_at_once_and_ends_when_closed() -> None:
    records: list[object] = []
    monitor = SystemMonitor(records.append, interval_s=3600)
    monitor.close()
    (record,) = records
    assert record.host and record.ram_total_gb > 0 and 0 <= record.cpu_percent <= 100


def test_without_nvml_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert GpuReader().read() == []
