"""Trains a small model of uneven shapes, in this process or as one of several, and writes its results.

    python -m tests.engine.sharded_worker STRATEGY OPTIMIZER FOLDER

No size is even, and two parameters have a single row, of which the second process holds no part.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from tuitrain.config.sections import OptimConfig
from tuitrain_engine.gradients import Gradients
from tuitrain_engine.optim import build_optimizer

STEPS, LAYERS, WIDTH, VOCABULARY, BATCH = 10, 2, 6, 7, 12
FLAT = StateDictOptions(flatten_optimizer_state_dict=True)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.gate = nn.Linear(WIDTH, 9), nn.Linear(9, WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(functional.gelu(self.up(x))) * self.gate(x).sigmoid()


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return functional.cross_entropy(self.head(x[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def optimizer_config(name: str) -> OptimConfig:
    return OptimConfig(name=name, lr=0.02)


def distribute(model: Model, strategy: str) -> tuple[nn.Module, dist.ProcessGroup | None]:
    """The module to call, and the processes over which its parameters are sharded."""
    if strategy == "single":
        return model, None
    if strategy == "ddp":
        return DistributedDataParallel(model), None
    if strategy == "hsdp":
        mesh = init_device_mesh("cpu", (2, dist.get_world_size() // 2), mesh_dim_names=("replicate", "shard"))
    else:
        mesh = init_device_mesh("cpu", (dist.get_world_size(),), mesh_dim_names=("shard",))
    for module in (*model.blocks, model):
        fully_shard(module, mesh=mesh, reshard_after_forward=strategy != "zero1")
    return model, mesh.get_group("shard")


def batch(step: int) -> Tensor:
    """The sequences of a step."""
    return torch.randint(VOCABULARY, (BATCH, 12), generator=torch.Generator().manual_seed(step))


def train(strategy: str, name: str, rank: int = 0, processes: int = 1) -> dict[str, object]:
    """Ten steps; returns each process's numbers and the whole parameters.

    Muon rounds to bfloat16, where the last bit of a gradient may become one of 256. Under muon therefore all processes
    take the same sequences, nothing is clipped and AdamW's part is frozen: gradients are the same to the last bit.
    """
    exact = name == "muon"
    model = Model()
    module, group = distribute(model, strategy)
    optimizer = build_optimizer(model, optimizer_config(name), "cpu")
    for still in optimizer.param_groups[1:] if exact else ():
        still["lr"] = 0.0
    gradients = Gradients(model.named_parameters(), LAYERS, group)
    norms, updates = [], []
    for step in range(STEPS):
        tokens = batch(step)
        module(tokens if exact else tokens.chunk(processes)[rank]).backward()
        if step == STEPS - 1:
            measured = gradients.measure()
        norms.append(gradients.clip(math.inf if exact else 0.05))
        gradients.copy_parameters()
        optimizer.step()
        updates.append(gradients.measure_update())
        if step < STEPS - 1:
            optimizer.zero_grad()
    clipped = gradients.clip(math.inf)
    make_not_finite(model)
    broken, broken_norm = gradients.measure(), gradients.clip(1.0)
    optimizer.zero_grad()
    return {
        "parameters": {key: unsharded(p.detach()) for key, p in model.named_parameters()},
        "norms": torch.stack(norms), "updates": torch.stack(updates), "measured": measured, "clipped": clipped,
        "broken": broken, "broken_norm": broken_norm, "model": model, "optimizer": optimizer,
    }  # fmt: skip


@torch.no_grad()
def make_not_finite(model: Model) -> None:
    """Put nan and infinity into the last row of a gradient, in the shard of one process."""
    weight = model.head.weight
    gradient = unsharded(weight.grad)
    gradient[-1, 0], gradient[-1, 1] = math.nan, math.inf
    if isinstance(weight, DTensor):
        gradient = distribute_tensor(gradient, weight.device_mesh, weight.placements)
    weight.grad = gradient


def unsharded(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.clone()


def main() -> None:
    strategy, name, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    results = train(strategy, name, rank, dist.get_world_size())
    model, optimizer = results.pop("model"), results.pop("optimizer")
    dcp.save(get_optimizer_state_dict(model, optimizer, options=FLAT), checkpoint_id=folder / "optimizer")
    torch.save(results, folder / f"results-{rank}.pt")
    dist.destroy_process_group()
    # As the engine does: at the interpreter's own end a thread of gloo that is still running aborts the process.
    os._exit(0)


if __name__ == "__main__":
    main()
