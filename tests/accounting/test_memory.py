"""The memory estimate: its arithmetic, and the bytes that a forward pass really keeps."""

from __future__ import annotations

import pytest
import torch

from tuitrain.accounting import count_parameters, estimate_memory
from tuitrain.config import RunConfig, load_config
from tuitrain_engine.model import Transformer, initialise
from tuitrain_engine.optim import build_optimizer

TINY = ["gpt2-tiny", "hybrid-tiny", "llama2-tiny", "llama3-tiny", "qwen3-tiny"]
VARIANTS = {
    "post-norm": ("llama2-tiny", ["model.norm_position=post"]),
    "no position": ("gpt2-tiny", ["model.position=none"]),
    "relu2": ("gpt2-tiny", ["model.ffn=relu2"]),
    "geglu": ("llama3-tiny", ["model.ffn=geglu"]),
    "qk-norm without rotation": ("qwen3-tiny", ["model.position=learned"]),
}


def held_bytes(config: RunConfig) -> int:
    """Bytes of the distinct storages that autograd keeps after a forward pass, parameters and tables left out."""
    model = Transformer(config.model)
    initialise(model, 0)
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    tokens = torch.zeros(config.train.micro_batch_size, config.model.seq_len, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(tokens, tokens.clone(), with_accuracy=True)
    assert output.loss_sum.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize(
    "name, overrides", [*((name, []) for name in TINY), *VARIANTS.values()], ids=[*TINY, *VARIANTS]
)
def test_activations_are_those_a_forward_pass_keeps(name: str, overrides: list[str]) -> None:
    config = load_config(name, [*overrides, "train.micro_batch_size=2"])
    estimate = estimate_memory(config, device_type="cpu")
    # Half of the logits is their gradient, which does not exist before the backward pass.
    assert estimate.activations + estimate.logits // 2 == pytest.approx(held_bytes(config), rel=0.02)


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
def test_optimizer_state_is_counted_exactly(optimizer: str) -> None:
    config = load_config("qwen3-tiny", [f"optim.name={optimizer}", "train.micro_batch_size=1"])
    model = Transformer(config.model)
    initialise(model, 0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    step = build_optimizer(model, config.optim, "cpu")
    step.step()
    # A step count is one number a tensor; everything else in the state has a parameter's size.
    states = [value for state in step.state.values() for value in state.values()]
    held = sum(value.nbytes for value in states if isinstance(value, torch.Tensor) and value.dim() > 0)
    assert estimate_memory(config).optimizer == held


def test_weights_and_gradients_are_float32_and_bfloat16_adds_a_copy_of_the_matrices() -> None:
    config = load_config("llama2-tiny")
    counts = count_parameters(config.model)
    single, mixed = (estimate_memory(config, dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert single.weights == single.gradients == mixed.gradients == 4 * counts.total
    assert mixed.weights == 4 * counts.total + 2 * counts.matmul
    assert mixed.activations < single.activations


def test_sharding_divides_what_it_shards() -> None:
    def estimate(strategy: str) -> tuple[int, int, int]:
        memory = estimate_memory(load_config("llama2-tiny", [f"parallel.strategy={strategy}"]), world_size=4)
        return memory.weights, memory.gradients, memory.optimizer

    weights, gradients, optimizer = estimate("ddp")
    assert estimate("zero1") == (weights, gradients, optimizer // 4)
    assert estimate("fsdp") == (weights // 4, gradients // 4, optimizer // 4)


def test_checkpointing_activations_holds_less() -> None:
    held = {
        mode: estimate_memory(load_config("llama2-1.3b", [f"parallel.activation_checkpointing={mode}"])).activations
        for mode in ("none", "full")
    }
    assert held["full"] < held["none"] / 4


def test_the_total_is_the_sum_of_the_parts() -> None:
    e = estimate_memory(load_config("gpt2-tiny"))
    assert e.total == e.weights + e.gradients + e.optimizer + e.activations + e.logits
