"""Checkpoints on disk: complete or not chosen, loaded without running anything."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from tuitrain_engine import checkpoint
from tuitrain_engine.checkpoint import CheckpointError


def make(width: int = 4, tied: bool = False) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A small model that has been trained for a step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, width), nn.Linear(width, width, bias=False))
    if tied:
        model[1].weight = model[0].weight
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.randn(3, width)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def saved(run_dir: Path, step: int, **shape: object) -> Path:
    """A checkpoint of that model."""
    path = checkpoint.directory(run_dir, step)
    checkpoint.save(path, *make(**shape), {"step": step})
    return path


@pytest.mark.parametrize("tied", [False, True])
def test_what_is_saved_comes_back(tmp_path: Path, tied: bool) -> None:
    model, optimizer = make(tied=tied)
    torch.manual_seed(7)
    checkpoint.save(checkpoint.directory(tmp_path, 3), model, optimizer, {"step": 3, "name": "Zürich"})
    drawn = torch.rand(4)

    other, other_optimizer = make(tied=tied)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    state = checkpoint.load(checkpoint.directory(tmp_path, 3), other, other_optimizer)
    assert state == {"step": 3, "name": "Zürich"}
    assert torch.equal(torch.rand(4), drawn)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    before, after = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert all(torch.equal(before[i][key], after[i][key]) for i in before for key in before[i])


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    model, optimizer = make()
    path = checkpoint.directory(tmp_path, 1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    moments = [state["exp_avg"].clone() for state in optimizer.state.values()]
    saving = checkpoint.start_saving(path, model, optimizer, {"step": 1})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7.0)
        for state in optimizer.state.values():
            state["exp_avg"].fill_(7.0)
    checkpoint.finish_saving(path, saving)

    other, other_optimizer = make()
    checkpoint.load(path, other, other_optimizer)
    assert all(torch.equal(a, b) for a, b in zip(before, other.parameters(), strict=True))
    loaded = [state["exp_avg"] for state in other_optimizer.state.values()]
    assert all(torch.equal(a, b) for a, b in zip(moments, loaded, strict=True))


def test_a_checkpoint_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file where the directory should be", encoding="utf-8")
    with pytest.raises(checkpoint.SaveError, match="step-00000001 could not be written") as raised:
        checkpoint.save(checkpoint.directory(tmp_path, 1), *make(), {})
    assert "Traceback" not in str(raised.value)


def test_hyperparameters_come_from_the_new_optimizer_not_from_the_checkpoint(tmp_path: Path) -> None:
    path = saved(tmp_path, 1)
    model, optimizer = make()
    optimizer.param_groups[0]["lr"] = 0.5
    checkpoint.load(path, model, optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_the_newest_whole_checkpoint_is_chosen(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) is None
    for step in (10, 20, 30, 40):
        saved(tmp_path, step)
    (checkpoint.directory(tmp_path, 40) / ".metadata").unlink()
    data = next(checkpoint.directory(tmp_path, 30).glob("*.distcp"))
    os.truncate(data, data.stat().st_size // 2)
    assert checkpoint.newest(tmp_path).step == 20
    (checkpoint.directory(tmp_path, 20) / ".metadata").write_bytes(b"\x80nonsense")
    assert checkpoint.newest(tmp_path).step == 10


def test_prune_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        saved(tmp_path, step)
    checkpoint.prune(tmp_path, keep_last=2, best_step=1)
    assert [found.step for found in checkpoint.complete(tmp_path)] == [1, 4, 5]


def test_saving_over_a_half_written_checkpoint_replaces_it(tmp_path: Path) -> None:
    path = saved(tmp_path, 1)
    (path / ".metadata").unlink()
    (path / "__9_0.distcp").write_bytes(b"left over")
    saved(tmp_path, 1)
    assert not (path / "__9_0.distcp").exists() and checkpoint.newest(tmp_path).step == 1


class Evil:
    """An object whose unpickling creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.target),)


def test_loading_runs_no_code_from_the_index(tmp_path: Path) -> None:
    path = saved(tmp_path, 1)
    target = tmp_path / "executed"
    (path / ".metadata").write_bytes(pickle.dumps(Evil(target)))
    with pytest.raises(CheckpointError, match="no place in the index"):
        checkpoint.load(path, *make())
    assert not target.exists() and checkpoint.newest(tmp_path) is None


def test_loading_runs_no_code_from_the_data(tmp_path: Path) -> None:
    path, target = saved(tmp_path, 1), tmp_path / "executed"
    data = next(path.glob("*.distcp"))
    evil = tmp_path / "evil"
    torch.save(Evil(target), evil)
    index = checkpoint.read_index(path)
    data.write_bytes(evil.read_bytes())
    for info in index.storage_data.values():
        info.offset, info.length = 0, data.stat().st_size
    (path / ".metadata").write_bytes(pickle.dumps(index))
    with pytest.raises(CheckpointError):
        checkpoint.load(path, *make())
    assert not target.exists()


def test_an_index_that_points_outside_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, 1)
    index = checkpoint.read_index(path)
    for info in index.storage_data.values():
        info.relative_path = "../../elsewhere"
    (path / ".metadata").write_bytes(pickle.dumps(index))
    with pytest.raises(CheckpointError, match="outside"):
        checkpoint.load(path, *make())


def test_the_checkpoint_of_another_model_is_told_apart(tmp_path: Path) -> None:
    path = saved(tmp_path, 1)
    with pytest.raises(CheckpointError, match="another model"):
        checkpoint.load(path, *make(width=6))
