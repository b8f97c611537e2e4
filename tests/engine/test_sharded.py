"""Gradients and Muon on several processes equal those of one process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from tests.engine import sharded_worker as worker
from tests.warm_engine import start_ranks
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

from tuitrain_engine.optim import build_optimizer


def results_of(folder: Path, strategy: str, name: str, processes: int) -> list[dict[str, object]]:
    """The results of each process."""
    ranks = start_ranks([strategy, name, str(folder)], processes, env=os.environ, cwd=folder, module=worker.__name__)
    for rank in ranks:
        _, errors = rank.communicate(timeout=200)
        assert rank.returncode == 0, errors[-3000:]
    return [torch.load(folder / f"results-{rank}.pt") for rank in range(processes)]


@pytest.mark.parametrize(
    ("strategy", "name", "processes"),
    [
        ("zero1", "muon", 2),
        ("ddp", "muon", 2),
        ("fsdp", "adamw", 2),
        pytest.param("fsdp", "muon", 4, marks=pytest.mark.slow),
        pytest.param("hsdp", "muon", 4, marks=pytest.mark.slow),
        pytest.param("fsdp", "sgd", 2, marks=pytest.mark.slow),
        pytest.param("fsdp", "adamw", 3, marks=pytest.mark.slow),
    ],
)
def test_several_processes_compute_what_one_computes(tmp_path: Path, strategy: str, name: str, processes: int) -> None:
    expected = worker.train("single", name)
    results = results_of(tmp_path, strategy, name, processes)
    for numbers in results:
        for key in ("parameters", "norms", "updates", "measured", "clipped"):
            torch.testing.assert_close(numbers[key], expected[key], rtol=1e-5, atol=1e-6)
        if name == "muon":
            assert all(map(torch.equal, numbers["parameters"].values(), expected["parameters"].values()))
        for key in ("broken", "broken_norm"):
            torch.testing.assert_close(numbers[key], expected[key], rtol=1e-5, atol=1e-6, equal_nan=True)
    # Replicas and shards agree to the last bit.
    for numbers in results[1:]:
        assert all(map(torch.equal, numbers["parameters"].values(), results[0]["parameters"].values()))

    model = worker.Model()
    model.load_state_dict(results[0]["parameters"])
    optimizer = build_optimizer(model, worker.optimizer_config(name), "cpu")
    state = get_optimizer_state_dict(model, optimizer, options=worker.FLAT)
    dcp.load(state, checkpoint_id=tmp_path / "optimizer")
    set_optimizer_state_dict(model, optimizer, state, options=worker.FLAT)
    for continued, its_optimizer in ((expected["model"], expected["optimizer"]), (model, optimizer)):
        continued(worker.batch(worker.STEPS)).backward()
        its_optimizer.step()
    for one, other in zip(model.parameters(), expected["model"].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
