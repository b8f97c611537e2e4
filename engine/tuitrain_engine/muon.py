"""Muon for the matrices of the blocks, of whole parameters and of sharded ones, with AdamW for everything else.

Muon (Jordan et al. 2024) makes the momentum of a matrix nearly orthogonal before it is applied, which needs the whole
matrix. Over several processes each matrix is made orthogonal by one of them: the shards of all updates
are sent there in one exchange, in bfloat16, as the iteration uses them, and the results are sent back in another.
Momentum stays sharded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Shard
from torch.optim import AdamW, Optimizer

from tuitrain.config import ConfigError
from tuitrain.config.sections import OptimConfig
from tuitrain_engine.gradients import local_part

# Jordan et al. 2024: the quintic whose slope at 0 is steepest while singular values stay near 1, and its iterations.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_EPS = 1e-7


class MuonWithAdamW(Optimizer):
    """Muon for the two-dimensional weights of the blocks, AdamW for embeddings, head, norms and biases.

    It is one optimizer: one list of groups (the first is Muon's), one state, one state_dict. Muon's update is that of
    `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")` on the whole matrix: scaled to the size of AdamW's (Liu
    et al. 2025), so that both use the same learning rate. Parameters are plain, the same on all processes, or DTensors
    sharded by rows; `step` must then be called by all processes. Raises ConfigError for any other sharding.
    """

    def __init__(
        self, hidden: list[nn.Parameter], others: list[dict[str, Any]], config: OptimConfig, fused: bool
    ) -> None:
        self._adamw = AdamW(others, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused)
        muon = {"lr": config.lr, "weight_decay": config.weight_decay, "momentum": config.momentum}
        super().__init__([{"params": hidden, **muon}, *self._adamw.param_groups], {})
        self._orthogonalise = _spread_over_processes(hidden)
        self._share()

    def _share(self) -> None:
        """Make AdamW use this optimizer's groups and state."""
        self._adamw.param_groups, self._adamw.state = self.param_groups[1:], self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the result of `state_dict`."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._muon_step(self.param_groups[0])
        self._adamw.step()
        return loss

    @torch.no_grad()
    def _muon_step(self, group: dict[str, Any]) -> None:
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not parameters:
            return
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        gradients = [local_part(parameter.grad) for parameter in parameters]
        momenta = [local_part(self.state[parameter]["momentum_buffer"]) for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        # Nesterov's: the gradient counts once more. One after the other, so that no float32 copy of all of them exists.
        updates = [
            gradient.lerp(momentum, group["momentum"]).bfloat16()
            for gradient, momentum in zip(gradients, momenta, strict=True)
        ]

        updates = self._orthogonalise(updates, [parameter.shape for parameter in parameters])
        torch._foreach_mul_(
            [local_part(parameter) for parameter in parameters], 1 - group["lr"] * group["weight_decay"]
        )
        for parameter, update in zip(parameters, updates, strict=True):
            local_part(parameter).add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(parameter.shape)))


def orthogonalise(matrix: Tensor) -> Tensor:
    """A bfloat16 matrix made nearly orthogonal by Newton–Schulz iteration: its singular values become about 1."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=_EPS)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        polynomial = torch.addmm(gram, gram, gram, beta=_B, alpha=_C)
        x = torch.addmm(x, polynomial, x, beta=_A)
    return x.T if tall else x


Orthogonalise = Callable[[list[Tensor], Sequence[torch.Size]], list[Tensor]]
"""Local updates and the whole shapes -> orthogonal updates, sharded in the same way."""


def _spread_over_processes(parameters: list[nn.Parameter]) -> Orthogonalise:
    """How the work on these parameters is spread: over their shards, over replicas, or not at all."""
    groups = {_shard_group(parameter) for parameter in parameters}
    if len(groups) > 1:
        raise ConfigError("optim.name = muon needs all matrices of the blocks sharded over the same processes.")
    group = groups.pop() if groups else None
    if group is not None:
        return lambda updates, shapes: _orthogonalise_shards(updates, shapes, group)
    if dist.is_initialized() and dist.get_world_size() > 1:
        return _orthogonalise_replicas
    return lambda updates, shapes: [orthogonalise(update) for update in updates]


def _shard_group(parameter: nn.Parameter) -> dist.ProcessGroup | None:
    """The processes over which a parameter's rows are sharded, None for a plain one."""
    if not isinstance(parameter, DTensor):
        return None
    sharded = [index for index, placement in enumerate(parameter.placements) if not placement.is_replicate()]
    if len(sharded) != 1 or parameter.placements[sharded[0]] != Shard(0):
        raise ConfigError(
            f"optim.name = muon gathers matrices that are sharded by rows, not as {parameter.placements}: use adamw."
        )
    return parameter.device_mesh.get_group(sharded[0])


