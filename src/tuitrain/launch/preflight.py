"""Checks before a run starts: the engine and the data are present, the machine can do what is configured, it fits.

The engine checks the same; here problems are reported without torch and before any process starts.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuitrain.config import RunConfig, all_presets, load_config
from tuitrain.config.requirements import check_attention, check_float8, check_vocabulary, node_counts
from tuitrain.config.source import source_path
from tuitrain.events.layout import Nodes
from tuitrain.files import expanded
from tuitrain.launch.corpus import check_data, check_tokenizer
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.machine import GB, Machine, find_machine, torch_is_cpu_only, training_device
from tuitrain.launch.plan import NOTHING_FITS, Plan, known_vocabulary, make_plan

ENGINE_PACKAGES = ("tuitrain_engine", "torch")


def check(config: RunConfig, *, gpus: int | None = None, force: bool = False, nodes: Nodes | None = None) -> Processes:
    """Check what can be checked without starting the engine; returns the processes to start it with, on all nodes.

    gpus: the number requested, of each of the nodes, which are alike; None: as many as there are and the batch
    divides over. force skips the memory check.
    Raises LaunchError or ConfigError.
    """
    require_engine()
    machine = find_machine()
    _check_device(config, machine)
    processes = choose_processes(config, machine, gpus, nodes)
    device = training_device(config, machine)
    check_attention(config.model, device.type)
    if config.train.float8:
        installed = importlib.util.find_spec("torchao") is not None
        check_float8(device.type, device.dtype(config.train.dtype), torchao=installed)
    check_data(config)
    check_tokenizer(config.data.tokenizer)
    check_vocabulary(config.model.vocab_size, config.data.tokenizer, known_vocabulary(config) or 0)
    if not force:
        check_memory(config, machine, processes.count, nodes.count if nodes is not None else 1)
    return processes


def require_engine() -> None:
    """Raise LaunchError unless the training engine is installed. Nothing of it is imported."""
    missing = [name for name in ENGINE_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise LaunchError(
            f"The training engine is not installed ({', '.join(missing)} is missing): pip install 'tuitrain[engine]'."
        )


def _check_device(config: RunConfig, machine: Machine) -> None:
    if config.train.device != "cuda" or (machine.gpus and not torch_is_cpu_only()):
        return
    reason = "the installed torch was built without CUDA" if machine.gpus else "this machine has no CUDA device"
    raise LaunchError(f"train.device = 'cuda', but {reason}: set it to 'auto' or 'cpu'.", key="train.device")


@dataclass(frozen=True)
class Processes:
    """Their number, and a sentence where it is fewer than there are GPUs."""

    count: int
    note: str | None = None


def choose_processes(
    config: RunConfig, machine: Machine, requested: int | None, nodes: Nodes | None = None
) -> Processes:
    """The number requested, else as many as there are GPUs and the batch divides over; one on the CPU. On each node.

    Raises LaunchError when there are too few GPUs, ConfigError when batch or strategy do not suit the number.
    """
    gpus = None if training_device(config, machine).kind == "cpu" else len(machine.gpus)
    most, least = (nodes.count, nodes.least) if nodes is not None else (1, 1)
    if requested is not None and gpus is not None and requested > gpus:
        available = "one GPU" if gpus == 1 else f"{gpus} GPUs"
        raise LaunchError(
            f"--gpus {requested}, but this machine has {available} to use: --gpus {gpus}, or train.device=cpu for "
            "processes on the CPU.",
            key="gpus",
        )
    if requested is not None:
        count = requested
    elif gpus is None or config.parallel.strategy == "single":
        count = 1
    else:
        count = max((each // most for each in config.process_counts(gpus * most) if each % most == 0), default=1)
    node_counts(config, most, least, count)
    if requested is not None or gpus is None or count == gpus or config.parallel.strategy == "single":
        return Processes(count * most)
    train = config.with_least_micro_batch().train
    where = "" if most == 1 else " of each node"
    return Processes(
        count * most,
        f"{count} of {gpus} GPUs{where} are used: train.global_batch_size ({train.global_batch_size}) is no multiple "
        f"of train.micro_batch_size × processes ({train.micro_batch} × {gpus * most}).",
    )


def check_memory(config: RunConfig, machine: Machine, gpus: int = 1, nodes: int = 1) -> None:
    """Raise LaunchError, with the settings and the presets that fit, when this configuration does not.

    gpus: of all nodes, which are as this machine.
    """
    plan = make_plan(config, training_device(config, machine), gpus=gpus, nodes=nodes)
    if plan.fits is not False or plan.memory is None:
        return
    fitting = [preset for preset in all_presets() if fits(preset, machine)]
    how = f"micro-batch {plan.config.train.micro_batch}, {plan.devices.dtype}"
    how += f", {plan.strategy}" if gpus > 1 else ""
    here, more = (" or ".join(map(str, plan.changes(more_gpus=more))) for more in (False, True))
    advice = f"It would with {here}" if here else NOTHING_FITS.capitalize()
    if more and not here:
        advice += f"; more of these GPUs would: {more}"
    raise LaunchError(
        f"{config.preset or config.name} needs about {plan.memory.total / GB:.1f} GB on {_device_text(plan)} ({how}); "
        f"{_capacity_text(plan)}. {advice}. Presets that fit: {', '.join(fitting) or 'none'}. --force starts it all "
        "the same."
    )


def _device_text(plan: Plan) -> str:
    count, name = plan.devices.count, plan.device.name
    if plan.device.kind == "cpu":
        return "one CPU process" if count == 1 else f"each of {count} CPU processes"
    return f"one {name}" if count == 1 else f"each of {count} × {name}"


def _capacity_text(plan: Plan) -> str:
    capacity = f"has {plan.device.memory_gb:.1f} GB, {plan.usable_gb:.1f} GB of it usable"
    if plan.device.kind != "cpu":
        return f"it {capacity}"
    return f"this machine {capacity}{' for each' if plan.devices.count > 1 else ''}"


def fits(preset: str, machine: Machine) -> bool | None:
    """Whether an unchanged preset fits this machine; None while its vocabulary depends on the data."""
    config = load_config(preset)
    return make_plan(config, training_device(config, machine)).fits


def _absolute(source: str) -> str:
    """A source with an absolute path, if it names a path."""
    name = source_path(source)
    return source if name is None else f"{name.prefix}{Path.cwd() / name.path}{name.suffix}"


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The configuration with absolute paths of data and weights, so that it means the same in any directory."""
    values: dict[str, Any] = {"data.source": _absolute(config.data.source)}
    if config.data.mixture is not None:
        values["data.mixture"] = {_absolute(source): weight for source, weight in config.data.mixture.items()}
    tokenizer, weights = expanded(config.data.tokenizer), config.model.init_from
    if not tokenizer.is_absolute() and tokenizer.exists() and config.data.tokenizer not in ("byte", "char"):
        values["data.tokenizer"] = str(Path.cwd() / tokenizer)
    if weights is not None and not weights.startswith("hf:"):
        values["model.init_from"] = str(Path.cwd() / expanded(weights))
    return config.with_values(values)
