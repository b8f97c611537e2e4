"""Optimizers: AdamW, SGD, and Muon for the matrices of the blocks."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import SGD, AdamW, Optimizer

from tuitrain.config.sections import OptimConfig
from tuitrain_engine.muon import MuonWithAdamW

_FUSED_DEVICES = ("cuda", "cpu")


def build_optimizer(model: nn.Module, config: OptimConfig, device_type: str) -> Optimizer:
    """The optimizer of a model's trainable parameters, whole or sharded, on a device type such as "cuda" or "cpu".

    Weight decay is on matrices (embeddings included) only, not on norms and biases. Each parameter group holds its peak
    learning rate as "base_lr": the loop sets lr = base_lr · lr_factor(step). Fused kernels where they exist. The decay
    of adamw and muon is decoupled; that of sgd goes through the momentum, as torch's does.

    Raises ConfigError for a sharding that muon cannot gather.
    """
    fused = device_type in _FUSED_DEVICES
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = [p for p in parameters.values() if p.dim() >= 2]
    vectors = [p for p in parameters.values() if p.dim() < 2]
    optimizer: Optimizer
    if config.name == "muon":
        hidden = [p for name, p in parameters.items() if p.dim() == 2 and name.startswith("blocks.")]
        inside = {id(p) for p in hidden}
        outside = [p for p in matrices if id(p) not in inside]
        optimizer = MuonWithAdamW(hidden, _groups(outside, vectors, config), config, fused)
    elif config.name == "sgd":
        # torch's fused SGD has no rule for sharded parameters.
        fused = fused and not any(isinstance(parameter, DTensor) for parameter in parameters.values())
        optimizer = SGD(_groups(matrices, vectors, config), lr=config.lr, momentum=config.momentum, fused=fused)
    else:
        optimizer = AdamW(
            _groups(matrices, vectors, config), lr=config.lr, betas=config.betas, eps=config.eps, fused=fused
        )
    for group in optimizer.param_groups:
        group["base_lr"] = config.lr
    return optimizer


def _groups(matrices: list[nn.Parameter], vectors: list[nn.Parameter], config: OptimConfig) -> list[dict[str, Any]]:
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
