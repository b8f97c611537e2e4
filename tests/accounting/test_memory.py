"""The memory estimate: its arithmetic, and the bytes that a forward pass keeps."""

from __future__ import annotations

import pytest
import torch

from tuitrain.accounting import Devices, count_parameters, estimate_memory, step_moments
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
    loss = step_moments(config, Devices("cpu"))["loss"]
    # Of the logits only the log-probabilities exist at this point.
    log_probabilities = 4 * 2 * config.model.seq_len * config.model.vocab_size
    assert loss.activations + log_probabilities == pytest.approx(held_bytes(config), rel=0.02)


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
    assert estimate_memory(config, Devices()).optimizer == held


def test_weights_and_gradients_are_float32_and_bfloat16_adds_a_copy_of_the_matrices() -> None:
    config = load_config("llama2-tiny", ["train.micro_batch_size=1"])
    counts = count_parameters(config.model)
    single, mixed = (step_moments(config, Devices(dtype=dtype))["loss"] for dtype in ("float32", "bfloat16"))
    assert single.weights == single.gradients == mixed.gradients == 4 * counts.total
    assert mixed.weights == 4 * counts.total + 2 * counts.matmul
    assert mixed.activations < single.activations


def test_gradients_exist_at_the_loss_only_when_accumulated_or_kept_in_buckets() -> None:
    def at_loss(strategy: str, micro: int) -> int:
        overrides = [f"parallel.strategy={strategy}", f"train.micro_batch_size={micro}", "train.global_batch_size=8"]
        return step_moments(load_config("llama2-tiny", overrides), Devices(count=2))["loss"].gradients

    whole = 4 * count_parameters(load_config("llama2-tiny").model).total
    assert at_loss("single", 8) == 0
    assert at_loss("single", 2) == at_loss("ddp", 4) == at_loss("zero1", 2) == whole
    assert at_loss("zero1", 4) < at_loss("fsdp", 2) < whole


def test_sharding_divides_the_sharded_memory() -> None:
    def update(strategy: str, *more: str) -> tuple[int, int, int]:
        config = load_config("llama2-tiny", [f"parallel.strategy={strategy}", *more])
        memory = step_moments(config, Devices(count=4, nodes=2))["update"]
        return memory.weights, memory.gradients, memory.optimizer

    whole = update("ddp")
    assert update("zero1") == update("fsdp") == tuple(part // 4 for part in whole)
    assert update("hsdp") == update("hsdp", "parallel.shard_size=2") == tuple(part // 2 for part in whole)


def test_each_strategy_needs_less_than_the_one_before_it() -> None:
    configs = [
        load_config("llama3-8b", [f"parallel.strategy={name}", "train.micro_batch_size=1"])
        for name in ("ddp", "zero1", "fsdp")
    ]
    totals = [estimate_memory(config, Devices(dtype="bfloat16", count=8)).total for config in configs]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < totals[0] / 2


def test_the_update_is_the_peak_of_small_batches_and_holds_a_copy_for_the_statistics() -> None:
    smallest = ["train.micro_batch_size=1", "train.global_batch_size=1"]
    whole = 4 * count_parameters(load_config("gpt2-tiny").model).total
    with_copy = estimate_memory(load_config("gpt2-tiny", smallest), Devices())
    assert (with_copy.activations, with_copy.temporary, with_copy.total) == (0, whole, 5 * whole)
    config = load_config("gpt2-tiny", [*smallest, "telemetry.grad_stats_interval=0"])
    assert step_moments(config, Devices())["update"].total == 4 * whole


def test_activation_checkpointing_keeps_less() -> None:
    none, selective, full = (
        estimate_memory(
            load_config("llama2-1.3b", [f"parallel.activation_checkpointing={mode}", "train.micro_batch_size=5"]),
            Devices(),
        ).activations
        for mode in ("none", "selective", "full")
    )
    assert full < selective < 0.8 * none
    assert full < none / 4


def test_the_total_is_the_sum_of_the_parts() -> None:
    estimate = estimate_memory(load_config("gpt2-tiny"), Devices())
    assert estimate.total == sum(estimate.parts.values())
