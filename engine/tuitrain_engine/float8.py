"""float8 matrix products in the blocks, through torchao: train.float8."""

from __future__ import annotations

import importlib.util

import torch
from torch import nn

from tuitrain.config import ConfigError, requirements
from tuitrain_engine.decision import Decision
from tuitrain_engine.hardware import Machine
from tuitrain_engine.model import Transformer

CAPABILITY = (8, 9)
"""Compute capability of the first GPUs with float8 units (Ada, then Hopper)."""
_MULTIPLE = 16


def apply_float8(model: Transformer, machine: Machine, *, compiled: bool) -> Decision:
    """Make the linear layers of the blocks multiply in float8, in place: before they are compiled or sharded.

    Weights stay float32 parameters of the same name; they, the inputs and the gradients are scaled by their largest
    value each time (torchao's tensorwise recipe). Head and embedding stay as they are. Raises ConfigError where the
    machine or the shape cannot.
    """
    check_float8(machine)
    converted, total = convert(model)
    reason = f"train.float8: {converted} of {total} linear layers of the blocks, tensorwise scales"
    if not compiled:
        reason += "; slow without train.compile, which fuses the scaling"
    return Decision("float8", "on", reason)


def check_float8(machine: Machine) -> None:
    """Raise ConfigError unless torchao is there and this machine multiplies float8 under bfloat16 autocast."""
    installed = importlib.util.find_spec("torchao") is not None
    requirements.check_float8(machine.device.type, machine.dtype, torchao=installed)
    if torch.cuda.get_device_capability(machine.device) < CAPABILITY:
        raise ConfigError(
            f"train.float8 needs a CUDA device of compute capability 8.9 or more (Ada, Hopper, Blackwell), which "
            f"{machine.name} is not: set train.float8=false."
        )


def convert(model: Transformer, *, emulate: bool = False) -> tuple[int, int]:
    """Replace the linear layers of the blocks whose widths float8 can multiply; how many were, and how many there are.

    emulate rounds to float8 and multiplies in the present dtype, on any device. Raises ConfigError if none can.
    """
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    layers = [module for module in model.blocks.modules() if isinstance(module, nn.Linear)]
    suitable = sum(map(_suits, layers))
    if not suitable:
        raise ConfigError(
            f"train.float8 multiplies widths divisible by {_MULTIPLE}, and no layer of this model has them "
            f"(model.d_model = {model.config.d_model}, model.d_ff = {model.config.d_ff}): set train.float8=false."
        )
    convert_to_float8_training(
        model.blocks, module_filter_fn=lambda module, name: _suits(module), config=Float8LinearConfig(emulate=emulate)
    )
    return suitable, len(layers)


def _suits(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Linear) and module.in_features % _MULTIPLE == 0 and module.out_features % _MULTIPLE == 0
    )
