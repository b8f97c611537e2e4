"""Which of our metrics a name means."""

from __future__ import annotations

import pytest

from tuitrain.readers.mapping import guessed

GIB = 1.073741824
NAMES = {
    "step_loss": ("loss", 1.0), "optim/LR (group 0)": ("lr", 1.0), "optim/learning_rate_group0": ("lr", 1.0),
    "lr-DecoupledAdamW/group0": ("lr", 1.0), "actor/grad_norm": ("grad_norm", 1.0), "norm": ("grad_norm", 1.0),
    "throughput/device/TPS": ("tokens_per_sec", 1.0), "metrics.perf.tok_per_s": ("tokens_per_sec", 1.0),
    "Tokens/s/device": ("tokens_per_sec", 1.0), "TFLOP/s/device": ("tflops", 1.0),
    "model_tflops_per_gpu": ("tflops", 1.0), "perf/mfu/actor": ("mfu", 1.0), "step_avg_ms": ("step_time_ms", 1.0),
    "timing_s/step": ("step_time_ms", 1000.0), "memory/max_active (GiB)": ("mem_peak_gb", GIB),
    "memory(GiB)": ("mem_peak_gb", GIB), "mem_gib": ("mem_allocated_gb", GIB), "Mem_gb": ("mem_allocated_gb", 1.0),
    "perf/max_memory_allocated_gb": ("mem_peak_gb", 1.0), "cuda_max_memory_reserved_gb": ("mem_reserved_gb", 1.0),
    "memory/device_reserved (GiB)": ("mem_reserved_gb", GIB), "peak_memory_active": ("mem_peak_gb", GIB),
    "Val Acc_percent": ("val_accuracy", 0.01), "test/Average loss": ("eval/test/loss", 1.0),
    "train_time_ms": None, "actor/entropy": None, "train/PPL": None, "lr/1": None, "loss_cls": None,
    "params norm": None, "memory": None,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_ours_or_none(name: str) -> None:
    target = guessed(name)
    assert (None if target is None else (target.key, pytest.approx(target.factor))) == NAMES[name]
