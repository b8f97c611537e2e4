"""The state of a run in a checkpoint: a torch.distributed.checkpoint directory that holds tensors only.

Layout: `checkpoints/step-00001000/`, complete once `.metadata` exists in it (DCP writes that last). Everything in
it is a tensor, the loop's own state included (as UTF-8 JSON in bytes), so nothing has to be unpickled to load it
but DCP's index (see `checkpoint.index`). Loading an untrusted checkpoint therefore runs none of its code.
SHA256SUMS has the checksums of all files, written last of all; a checkpoint of an older version may have none.

Every process writes its shards and its random state. A reading process gets its own shards, with any number of
processes and any strategy.
"""

from __future__ import annotations

import json
import shutil
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from tuitrain_engine.checkpoint import checksums
from tuitrain_engine.checkpoint.index import CheckpointError, covered, read_index
from tuitrain_engine.checkpoint.storage import discard, size_in_bytes
from tuitrain_engine.formatting import bytes_text
from tuitrain_engine.parallel import World

_ALONE = World()
# DCP warns that there is only one process, from any thread.
warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
_FLAT = StateDictOptions(flatten_optimizer_state_dict=True)
_WRAPPERS = ("_orig_mod.", "_checkpoint_wrapped_module.", "module.")


class SaveError(RuntimeError):
    """A checkpoint that could not be written; the message names it and the reason."""


