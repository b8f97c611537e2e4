"""Detection of the hardware, and the decisions that depend on it."""

from __future__ import annotations

import pytest
import torch

from tuitrain.config import ConfigError, ModelConfig, RunConfig
from tuitrain.config.sections import HardwareConfig, TrainConfig
from tuitrain_engine import hardware
from tuitrain_engine.hardware import Machine, decide_attention, decide_loss, find_machine, with_attention
from tuitrain_engine.parallel import decide_compile

CPU = torch.device("cpu")


def machine(peak: float | None = None, **train: object) -> Machine:
    return find_machine(TrainConfig(max_steps=1, device="cpu", **train), HardwareConfig(peak_tflops=peak))


def shape(**changes: object) -> ModelConfig:
    base = {"n_layers": 1, "d_model": 64, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 16, "seq_len": 128}
    return ModelConfig(**{**base, **changes})


def test_a_cpu_has_no_peak_unless_one_is_configured() -> None:
    cpu = machine()
    assert (cpu.device.type, cpu.dtype, cpu.peak_tflops, cpu.peak_source) == ("cpu", "float32", None, None)
    assert cpu.name and cpu.memory_gb > 0.1
    given = machine(peak=0.5)
    assert (given.peak_tflops, given.peak_source) == (0.5, "hardware.peak_tflops")


def test_every_decision_has_a_reason() -> None:
    for decision in machine().decisions:
        assert decision.subject and decision.value and decision.reason


def test_bfloat16_is_used_when_configured() -> None:
    cpu = machine(dtype="bfloat16")
    with cpu.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_on_a_machine_without_cuda_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        find_machine(TrainConfig(max_steps=1, device="cuda"), HardwareConfig())


def test_attention_auto_is_resolved_to_a_kernel() -> None:
    decision = decide_attention(shape(), machine())
    assert decision.value in ("flash", "math") and "torch's choice for float32" in decision.reason
    assert decide_attention(shape(attention_backend="math"), machine()).value == "math"
    with pytest.raises(ConfigError, match="attention_backend"):
        decide_attention(shape(attention_backend="cudnn"), machine())


def test_masks_on_a_cpu_are_left_to_torch_and_the_reason_names_them() -> None:
    decision = decide_attention(shape(window=16, document_mask=True), machine(), compiled=True)
    assert decision.value in ("flash", "math")
    assert "model.window and model.document_mask" in decision.reason and "flex has no backward" in decision.reason


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A simulated GPU for decisions that do not need torch's own choice."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(hardware, "_sdpa_choice", lambda model, machine: "efficient")
    return Machine(torch.device("cuda"), "H200", 141.0, "bfloat16", None, None, ())


@pytest.mark.parametrize("masks", [{"window": 16}, {"document_mask": True}])
def test_masks_in_a_compiled_model_on_a_gpu_use_flex(gpu: Machine, masks: dict[str, object]) -> None:
    model = shape(**masks)
    decision = decide_attention(model, gpu, compiled=True)
    assert decision.value == "flex" and f"model.{next(iter(masks))}" in decision.reason
    assert with_attention(model, decision).attention_backend == "flex"


@pytest.mark.parametrize(
    "changes, compiled, words",
    [
        ({}, False, "only with train.compile"),
        ({"dropout": 0.1}, True, "has no dropout"),
        ({"seq_len": 100}, True, "multiple of 128"),
        ({"head_dim": 24}, True, "power of two"),
        ({"head_dim": 8}, True, "power of two from 16"),
    ],
)
def test_flex_is_not_chosen_where_it_may_be_unsuitable(
    gpu: Machine, changes: dict[str, object], compiled: bool, words: str
) -> None:
    model = shape(window=16, **changes)
    decision = decide_attention(model, gpu, compiled)
    assert decision.value == "efficient" and words in decision.reason
    assert with_attention(model, decision).attention_backend == "auto"


def test_flex_is_not_chosen_on_older_gpus_and_not_without_masks(gpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decide_attention(shape(), gpu, compiled=True).value == "efficient"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert "compute capability" in decide_attention(shape(window=16), gpu, compiled=True).reason


def test_the_loss_is_computed_in_chunks_where_its_logits_are_large() -> None:
    small = RunConfig(model=shape(), train=TrainConfig(max_steps=1))
    decision = decide_loss(small)
    assert (decision.value, decision.reason) == ("dense", "all logits of a micro-batch at once need 197 kB")
    large = RunConfig(model=shape(vocab_size=151_936, seq_len=4096), train=TrainConfig(max_steps=1))
    decision = decide_loss(large)
    assert decision.value == "chunked"
    assert decision.reason == "1,664 rows of logits at a time need 2.02 GB, all 32,768 59.7 GB"


def test_without_a_compiler_the_model_stays_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    decision = decide_compile(True, CPU)
    assert decision.value == "off" and "g++" in decision.reason


def test_with_a_compiler_the_model_is_compiled_when_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if name == "clang++" else None)
    assert decide_compile(True, CPU).value == "on"
    assert decide_compile(False, CPU).value == "off"
