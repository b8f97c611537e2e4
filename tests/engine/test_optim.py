"""Optimizers: which parameters decay, base rates, state that survives a save."""

from __future__ import annotations

import copy

import pytest
import torch
from model_shapes import random_tokens, small_model
from torch import nn
from torch.optim import SGD, AdamW, Muon

from tuitrain.config.sections import OptimConfig
from tuitrain_engine.model import Transformer
from tuitrain_engine.muon import MuonWithAdamW, orthogonalise
from tuitrain_engine.optim import build_optimizer

NAMES = ["adamw", "muon", "sgd"]


def names_of(model: nn.Module, optimizer: torch.optim.Optimizer, decayed: bool) -> set[str]:
    by_id = {id(p): name for name, p in model.named_parameters()}
    groups = [group for group in optimizer.param_groups if (group["weight_decay"] > 0) is decayed]
    return {by_id[id(p)] for group in groups for p in group["params"]}


def train_step(model: Transformer, optimizer: torch.optim.Optimizer, seed: int) -> float:
    tokens = random_tokens(4, 25, seed=seed)
    output = model(tokens[:, :-1], tokens[:, 1:])
    loss = output.loss_sum / output.count
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tied_embeddings", [False, True])
def test_matrices_decay_and_vectors_do_not(name: str, tied_embeddings: bool) -> None:
    model = small_model(bias=True, qk_norm=True, tied_embeddings=tied_embeddings)
    optimizer = build_optimizer(model, OptimConfig(name=name, weight_decay=0.1), "cpu")
    parameters = dict(model.named_parameters())
    assert names_of(model, optimizer, decayed=True) == {n for n, p in parameters.items() if p.dim() >= 2}
    assert names_of(model, optimizer, decayed=False) == {n for n, p in parameters.items() if p.dim() < 2}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(parameters)


@pytest.mark.parametrize("name", NAMES)
def test_groups_carry_their_peak_rate(name: str) -> None:
    optimizer = build_optimizer(small_model(), OptimConfig(name=name, lr=0.025), "cpu")
    assert {group["base_lr"] for group in optimizer.param_groups} == {0.025}
    assert {group["lr"] for group in optimizer.param_groups} == {0.025}


def test_each_optimizer_has_its_settings() -> None:
    model = small_model()
    adamw = build_optimizer(model, OptimConfig(betas=(0.8, 0.9), eps=1e-6), "cpu")
    assert isinstance(adamw, AdamW)
    assert (adamw.defaults["betas"], adamw.defaults["eps"], adamw.defaults["fused"]) == ((0.8, 0.9), 1e-6, True)
    sgd = build_optimizer(model, OptimConfig(name="sgd", momentum=0.7), "cpu")
    assert isinstance(sgd, SGD) and sgd.defaults["momentum"] == 0.7


def test_frozen_parameters_are_left_out() -> None:
    model = small_model()
    model.embedding.requires_grad_(False)
    optimizer = build_optimizer(model, OptimConfig(), "cpu")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}


def test_fused_adamw_equals_plain_adamw() -> None:
    fused_model, plain_model = small_model(), small_model()
    config = OptimConfig(lr=1e-2)
    fused, plain = build_optimizer(fused_model, config, "cpu"), build_optimizer(plain_model, config, "meta")
    assert plain.defaults["fused"] is False
    for seed in range(3):
        train_step(fused_model, fused, seed)
        train_step(plain_model, plain, seed)
    for one, other in zip(fused_model.parameters(), plain_model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss(name: str) -> None:
    model = small_model()
    optimizer = build_optimizer(model, OptimConfig(name=name, lr=1e-2 if name != "sgd" else 1e-1), "cpu")
    losses = [train_step(model, optimizer, seed=0) for _ in range(15)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_state_continues_exactly(name: str) -> None:
    config = OptimConfig(name=name, lr=1e-2)
    model = small_model()
    optimizer = build_optimizer(model, config, "cpu")
    for seed in range(3):
        train_step(model, optimizer, seed)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    resumed_model = small_model(seed=9)
    resumed = build_optimizer(resumed_model, config, "cpu")
    resumed_model.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    for seed in range(3, 6):
        assert train_step(model, optimizer, seed) == train_step(resumed_model, resumed, seed)
    for one, other in zip(model.parameters(), resumed_model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_muon_updates_the_matrices_of_the_blocks_at_the_rate_of_their_groups() -> None:
    model = small_model(bias=True)
    optimizer = build_optimizer(model, OptimConfig(name="muon", weight_decay=0.0), "cpu")
    assert isinstance(optimizer, MuonWithAdamW)
    train_step(model, optimizer, 0)
    with_moments = {n for n, p in model.named_parameters() if "exp_avg_sq" in optimizer.state[p]}
    hidden = {n for n, p in model.named_parameters() if n.startswith("blocks.") and p.dim() == 2}
    assert with_moments == {n for n, _ in model.named_parameters()} - hidden
    optimizer.load_state_dict(optimizer.state_dict())
    before = [p.clone() for p in model.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    train_step(model, optimizer, 1)
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_muon_equals_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in ((9, 6), (6, 9), (1, 6), (40, 40))] for _ in range(2))
    config = OptimConfig(name="muon", lr=0.02, weight_decay=0.1, momentum=0.9)
    rest = nn.Parameter(torch.ones(3))
    optimizer = MuonWithAdamW(ours, [{"params": [rest], "weight_decay": 0.0}], config, fused=True)
    reference = Muon(theirs, lr=0.02, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        optimizer.step()
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    assert torch.equal(rest, torch.ones(3))


@pytest.mark.parametrize("shape", [(24, 24), (16, 64), (64, 16)])
def test_orthogonalised_matrices_have_singular_values_about_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    before = torch.linalg.svdvals(matrix.float())
    after = torch.linalg.svdvals(orthogonalise(matrix).float())
    assert before.max() / before.min() > 2
    assert after.max() < 1.3 and after.min() > 0.5
