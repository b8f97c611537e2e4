"""ddp: compiled blocks are not split at gradient buckets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo
import torch.distributed as dist
from model_shapes import random_tokens, small_model
from torch.nn.parallel import DistributedDataParallel

from tuitrain.config import load_config
from tuitrain_engine.parallel import Distribution, World, strategy


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone, with torch's default settings."""
    torch._dynamo.reset()
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    with torch._dynamo.config.patch(optimize_ddp=True):
        yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_compiled_blocks_are_not_split_at_gradient_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert strategy.BUCKET_MB >= 100
    # Buckets smaller than a matrix of this block, as those of 25 MB are beside a large one.
    monkeypatch.setattr(strategy, "BUCKET_MB", 1e-3)
    model, graphs = small_model().train(), list[torch.fx.GraphModule]()

    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    for block in model.blocks:
        block.compile(backend=backend, dynamic=False)
    distribution = Distribution("ddp", load_config("gpt2-tiny"), World(), torch.device("cpu"), "float32")
    forward = distribution.replicate(model)
    assert isinstance(forward, DistributedDataParallel)
    forward(random_tokens(2, 24), random_tokens(2, 24, seed=1)).loss_sum.backward()
    assert len(graphs) == 1, "one graph serves all blocks"
