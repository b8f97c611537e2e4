"""Checkpoints: torch.distributed.checkpoint directories that hold tensors only.

Layout: `checkpoints/step-00001000/`, complete once `.metadata` exists in it (DCP writes that last). Everything in
it is a tensor, the loop's own state included (as UTF-8 JSON in bytes), so nothing has to be unpickled to load it
but DCP's index; that is read by an unpickler which knows DCP's record classes and nothing else. Loading a
stranger's checkpoint therefore runs none of its code.

Every process writes what it holds, its random state included. What is read is cut to the shards of the reading
processes, whatever their number and strategy.
"""

from __future__ import annotations

import json
import pickle
import re
import shutil
import warnings
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from tuitrain_engine.formatting import bytes_text
from tuitrain_engine.parallel import World

_NAME = re.compile(r"step-(\d{8,})")
_ALONE = World()
# DCP remarks that there is only one process, from whichever thread it works in.
warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
_FLAT = StateDictOptions(flatten_optimizer_state_dict=True)
_INDEX_CLASSES = {
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib._local", "PosixPath"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            "Metadata", "MetadataIndex", "StorageMeta", "TensorProperties", "TensorStorageMetadata",
            "BytesStorageMetadata", "ChunkStorageMetadata", "_MEM_FORMAT_ENCODING",
        )
    ),
}  # fmt: skip


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names it and says why."""


class SaveError(RuntimeError):
    """A checkpoint that could not be written; the message names it and says why."""


@dataclass(frozen=True)
class Found:
    """A complete checkpoint on disk."""

    step: int
    path: Path


# ── on disk ──────────────────────────────────────────────────────────────────────────────────────────────


def directory(run_dir: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run_dir / "checkpoints" / f"step-{step:08d}"


def complete(run_dir: Path) -> list[Found]:
    """The complete checkpoints of a run, oldest first; half-written ones are left out."""
    found = []
    for path in (run_dir / "checkpoints").glob("step-*"):
        match = _NAME.fullmatch(path.name)
        if match and (path / ".metadata").is_file():
            found.append(Found(int(match[1]), path))
    return sorted(found, key=lambda item: item.step)


def newest(run_dir: Path) -> Found | None:
    """The newest checkpoint whose index can be read and whose files are all there in full length."""
    return next((found for found in reversed(complete(run_dir)) if is_whole(found.path)), None)


def clear_after(run_dir: Path, step: int) -> None:
    """Before a run goes on from `step`: away with what was being written, and aside with later, damaged checkpoints.

    Otherwise they would count among the newest that stay.
    """
    for path in (run_dir / "checkpoints").glob("step-*"):
        if not (path / ".metadata").is_file():
            shutil.rmtree(path)
    for found in complete(run_dir):
        if found.step > step:
            aside = found.path.with_name(f"damaged-{found.path.name}")
            if aside.exists():
                shutil.rmtree(aside)
            found.path.rename(aside)


def at_step(run_dir: Path, step: int) -> Found | None:
    """The complete checkpoint of one step."""
    return next((found for found in complete(run_dir) if found.step == step), None)


def prune(run_dir: Path, keep_last: int, best_step: int | None) -> None:
    """Delete all but the newest `keep_last` and the best; the index goes first, so none is ever half-deleted."""
    kept = complete(run_dir)
    for found in kept[: max(len(kept) - keep_last, 0)]:
        if found.step != best_step:
            _delete(found.path)


def discard(run_dir: Path, step: int) -> None:
    """Delete the checkpoint of one step, if there is one."""
    path = directory(run_dir, step)
    if path.exists():
        _delete(path)


def size_in_bytes(path: Path) -> int:
    """Bytes of all files of a checkpoint."""
    return sum(file.stat().st_size for file in path.iterdir())


def reason(error: BaseException) -> str:
    """What went wrong in DCP, without the traceback that it quotes: of several processes, the first one's error."""
    failures = getattr(error, "failures", None)
    if failures:
        error = next(iter(failures.values()))[0]
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _delete(path: Path) -> None:
    (path / ".metadata").unlink(missing_ok=True)
    shutil.rmtree(path)


def is_whole(path: Path) -> bool:
    """Whether the index can be read and all files have the length that it says."""
    try:
        stored = read_index(path).storage_data or {}
    except CheckpointError:
        return False
    ends: dict[str, int] = {}
    for info in stored.values():
        ends[info.relative_path] = max(ends.get(info.relative_path, 0), info.offset + info.length)
    return all((path / name).is_file() and (path / name).stat().st_size >= end for name, end in ends.items())


# ── the index ────────────────────────────────────────────────────────────────────────────────────────────


class _IndexUnpickler(pickle.Unpickler):
    """Knows DCP's record classes and torch's dtypes; anything else in the index is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _INDEX_CLASSES:
            return super().find_class(module, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in the index of a checkpoint")


def read_index(path: Path) -> Metadata:
    """DCP's index of a checkpoint, read without running code from it. Raises CheckpointError."""
    try:
        with (path / ".metadata").open("rb") as file:
            index = _IndexUnpickler(file).load()
    except Exception as error:  # a pickle can fail in any way at all
        raise CheckpointError(f"{path}: the index cannot be read ({error}).") from None
    if not isinstance(index, Metadata):
        raise CheckpointError(f"{path}: the index holds no checkpoint metadata.")
    for info in (index.storage_data or {}).values():
        inside = PurePosixPath(info.relative_path)
        if inside.is_absolute() or ".." in inside.parts:
            raise CheckpointError(f"{path}: the index points outside of the checkpoint ({info.relative_path}).")
    return index


