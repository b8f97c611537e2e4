"""float8 products: layers, results, refused settings."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from model_shapes import random_tokens, small_model
from torch import nn

from tuitrain.config import ConfigError
from tuitrain_engine.float8 import apply_float8, check_float8, convert
from tuitrain_engine.hardware import Machine


def machine(device: str = "cuda", dtype: str = "bfloat16") -> Machine:
    return Machine(torch.device(device), "Some Device", 80.0, dtype, None, None, ())


@pytest.fixture
def capability(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    return monkeypatch


def test_only_the_blocks_multiply_in_float8() -> None:
    model = small_model(ffn="swiglu", n_kv_heads=2)
    names = [name for name, _ in model.named_parameters()]
    tokens, targets = random_tokens(2, 24), random_tokens(2, 24, seed=1)
    exact = model(tokens, targets)
    assert convert(model, emulate=True) == (10, 10)
    assert [name for name, _ in model.named_parameters()] == names
    assert not any(type(module) is nn.Linear for module in model.blocks.modules())
    rounded = model(tokens, targets)
    assert rounded.loss_sum.item() != exact.loss_sum.item()
    assert rounded.loss_sum.item() == pytest.approx(exact.loss_sum.item(), rel=0.05)
    rounded.loss_sum.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def test_layers_of_odd_widths_are_not_converted() -> None:
    model = small_model(d_ff=40)
    assert convert(model, emulate=True) == (4, 8)
    kept = [name for name, module in model.blocks[0].named_modules() if type(module) is nn.Linear]
    assert kept == ["feedforward.up", "feedforward.down"]
    with pytest.raises(ConfigError, match=r"model\.d_model = 20"):
        convert(small_model(d_model=20, d_ff=40, n_heads=2), emulate=True)


def test_the_decision_counts_the_layers(capability: pytest.MonkeyPatch) -> None:
    decision = apply_float8(small_model(), machine(), compiled=False)
    assert decision.value == "on" and "8 of 8 linear layers" in decision.reason and "train.compile" in decision.reason
    assert "train.compile" not in apply_float8(small_model(), machine(), compiled=True).reason


def test_an_unsupported_machine_is_refused_with_a_reason(capability: pytest.MonkeyPatch) -> None:
    check_float8(machine())
    with pytest.raises(ConfigError, match=r"compute capability 8\.9 or more, and this run trains on the CPU"):
        check_float8(machine("cpu"))
    with pytest.raises(ConfigError, match=r"train\.dtype = bfloat16, not float32"):
        check_float8(machine(dtype="float32"))
    capability.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    with pytest.raises(ConfigError, match=r"compute capability 8\.9"):
        check_float8(machine())
    capability.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'tuitrain\[float8\]'"):
        check_float8(machine())
