"""Initial values: GPT-2's scheme, drawn where the model lies."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from tuitrain_engine.model.transformer import Transformer

STD = 0.02
_RESIDUAL = ("attention.output.weight", "feedforward.down.weight")


@torch.no_grad()
def initialise(model: Transformer, seed: int | None) -> None:
    """Fill every parameter and table of a model in place; seed None leaves the matrices to what is loaded next.

    Matrices: normal with standard deviation 0.02, those that write to the residual stream 0.02 / sqrt(2 · n_layers), so
    that its variance does not grow with depth (Radford et al. 2019). Norm weights 1, biases 0. Each matrix has a
    generator of its own, seeded from `seed` and its name: neither order, nor shards, nor another layer's shape matters.
    It is that of the model's device, so a CPU and a GPU start with other numbers.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() >= 2:
            if seed is None:
                continue
            assign(parameter, _normal(parameter, name, seed, model.config.n_layers))
        else:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
    if model.rotary is not None:
        model.rotary.fill()


def assign(parameter: Tensor, value: Tensor) -> None:
    """Copy a whole tensor, which every process has, into a parameter or into its shards; nothing is sent."""
    if isinstance(parameter, DTensor):
        value = value.to(device=parameter.device, dtype=parameter.dtype)
        value = distribute_tensor(value, parameter.device_mesh, parameter.placements, src_data_rank=None)
    parameter.copy_(value)


def _normal(parameter: Tensor, name: str, seed: int, n_layers: int) -> Tensor:
    std = STD / math.sqrt(2 * n_layers) if name.endswith(_RESIDUAL) else STD
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    generator = torch.Generator(parameter.device).manual_seed(int.from_bytes(digest, "little") >> 1)
    return torch.empty(parameter.shape, dtype=torch.float32, device=parameter.device).normal_(
        0.0, std, generator=generator
    )