class _SafeReader(dcp.FileSystemReader):
    """DCP's reader with the index read by `read_index`."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        index = read_index(Path(self.path))
        if index.storage_meta is None:
            index.storage_meta = StorageMeta()
        index.storage_meta.load_id = self.load_id
        return index


def start_saving(
    path: Path, model: nn.Module, optimizer: Optimizer, loop_state: dict[str, Any], world: World = _ALONE
) -> Future[Any]:
    """Copy the state to the CPU, then write it in the background; an incomplete checkpoint of this step is replaced.

    Training may continue at once. loop_state must be JSON, and the same on all processes. The future ends when every
    process has written its part, with an exception where one could not (`finish_saving` turns it into a sentence).
    """
    if world.is_main:
        discard(path)
    state = {
        "model": _untied(model),
        "rng": _random_state(world),
        "loop": _loop_tensor(world.broadcast_object({"loop": loop_state, "optimizer": bool(optimizer.state)})),
    }
    if optimizer.state:
        # Before the first step there is no state, and torch would make one by a step, which AdamW counts.
        state["optimizer"] = _tensors(get_optimizer_state_dict(model, optimizer, options=_FLAT))
    writer = dcp.FileSystemWriter(path)
    written = dcp.async_save(
        state,
        storage_writer=writer,
        async_stager=stager(next(model.parameters()).device.type),
        process_group=world.saving_group,
        no_dist=world.size == 1,
    )  # fmt: skip
    return _then_checksums(path, written) if world.is_main else written  # type: ignore[arg-type, return-value]


@cache
def stager(device_type: str) -> DefaultStager | None:
    """The stager that copies the state to the CPU; None is torch's own, into new memory.

    From CUDA into pinned memory that is kept for the next checkpoint: into new, pageable memory it is several times as
    slow. One checkpoint at a time is written, so none is overwritten. A stager of torch 2.11 works only once.
    """
    if device_type != "cuda" or torch.__version__ < (2, 13):
        return None
    return DefaultStager(
        StagingOptions(True, use_shared_memory=False, use_async_staging=False, use_non_blocking_copy=False)
    )


def _then_checksums(path: Path, written: Future[Any]) -> Future[Any]:
    """A future that completes when the checkpoint and its checksums are written."""

    def work() -> None:
        written.result()
        checksums.write(path)

    thread = ThreadPoolExecutor(1, thread_name_prefix="checksums")
    done = thread.submit(work)
    thread.shutdown(wait=False)
    return done


def finish_saving(path: Path, saving: Future[Any], timeout_s: float | None = None) -> None:
    """Wait until a checkpoint is complete. Raises SaveError, also when that takes longer than `timeout_s`."""
    try:
        saving.result(timeout_s)
    except TimeoutError:
        raise SaveError(f"The checkpoint {path.name} was not written within {timeout_s:.0f} s.") from None
    except (dcp.api.CheckpointException, OSError, RuntimeError) as error:
        raise SaveError(f"The checkpoint {path.name} could not be written{_free(path)} ({reason(error)}).") from None


def _free(path: Path) -> str:
    try:
        return f", with {bytes_text(shutil.disk_usage(path.parent.parent).free)} free on its disk"
    except OSError:
        return f", and {path.parent.parent} is not there"


def save(path: Path, model: nn.Module, optimizer: Optimizer, loop_state: dict[str, Any], world: World = _ALONE) -> None:
    """Write a checkpoint and wait for it. Raises SaveError."""
    finish_saving(path, start_saving(path, model, optimizer, loop_state, world))


def load(path: Path, model: nn.Module, optimizer: Optimizer, world: World = _ALONE) -> dict[str, Any]:
    """Fill model, optimizer and random state from a checkpoint and return the loop's state.

    A process with a rank that the writing run did not have keeps its random state. Raises CheckpointError when the
    checkpoint belongs to another model or is damaged.
    """
    index = read_index(path)
    loop = {"loop": _empty_like(index, "loop", path)}
    _read(loop, index, path, world)
    loop_state, has_optimizer = _loop_state(loop["loop"], path)
    state: dict[str, Any] = {
        "model": _untied(model),
        "rng": {name: tensor for name, tensor in _random_state(world).items() if f"rng.{name}" in _keys(index)},
    }
    if has_optimizer:
        optimizer_state = get_optimizer_state_dict(model, optimizer, options=_FLAT)
        state["optimizer"] = _tensors(optimizer_state)
    _read(state, index, path, world)
    _set_model(model, state["model"])
    if has_optimizer:
        set_optimizer_state_dict(model, optimizer, {**optimizer_state, **state["optimizer"]}, options=_FLAT)
    _set_random_state(state["rng"])
    return loop_state


def load_model(path: Path, model: nn.Module) -> None:
    """Fill the parameters alone, to generate text. Raises CheckpointError."""
    state = {"model": _untied(model)}
    _read(state, read_index(path), path, _ALONE)
    _set_model(model, state["model"])


def _tied(model: nn.Module) -> dict[str, str]:
    """The further names of parameters that have several, each with the first one."""
    first: dict[nn.Parameter, str] = {}
    further = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        for wrapper in _WRAPPERS:
            name = name.replace(wrapper, "")
        if first.setdefault(parameter, name) != name:
            further[name] = first[parameter]
    return further


def _untied(model: nn.Module) -> dict[str, Any]:
    """The state of a model with each parameter under its first name only."""
    further = _tied(model)
    return {key: value for key, value in get_model_state_dict(model).items() if key not in further}


def _set_model(model: nn.Module, state: dict[str, Any]) -> None:
    set_model_state_dict(model, state | {name: state[first] for name, first in _tied(model).items()})


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
            if not covered(stored):
                raise CheckpointError(f"{path} is damaged: the index lacks a part of {key}.")
    try:
        dcp.load(state, storage_reader=_SafeReader(path), process_group=world.host_group, no_dist=world.size == 1)
    except (dcp.api.CheckpointException, Exception) as error:  # the files may contain anything
        raise CheckpointError(f"{path}: cannot be loaded ({reason(error)}).") from None


def _keys(index: Metadata) -> dict[str, Any]:
    return index.state_dict_metadata


def _empty_like(index: Metadata, key: str, path: Path) -> Tensor:
    stored = _keys(index).get(key)
    if not isinstance(stored, TensorStorageMetadata):
        raise CheckpointError(f"{path}: {key} is missing; this is not a checkpoint of a training run.")
    if len(stored.size) != 1 or stored.size[0] > size_in_bytes(path):
        raise CheckpointError(f"{path} is damaged: the index gives {key} the shape {list(stored.size)}.")
    return torch.empty(stored.size, dtype=torch.uint8)


def _loop_tensor(content: dict[str, Any]) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(content).encode()), dtype=torch.uint8)


def _loop_state(tensor: Tensor, path: Path) -> tuple[dict[str, Any], bool]:
    """The loop's state, and whether the optimizer had any."""
    try:
        content = json.loads(bytes(tensor.tolist()).decode())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is damaged: the state of the loop cannot be read.")
    if content.keys() == {"loop", "optimizer"}:
        return content["loop"], content["optimizer"]
    # Of an older version: the loop's state alone, and always with the optimizer's, which before the first step was not
    # what a fresh optimizer has.
    progress = content.get("progress")
    return content, not (isinstance(progress, dict) and progress.get("step") == 0)


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


def reason(error: BaseException) -> str:
    """The error of DCP without its traceback; of several processes, the first one's."""
    failures = getattr(error, "failures", None)
    if failures:
        error = next(iter(failures.values()))[0]
    if "inline_container" in str(error):
        # This is how torch's archive writer reports a full disk.
        return "a file could not be extended"
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