def _orthogonalise_shards(shards: list[Tensor], shapes: Sequence[torch.Size], group: dist.ProcessGroup) -> list[Tensor]:
    """Send each matrix to its owner, make it orthogonal there, and send its shards back."""
    processes, rank = dist.get_world_size(group), dist.get_rank(group)
    owned = _assign(shapes, processes)
    mine = owned[rank]
    # Pieces are ordered by process, and for each process by the order of the matrices it owns.
    order = list(chain.from_iterable(owned))
    rows = {index: _rows_of_shards(shapes[index][0], processes) for index in mine}
    outgoing = [sum(shards[index].numel() for index in matrices) for matrices in owned]
    pieces_in = [[rows[index][source] * shapes[index][1] for index in mine] for source in range(processes)]
    incoming = [sum(sizes) for sizes in pieces_in]

    received = _exchange(_flatten([shards[index] for index in order], shards[0]), outgoing, incoming, group)
    pieces = received.split(list(chain.from_iterable(pieces_in)))
    whole = [torch.cat(pieces[position :: len(mine)]).view(shapes[index]) for position, index in enumerate(mine)]
    results = [orthogonalise(matrix).split(rows[index]) for index, matrix in zip(mine, whole, strict=True)]

    back = [result[source] for source in range(processes) for result in results]
    received = _exchange(_flatten(back, shards[0]), incoming, outgoing, group)
    pieces = received.split([shards[index].numel() for index in order])
    returned = dict(zip(order, pieces, strict=True))
    return [returned[index].view(shard.shape) for index, shard in enumerate(shards)]


def _orthogonalise_replicas(updates: list[Tensor], shapes: Sequence[torch.Size]) -> list[Tensor]:
    """All processes hold the same updates: each makes its share of them orthogonal, and all get every result."""
    processes, rank = dist.get_world_size(), dist.get_rank()
    owned = _assign(shapes, processes)
    length = max(sum(shapes[index].numel() for index in matrices) for matrices in owned)
    mine = updates[0].new_zeros(length)
    results = _flatten([orthogonalise(updates[index]) for index in owned[rank]], mine)
    mine[: results.numel()] = results
    gathered = mine.new_empty(processes * length)
    dist.all_gather_into_tensor(gathered, mine)
    returned: dict[int, Tensor] = {}
    for matrices, part in zip(owned, gathered.split(length), strict=True):
        sizes = [shapes[index].numel() for index in matrices]
        returned |= zip(matrices, part[: sum(sizes)].split(sizes), strict=True)
    return [returned[index].view(shapes[index]) for index in range(len(updates))]


def _assign(shapes: Sequence[torch.Size], processes: int) -> list[list[int]]:
    """The matrices of each process, about equal in work: the largest first, to the process with the least."""
    work = [max(shape) * min(shape) ** 2 for shape in shapes]
    owned: list[list[int]] = [[] for _ in range(processes)]
    load = [0] * processes
    for index in sorted(range(len(shapes)), key=lambda index: -work[index]):
        least = load.index(min(load))
        owned[least].append(index)
        load[least] += work[index]
    return owned


def _rows_of_shards(rows: int, processes: int) -> list[int]:
    """How many rows each process holds: as `torch.chunk` cuts them, the last ones fewer or none."""
    chunk = -(-rows // processes)
    return [max(min(chunk, rows - rank * chunk), 0) for rank in range(processes)]


def _exchange(flat: Tensor, outgoing: list[int], incoming: list[int], group: dist.ProcessGroup) -> Tensor:
    """Send `outgoing[i]` elements to process i of the group and receive `incoming[i]` from it."""
    received = flat.new_empty(sum(incoming))
    dist.all_to_all_single(received, flat, incoming, outgoing, group=group)
    return received


def _flatten(tensors: list[Tensor], like: Tensor) -> Tensor:
    """One vector of all elements; none make an empty one of the same kind as `like`."""
    return torch.cat([tensor.flatten() for tensor in tensors]) if tensors else like.new_empty(0)
