"""Optimizers: AdamW, SGD, and Muon for the matrices of the blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Muon, Optimizer

from tuitrain.config.sections import OptimConfig

_FUSED_DEVICES = ("cuda", "cpu")


def build_optimizer(model: nn.Module, config: OptimConfig, device_type: str) -> Optimizer:
    """The optimizer of a model's trainable parameters, on a device type such as "cuda" or "cpu".

    Weight decay is on matrices (embeddings included) only, not on norms and biases. Each parameter group holds its peak
    learning rate as "base_lr": the loop sets lr = base_lr · lr_factor(step). Fused kernels where they exist. The decay
    of adamw and muon is decoupled; that of sgd goes through the momentum, as torch's does.
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


class MuonWithAdamW(Optimizer):
    """Muon for the two-dimensional weights of the blocks, AdamW for embeddings, head, norms and biases.

    To the outside one optimizer: one list of groups, one state, one state_dict. Muon's update is scaled to the size of
    AdamW's (Liu et al. 2025), so that both take the same learning rate.
    """

    def __init__(
        self,
        hidden: list[nn.Parameter],
        others: list[dict[str, Any]],
        config: OptimConfig,
        fused: bool,
    ) -> None:
        self._muon = Muon(
            hidden,
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = AdamW(others, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Let both parts work on this optimizer's groups and state."""
        self._muon.param_groups, self._adamw.param_groups = self.param_groups[:1], self.param_groups[1:]
        self._muon.state = self._adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._muon.step()
        self._adamw.step()
        return loss
