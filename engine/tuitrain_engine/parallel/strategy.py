"""Parallel strategies: replicas of the model (ddp), or one model in shards (zero1, fsdp, hsdp).

Every strategy averages gradients over all processes; the loop multiplies the loss by their number, which gives the sum
over the global batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from tuitrain import accounting
from tuitrain.config import RunConfig
from tuitrain.config.requirements import check_strategy
from tuitrain_engine.decision import Decision
from tuitrain_engine.model import Transformer
from tuitrain_engine.parallel.world import World

SHARDED = ("zero1", "fsdp", "hsdp")
BUCKET_MB = 100
"""Gradients that ddp sends at once; its default of 25 is less than one large block has."""


def decide_strategy(config: RunConfig, world: World, devices: accounting.Devices) -> Decision:
    """The strategy for these processes; auto chooses by memory. Raises ConfigError when it cannot be done."""
    chosen, reason = accounting.choose_strategy(config, devices)
    check_strategy(config.parallel.model_copy(update={"strategy": chosen}), world.size, world.nodes)
    if chosen == "hsdp":
        size = config.parallel.shard_processes(world.size, world.nodes)
        reason += f"; {world.size // size} copies, each in {size} shards"
    return Decision("strategy", chosen, reason)


class Distribution:
    """One model over the processes of a run: made on the meta device, `shard`ed, filled, then `replicate`d."""

    def __init__(self, strategy: str, config: RunConfig, world: World, device: torch.device, dtype: str) -> None:
        """dtype is the arithmetic: float32 or bfloat16 (autocast)."""
        self.strategy, self._world, self._device, self._dtype = strategy, world, device, dtype
        self._mesh = self._make_mesh(config) if strategy in SHARDED else None
        self._copies: DistributedDataParallel | None = None
        self._model: nn.Module | None = None

    def _make_mesh(self, config: RunConfig) -> DeviceMesh:
        if self.strategy != "hsdp":
            return init_device_mesh(self._device.type, (self._world.size,), mesh_dim_names=("shard",))
        size = config.parallel.shard_processes(self._world.size, self._world.nodes)
        shape = (self._world.size // size, size)
        return init_device_mesh(self._device.type, shape, mesh_dim_names=("replicate", "shard"))

    @property
    def shard_group(self) -> dist.ProcessGroup | None:
        """The processes over which each parameter is sharded; None where each process holds it whole."""
        return self._mesh.get_group("shard") if self._mesh is not None else None

    @property
    def sharded(self) -> bool:
        """Whether a forward pass needs every process."""
        return self._mesh is not None

    def shard(self, model: Transformer) -> None:
        """Turn the parameters, still without values, into shards: a block is the unit that is gathered.

        zero1 is fsdp that keeps gathered weights until the step's last backward pass, so that they are sent once
        a step and only optimizer states (and the weights between steps) stay sharded. Under bfloat16 arithmetic blocks
        and head are gathered in bfloat16: half of the traffic, and no second copy for autocast. Shards, gradients that
        are summed, and the table that the embedding reads stay float32.
        """
        self._model = model
        if self._mesh is None:
            return
        again = self.strategy != "zero1"
        wide = MixedPrecisionPolicy(cast_forward_inputs=False)
        narrow = wide
        if self._dtype == "bfloat16":
            narrow = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
        for block in model.blocks:
            fully_shard(block, mesh=self._mesh, reshard_after_forward=again, mp_policy=narrow)
        if model.config.tied_embeddings:
            # One table in two modules: they are gathered together.
            fully_shard([model.embedding, model.head], mesh=self._mesh, reshard_after_forward=False, mp_policy=wide)
        else:
            fully_shard(model.embedding, mesh=self._mesh, reshard_after_forward=again, mp_policy=wide)
            fully_shard(model.head, mesh=self._mesh, reshard_after_forward=False, mp_policy=narrow)
        fully_shard(model, mesh=self._mesh, reshard_after_forward=False, mp_policy=wide)

    def replicate(self, model: Transformer) -> Callable[..., Any]:
        """The forward pass to train with; under ddp its backward pass averages the gradients."""
        if self.strategy != "ddp":
            return model
        import torch._dynamo.config

        # Otherwise torch cuts each compiled block at the borders of the buckets, into five graphs and more.
        torch._dynamo.config.optimize_ddp = False
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            # Its successor in torch 2.13 does not exist in 2.11, and still sends the buffers once.
            self._copies = DistributedDataParallel(
                model,
                device_ids=[self._world.local_rank] if self._device.type == "cuda" else None,
                broadcast_buffers=False,
                gradient_as_bucket_view=True,
                bucket_cap_mb=BUCKET_MB,
            )
        return self._copies

    def micro_batch(self, last: bool) -> AbstractContextManager[Any]:
        """The context of one micro-batch of a step: gradients travel once a step, with the last.

        fsdp reduces them each time all the same, since holding them whole is what it avoids; hsdp does so within its
        shards, and between the copies once.
        """
        if self._copies is not None:
            return nullcontext() if last else self._copies.no_sync()
        if isinstance(self._model, FSDPModule):
            if self.strategy == "zero1":
                self._model.set_requires_gradient_sync(last)
                self._model.set_reshard_after_backward(last)
            elif self.strategy == "hsdp":
                self._model.set_requires_all_reduce(last)
        return nullcontext()

    def limit_waiting(self, seconds: float) -> None:
        """From now on a step fails when this process waits longer for the others (until now `world.WAIT_LIMIT`)."""
        if self._world.size == 1:
            return
        for group in (dist.group.WORLD, *(self._mesh.get_all_groups() if self._mesh is not None else ())):
            # Without a public name, and what torch's own torchtitan calls.
            dist.distributed_c10d._set_pg_timeout(timedelta(seconds=seconds), group)

    def release(self) -> None:
        """Free gathered parameters after forward passes without a backward pass."""
        if self._mesh is not None and self._model is not None:
            for module in self._model.modules():
                if isinstance(module, FSDPModule):
                    module.reshard()
