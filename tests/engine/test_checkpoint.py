"""Checkpoints on disk: only complete ones are chosen, and loading runs no code."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, get_optimizer_state_dict

from tuitrain.config.sections import OptimConfig
from tuitrain_engine import checkpoint
from tuitrain_engine.checkpoint import CheckpointError, checksums
from tuitrain_engine.optim import build_optimizer


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
def test_a_saved_state_is_restored(tmp_path: Path, tied: bool) -> None:
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


def test_training_continues_while_a_checkpoint_is_written(tmp_path: Path) -> None:
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


def test_the_newest_complete_checkpoint_is_chosen(tmp_path: Path) -> None:
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
    assert [item.step for item in checkpoint.complete(tmp_path)] == [1, 4, 5]


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
    with pytest.raises(CheckpointError, match="not allowed in the index"):
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


def test_the_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, 1)
    with pytest.raises(CheckpointError, match="another model"):
        checkpoint.load(path, *make(width=6))


def without_checksums(path: Path) -> Path:
    """Remove the checksums, as in checkpoints of older versions."""
    (path / checksums.NAME).unlink()
    return path


def change_index(path: Path, change: Callable[[Metadata], None]) -> None:
    """Rewrite the index of a checkpoint, as a fault or an attacker would."""
    index = checkpoint.read_index(path)
    change(index)
    (path / ".metadata").write_bytes(pickle.dumps(index))


def flip_bit(data: bytearray, at: random.Random) -> None:
    data[at.randrange(len(data))] ^= 1 << at.randrange(8)


def zero_block(data: bytearray, at: random.Random) -> None:
    first = at.randrange(len(data) // 4096 + 1) * 4096
    data[first : first + 4096] = bytes(len(data[first : first + 4096]))


@pytest.mark.parametrize("fault", [flip_bit, zero_block])
def test_a_single_flipped_bit_or_zeroed_block_anywhere_is_detected(tmp_path: Path, fault: Callable[..., None]) -> None:
    older, newer = saved(tmp_path, 1), saved(tmp_path, 2)
    at = random.Random(4)
    for file in sorted(newer.iterdir()):
        whole = file.read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            while data == whole:
                fault(data, at)
            file.write_bytes(data)
            chosen, damaged = checkpoint.choose(tmp_path)
            assert chosen is not None and chosen.path == older
            assert len(damaged) == 1 and f"{newer} is damaged" in damaged[0]
        file.write_bytes(whole)
    assert checkpoint.newest(tmp_path).path == newer


def test_a_missing_file_is_damage(tmp_path: Path) -> None:
    path = saved(tmp_path, 1)
    data = next(path.glob("*.distcp"))
    data.unlink()
    assert f"{data.name} is missing" in checkpoint.damage(path)


def test_a_file_that_has_no_checksum_while_others_have_is_damage(tmp_path: Path) -> None:
    path = saved(tmp_path, 1)
    sums = path / checksums.NAME
    sums.write_text("".join(sums.read_text().splitlines(keepends=True)[:-1]))
    assert "does not have __0_0.distcp" in checkpoint.damage(path)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_the_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    command = ["sha256sum", "--check", "--strict", checksums.NAME]
    assert subprocess.run(command, cwd=saved(tmp_path, 1), capture_output=True).returncode == 0


def test_a_checkpoint_without_checksums_still_loads(tmp_path: Path) -> None:
    path = without_checksums(saved(tmp_path, 3))
    assert checkpoint.newest(tmp_path).path == path
    assert checkpoint.load(path, *make()) == {"step": 3}


@pytest.mark.parametrize("step", [0, 1])
def test_a_checkpoint_of_an_older_version_still_loads(tmp_path: Path, step: int) -> None:
    """The loop's state alone, tied weights twice, no checksums; before the first step AdamW's counter was 1."""
    model, optimizer = make(tied=True)
    if step == 0:
        optimizer.state.clear()
    flat = get_optimizer_state_dict(model, optimizer, options=StateDictOptions(flatten_optimizer_state_dict=True))
    loop = {"progress": {"step": step}}
    path = checkpoint.directory(tmp_path, step)
    old = {
        "model": get_model_state_dict(model),
        "optimizer": {key: value for key, value in flat.items() if isinstance(value, torch.Tensor)},
        "rng": {"0.cpu": torch.get_rng_state()},
        "loop": torch.frombuffer(bytearray(json.dumps(loop).encode()), dtype=torch.uint8),
    }
    dcp.save(old, checkpoint_id=path, no_dist=True)
    assert checkpoint.newest(tmp_path).path == path
    other = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4, bias=False))
    other[1].weight = other[0].weight
    fresh = torch.optim.AdamW(other.parameters(), lr=0.1)
    assert checkpoint.load(path, other, fresh) == loop
    assert torch.equal(other[1].weight, model[0].weight)
    assert [state["step"].item() for state in fresh.state.values()] == [1.0] * (2 * step)


def test_an_index_larger_than_its_files_allocates_no_memory(tmp_path: Path) -> None:
    path = without_checksums(saved(tmp_path, 1))
    change_index(path, lambda index: setattr(index.state_dict_metadata["loop"], "size", torch.Size([1 << 50])))
    with pytest.raises(CheckpointError, match="is damaged: the index gives loop the shape"):
        checkpoint.load(path, *make())


def first_tensor(index: Metadata) -> TensorStorageMetadata:
    return index.state_dict_metadata["model.0.weight"]


def drop_half(index: Metadata) -> None:
    chunk = first_tensor(index).chunks[0]
    chunk.sizes = torch.Size([chunk.sizes[0] // 2, *chunk.sizes[1:]])


@pytest.mark.parametrize(
    "change",
    [lambda index: first_tensor(index).chunks.clear(), drop_half,
     lambda index: first_tensor(index).chunks.append(first_tensor(index).chunks[0])],
    ids=["no-chunks", "half", "twice"],
)  # fmt: skip
def test_values_that_the_index_does_not_cover_are_an_error(tmp_path: Path, change: Callable[[Metadata], None]) -> None:
    path = without_checksums(saved(tmp_path, 1))
    change_index(path, change)
    for load in (lambda: checkpoint.load(path, *make()), lambda: checkpoint.load_model(path, make()[0])):
        with pytest.raises(CheckpointError, match=r"lacks a part of model\.0\.weight"):
            load()


WRONG: list[Any] = [None, 7, "text", [], [3], {}, {"a": 1}, {1: 2}, ("x",), torch.Size([3]), torch.float32]


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_wrong_types_in_the_index_are_one_sentence(tmp_path: Path, value: Any) -> None:
    path = without_checksums(saved(tmp_path, 1))
    whole = (path / ".metadata").read_bytes()

    def extents_of(index: Metadata) -> list[tuple[Any, str]]:
        tensor, info = first_tensor(index), next(iter(index.storage_data.values()))
        return [
            (index, "state_dict_metadata"), (index, "storage_data"), (index, "planner_data"), (index, "storage_meta"),
            (tensor, "size"), (tensor, "chunks"), (tensor, "properties"), (tensor.chunks[0], "sizes"),
            (tensor.chunks[0], "offsets"), (tensor.properties, "dtype"), (info, "relative_path"), (info, "offset"),
            (info, "length"),
        ]  # fmt: skip

    for number in range(len(extents_of(checkpoint.read_index(path)))):
        (path / ".metadata").write_bytes(whole)

        def put(index: Metadata, number: int = number) -> None:
            holder, name = extents_of(index)[number]
            object.__setattr__(holder, name, value)

        change_index(path, put)
        try:
            checkpoint.load(path, *make())
        except CheckpointError as error:
            assert str(path) in str(error)
        checkpoint.choose(tmp_path)


def test_tied_weights_are_stored_once_and_load_when_stored_twice(tmp_path: Path) -> None:
    model, optimizer = make(tied=True)
    once = checkpoint.directory(tmp_path, 1)
    checkpoint.save(once, model, optimizer, {})
    names = checkpoint.read_index(once).state_dict_metadata
    assert "model.0.weight" in names and "model.1.weight" not in names

    twice = tmp_path / "twice"
    dcp.save({"model": get_model_state_dict(model)}, checkpoint_id=twice, no_dist=True)
    assert "model.1.weight" in checkpoint.read_index(twice).state_dict_metadata
    other, _ = make(tied=True)
    with torch.no_grad():
        other[0].weight.zero_()
    checkpoint.load_model(twice, other)
    assert torch.equal(other[1].weight, model[0].weight) and other[1].weight is other[0].weight


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd"])
def test_saving_before_the_first_step_changes_nothing(tmp_path: Path, name: str) -> None:
    config = OptimConfig(name=name)

    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.ModuleDict({"blocks": nn.Sequential(nn.Linear(8, 8)), "head": nn.Linear(8, 4)})
        return model, build_optimizer(model, config, "cpu")

    def trained(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
        for step in range(2):
            inputs = torch.randn(4, 8, generator=torch.Generator().manual_seed(step))
            model["head"](model["blocks"](inputs)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        return [parameter.detach() for parameter in model.parameters()]

    expected = trained(*fresh())
    one, other = fresh(), fresh()
    path = checkpoint.directory(tmp_path, 0)
    checkpoint.save(path, *one, {})
    checkpoint.load(path, *other)
    for model, optimizer in (one, other):
        assert all(torch.equal(a, b) for a, b in zip(trained(model, optimizer), expected, strict=True))


@pytest.mark.filterwarnings("ignore:Ignoring pin_memory flag")
def test_on_a_gpu_memory_for_the_copy_is_kept_from_one_checkpoint_to_the_next() -> None:
    assert checkpoint.stager("cpu") is None
    kept, weight = checkpoint.stager("cuda"), torch.ones(8)
    if kept is None:
        pytest.skip("torch's stager can be used again from 2.13 on")
    first = kept.stage({"model": {"weight": weight}, "loop": torch.zeros(3)})
    address = first["model"]["weight"].data_ptr()
    weight.add_(1)
    # The loop's state changes its length, and the optimizer has no state before the first step.
    second = kept.stage({"model": {"weight": weight}, "loop": torch.zeros(5), "optimizer": {"moment": weight * 2}})
    assert second["model"]["weight"].data_ptr() == address
    assert second["model"]["weight"].tolist() == [2.0] * 8 and second["optimizer"]["moment"].tolist() == [4.0] * 8
    assert len(second["loop"]) == 5