class _SafeReader(dcp.FileSystemReader):
    """DCP's reader with the index read by `read_index`."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        index = read_index(Path(self.path))
        if index.storage_meta is None:
            index.storage_meta = StorageMeta()
        index.storage_meta.load_id = self.load_id
        return index


# ── writing and reading ──────────────────────────────────────────────────────────────────────────────────


def start_saving(
    path: Path, model: nn.Module, optimizer: Optimizer, loop_state: dict[str, Any], world: World = _ALONE
) -> Future[Any]:
    """Copy the state to the CPU, then write it in the background; an incomplete checkpoint of this step is replaced.

    Training may go on at once. loop_state must be JSON, and the same on all processes. The future ends when every
    process has written its part, with an exception where one could not (`finish_saving` says it in words).
    """
    if world.is_main and path.exists():
        _delete(path)
    loop_state = world.share(loop_state)
    state = {
        "model": get_model_state_dict(model),
        "optimizer": _tensors(get_optimizer_state_dict(model, optimizer, options=_FLAT)),
        "rng": _random_state(world),
        "loop": torch.frombuffer(bytearray(json.dumps(loop_state).encode()), dtype=torch.uint8),
    }
    writer = dcp.FileSystemWriter(path)
    return dcp.async_save(  # type: ignore[return-value]
        state, storage_writer=writer, process_group=world.saving_group, no_dist=world.size == 1
    )


def finish_saving(path: Path, saving: Future[Any], patience_s: float | None = None) -> None:
    """Wait until a checkpoint is complete. Raises SaveError, also when that takes longer than `patience_s`."""
    try:
        saving.result(patience_s)
    except TimeoutError:
        raise SaveError(f"The checkpoint {path.name} was not written within {patience_s:.0f} s.") from None
    except (dcp.api.CheckpointException, OSError, RuntimeError) as error:
        free = bytes_text(shutil.disk_usage(path.parent.parent).free)
        raise SaveError(
            f"The checkpoint {path.name} could not be written, with {free} free on its disk ({reason(error)})."
        ) from None


def save(path: Path, model: nn.Module, optimizer: Optimizer, loop_state: dict[str, Any], world: World = _ALONE) -> None:
    """Write a checkpoint and wait for it. Raises SaveError."""
    finish_saving(path, start_saving(path, model, optimizer, loop_state, world))


def load(path: Path, model: nn.Module, optimizer: Optimizer, world: World = _ALONE) -> dict[str, Any]:
    """Fill model, optimizer and random state from a checkpoint and return the loop's state.

    A process that the writing run did not have keeps the random state it has. Raises CheckpointError when the
    checkpoint belongs to another model or is damaged.
    """
    index = read_index(path)
    optimizer_state = get_optimizer_state_dict(model, optimizer, options=_FLAT)
    state = {
        "model": get_model_state_dict(model),
        "optimizer": _tensors(optimizer_state),
        "rng": {name: tensor for name, tensor in _random_state(world).items() if f"rng.{name}" in _keys(index)},
        "loop": _empty_like(index, "loop", path),
    }
    _read(state, index, path, world)
    set_model_state_dict(model, state["model"])
    set_optimizer_state_dict(model, optimizer, {**optimizer_state, **state["optimizer"]}, options=_FLAT)
    _set_random_state(state["rng"])
    return _loop_state(state["loop"])


def load_model(path: Path, model: nn.Module) -> None:
    """Fill the parameters alone, to generate text. Raises CheckpointError."""
    state = {"model": get_model_state_dict(model)}
    _read(state, read_index(path), path, _ALONE)
    set_model_state_dict(model, state["model"])


def _read(state: dict[str, Any], index: Metadata, path: Path, world: World) -> None:
    for section, content in state.items():
        entries = content if isinstance(content, dict) else {"": content}
        for name, tensor in entries.items():
            key = f"{section}.{name}" if name else section
            stored = _keys(index).get(key)
            if not isinstance(stored, TensorStorageMetadata):
                raise CheckpointError(f"{path}: {key} is missing; the checkpoint is of another model or optimizer.")
            if stored.size != tensor.shape:
                raise CheckpointError(
                    f"{path}: {key} has shape {list(stored.size)}, this run needs {list(tensor.shape)}: "
                    "the checkpoint is of another model."
                )
    try:
        dcp.load(state, storage_reader=_SafeReader(path), process_group=world.host_group, no_dist=world.size == 1)
    except (dcp.api.CheckpointException, OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{path}: cannot be loaded ({reason(error)}).") from None


def _keys(index: Metadata) -> dict[str, Any]:
    return index.state_dict_metadata


def _empty_like(index: Metadata, key: str, path: Path) -> Tensor:
    stored = _keys(index).get(key)
    if not isinstance(stored, TensorStorageMetadata):
        raise CheckpointError(f"{path}: {key} is missing; this is not a checkpoint of a training run.")
    return torch.empty(stored.size, dtype=torch.uint8)


def _loop_state(tensor: Tensor) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(bytes(tensor.tolist()).decode())
    return state


def _tensors(flat: dict[str, Any]) -> dict[str, Tensor]:
    """The moments of the optimizer. Its hyperparameters come from the configuration, not from the checkpoint."""
    return {key: value for key, value in flat.items() if isinstance(value, Tensor)}


def _random_state(world: World) -> dict[str, Tensor]:
    state = {f"{world.rank}.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state[f"{world.rank}.cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Tensor]) -> None:
    for name, tensor in state.items():
        if name.endswith("cuda"):
            torch.cuda.set_rng_state(tensor)
        else:
            torch.set_rng_state(tensor)
