"""Norms and statistics of gradients, and the size of the update, of whole parameters and of sharded ones.

All work is on local tensors (of a DTensor this process's shard) and nothing waits for the device. Over shards, each
measurement is one all_reduce of a small vector of sums. The largest magnitudes travel in it too, each process's at an
index of its own, because a maximum over processes may lose a nan.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def local_part(tensor: Tensor) -> Tensor:
    """The local part of a tensor: of a DTensor this process's shard, sharing memory. For use without autograd."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


class Gradients:
    """The gradients of a model's parameters, whole or sharded: norm, clipping, statistics; and the size of the update.

    shard_group: the processes over which every parameter is sharded, None where each process holds them whole. All
    processes of the group make the same calls and get the same numbers. Block norms: embedding first, head last.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, nn.Parameter]],
        n_layers: int,
        shard_group: dist.ProcessGroup | None = None,
    ) -> None:
        named = list(named_parameters)
        self._parameters = [parameter for _, parameter in named]
        self._n_blocks = n_layers + 2
        self._device = self._parameters[0].device
        self._block_of = torch.tensor([_block(name, n_layers) for name, _ in named], device=self._device)
        self._group = shard_group
        self._rank = dist.get_rank(shard_group) if shard_group is not None else 0
        self._processes = dist.get_world_size(shard_group) if shard_group is not None else 1
        self._before: list[Tensor] = []

    @torch.no_grad()
    def clip(self, limit: float) -> Tensor:
        """Scale all gradients so that their global norm is at most `limit`; inf leaves them as they are.

        Returns the norm before clipping, a float32 scalar. Equals `torch.nn.utils.clip_grad_norm_` on whole gradients.
        """
        gradients = self._local_gradients()
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).float()
        if self._group is not None:
            norm = self._sum_over_shards(norm.square()).sqrt()
        if limit < math.inf:
            torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
        return norm

    @torch.no_grad()
    def scale(self, factor: Tensor) -> None:
        """Multiply all gradients by a scalar that is on their device."""
        torch._foreach_mul_(self._local_gradients(), factor)

    @torch.no_grad()
    def measure(self) -> Tensor:
        """Float32 (4 + n_layers + 2,): mean, standard deviation, largest magnitude, non-finite elements, block norms.

        The first four are over all elements of all gradients; a nan or infinity among them shows in the first three.
        """
        count = sum(parameter.numel() for parameter in self._parameters if parameter.grad is not None)
        gradients = self._local_gradients()
        total = torch.stack([gradient.sum() for gradient in gradients]).sum().float()
        # x · 0 is nan for what is not finite, and six times faster than isfinite on CPU.
        non_finite = torch.stack([torch.count_nonzero(gradient * 0) for gradient in gradients]).sum().float()
        # aminmax rather than the infinity norm, which is ten times slower on CPU. A shard may be empty.
        extremes = [extreme for gradient in gradients if gradient.numel() for extreme in gradient.aminmax()]
        maxima = torch.zeros(self._processes, device=self._device)
        if extremes:
            maxima[self._rank] = torch.stack(extremes).abs().max()
        squares = self._block_squares([parameter.grad for parameter in self._parameters])

        packed = self._sum_over_shards(torch.cat((torch.stack((total, non_finite)), maxima, squares)))
        (total, non_finite), maxima, squares = packed.split((2, self._processes, self._n_blocks))
        mean = total / count
        std = (squares.sum() / count - mean.square()).clamp(min=0).sqrt()
        return torch.cat((torch.stack((mean, std, maxima.max(), non_finite)), squares.sqrt()))

    @torch.no_grad()
    def copy_parameters(self) -> None:
        """Copy the parameters (their local shards) before the optimizer's step."""
        self._before = [local_part(parameter).clone() for parameter in self._parameters]

    @torch.no_grad()
    def measure_update(self) -> Tensor:
        """Float32 (2 · (n_layers + 2),): block norms of the copied parameters, then of the change since.

        Frees the copies.
        """
        weights = self._block_squares(self._before)
        torch._foreach_sub_(self._before, [local_part(parameter) for parameter in self._parameters])
        updates = self._block_squares(self._before)
        self._before = []
        return self._sum_over_shards(torch.cat((weights, updates))).sqrt()

    def _local_gradients(self) -> list[Tensor]:
        """The gradients as this process holds them; shards may be empty."""
        return [local_part(parameter.grad) for parameter in self._parameters if parameter.grad is not None]

    def _block_squares(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """(n_layers + 2,): for each block the sum of the local squares; one tensor or None for each parameter."""
        held = [local_part(tensor) for tensor in tensors if tensor is not None]
        norms, zero = iter(torch._foreach_norm(held)), torch.zeros((), device=self._device)
        squares = torch.stack([zero if tensor is None else next(norms) for tensor in tensors]).float().square()
        return squares.new_zeros(self._n_blocks).index_add_(0, self._block_of, squares)

    def _sum_over_shards(self, values: Tensor) -> Tensor:
        if self._group is not None:
            dist.all_reduce(values, group=self._group)
        return values


def _block(name: str, n_layers: int) -> int:
    """0 for the embedding, 1 … n_layers for the blocks, n_layers + 1 for the head."""
    part, _, rest = name.partition(".")
    if part == "blocks":
        return int(rest.split(".", 1)[0]) + 1
    return 0 if part == "embedding" else n_layers + 1
