"""What must hold before a run starts: the engine and the data are there, this machine can do what is asked, it fits.

The engine checks the same things again; here they are found without torch, before any process starts.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from tuitrain.config import RunConfig, all_presets, load_config
from tuitrain.config.source import source_path
from tuitrain.files import expanded
from tuitrain.launch.corpus import check_data, check_tokenizer
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.machine import GB, Machine, find_machine, torch_is_cpu_only, training_device
from tuitrain.launch.plan import NOTHING_FITS, Plan, known_vocabulary, make_plan
from tuitrain.launch.processes import Processes, choose_processes

ENGINE_PACKAGES = ("tuitrain_engine", "torch")
CPU_ATTENTION = ("auto", "flash", "math")
FLEX_MIN_HEAD_DIM = 16


def check(config: RunConfig, *, gpus: int | None = None, force: bool = False) -> Processes:
    """Everything that can be checked without starting the engine, and the processes to start it with.

    gpus: as many as asked for; None: as many as there are and the batch divides over. force skips the memory fit.
    Raises LaunchError.
    """
    require_engine()
    machine = find_machine()
    _check_device(config, machine)
    processes = choose_processes(config, machine, gpus)
    _check_attention(config, machine)
    _check_float8(config, machine)
    check_data(config)
    check_tokenizer(config.data.tokenizer)
    _check_vocabulary(config)
    if not force:
        check_memory(config, machine, processes.count)
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
    raise LaunchError(f"train.device = 'cuda', but {reason}: set it to 'auto' or 'cpu'.")


def _check_attention(config: RunConfig, machine: Machine) -> None:
    backend, model = config.model.attention_backend, config.model
    on_cpu = training_device(config, machine).kind == "cpu"
    if on_cpu and backend not in CPU_ATTENTION:
        raise LaunchError(f"model.attention_backend = {backend!r} needs CUDA: on CPU use {', '.join(CPU_ATTENTION)}.")
    if backend == "flash" and not on_cpu and (model.document_mask or model.attention_span < model.seq_len):
        key = "model.document_mask" if model.document_mask else "model.window"
        raise LaunchError(
            f"model.attention_backend = 'flash' takes no mask, which {key} needs: use auto, flex, efficient or math."
        )
    if backend == "flex" and model.dropout:
        raise LaunchError(
            f"model.attention_backend = 'flex' has no dropout (model.dropout = {model.dropout:g}): set model.dropout=0 "
            "or use auto."
        )
    if backend == "flex" and model.head_dim < FLEX_MIN_HEAD_DIM:
        raise LaunchError(
            f"model.attention_backend = 'flex' needs model.head_dim of at least {FLEX_MIN_HEAD_DIM}, not "
            f"{model.head_dim}: use auto."
        )


def _check_float8(config: RunConfig, machine: Machine) -> None:
    if not config.train.float8:
        return
    device = training_device(config, machine)
    if device.kind == "cpu":
        raise LaunchError(
            "train.float8 needs a CUDA device of compute capability 8.9 or more, and this run trains on the CPU: set "
            "train.float8=false."
        )
    if device.dtype(config.train.dtype) != "bfloat16":
        raise LaunchError("train.float8 needs train.dtype = bfloat16, not float32: set one of the two.")
    if importlib.util.find_spec("torchao") is None:
        raise LaunchError("train.float8 needs torchao: pip install 'tuitrain[float8]', or set train.float8=false.")


def check_memory(config: RunConfig, machine: Machine, gpus: int = 1) -> None:
    """Raise LaunchError, with the settings and the presets that do fit, when this configuration does not."""
    plan = make_plan(config, training_device(config, machine), gpus=gpus)
    if plan.fits is not False or plan.memory is None:
        return
    name = config.preset or config.name
    fitting = [preset for preset in all_presets() if fits(preset, machine)]
    how = f"micro-batch {plan.config.train.micro_batch}, {plan.dtype}"
    how += f", {plan.strategy}" if gpus > 1 else ""
    here, more = (" or ".join(map(str, plan.changes(more_gpus=more))) for more in (False, True))
    advice = f"It would with {here}" if here else NOTHING_FITS.capitalize()
    if more and not here:
        advice += f"; more of these GPUs would: {more}"
    raise LaunchError(
        f"{name} needs about {plan.memory.total / GB:.1f} GB on {_where(plan)} ({how}); {_has(plan)}. "
        f"{advice}. Presets that fit: {', '.join(fitting) or 'none'}. --force starts it all the same."
    )


def _where(plan: Plan) -> str:
    if plan.device.kind == "cpu":
        return "one CPU process" if plan.gpus == 1 else f"each of {plan.gpus} CPU processes"
    return f"one {plan.device.name}" if plan.gpus == 1 else f"each of {plan.gpus} × {plan.device.name}"


def _has(plan: Plan) -> str:
    if plan.device.kind != "cpu":
        return f"it has {plan.device.memory_gb:.1f} GB, {plan.usable_gb:.1f} GB of it usable"
    each = " for each" if plan.gpus > 1 else ""
    return f"this machine has {plan.device.memory_gb:.1f} GB, {plan.usable_gb:.1f} GB of it usable{each}"


def fits(preset: str, machine: Machine) -> bool | None:
    """Whether a preset fits this machine as it is; None while its vocabulary is decided by the data."""
    config = load_config(preset)
    return make_plan(config, training_device(config, machine)).fits


def _check_vocabulary(config: RunConfig) -> None:
    size, rows = known_vocabulary(config), config.model.vocab_size
    if size is not None and rows is not None and rows < size:
        raise LaunchError(
            f"model.vocab_size = {rows:,} is smaller than the vocabulary of data.tokenizer = "
            f"{config.data.tokenizer!r} ({size:,}): leave it unset (model.vocab_size=none) or raise it."
        )


def _absolute(source: str) -> str:
    """A source with its path, if it names one, made absolute."""
    found = source_path(source)
    return source if found is None else f"{found.prefix}{Path.cwd() / found.path}{found.suffix}"


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The configuration with relative paths of data and weights made absolute: it then means the same from anywhere."""
    updates: dict[str, Any] = {"source": _absolute(config.data.source)}
    if config.data.mixture is not None:
        updates["mixture"] = {_absolute(source): weight for source, weight in config.data.mixture.items()}
    tokenizer = expanded(config.data.tokenizer)
    if not tokenizer.is_absolute() and tokenizer.exists() and config.data.tokenizer not in ("byte", "char"):
        updates["tokenizer"] = str(Path.cwd() / tokenizer)
    changed: dict[str, Any] = {"data": config.data.model_copy(update=updates)}
    origin = config.model.init_from
    if origin is not None and not origin.startswith("hf:"):
        weights = Path.cwd() / expanded(origin)
        changed["model"] = config.model.model_copy(update={"init_from": str(weights)})
    return config.model_copy(update=changed)
