"""What must hold before a run starts: the engine is there, the data is there, and the model fits this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from tuitrain.config import RunConfig, all_presets, load_config
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.machine import GB, Device, Machine, find_machine, training_device
from tuitrain.launch.plan import make_plan

ENGINE_PACKAGES = ("tuitrain_engine", "torch")


def check(config: RunConfig, *, force: bool = False) -> None:
    """Everything that can be checked without starting the engine; raises LaunchError. force skips the memory fit."""
    require_engine()
    check_strategy(config)
    _check_source(config)
    if not force:
        check_memory(config, find_machine())


def require_engine() -> None:
    """Raise LaunchError unless the training engine is installed. Nothing of it is imported."""
    missing = [name for name in ENGINE_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise LaunchError(
            f"The training engine is not installed ({', '.join(missing)} is missing): pip install 'tuitrain[engine]'."
        )


def check_strategy(config: RunConfig) -> None:
    """Raise LaunchError for a strategy that needs several processes."""
    if config.parallel.strategy not in ("auto", "single"):
        raise LaunchError(
            f"parallel.strategy = {config.parallel.strategy!r} is not available yet: this version trains in one "
            "process; set it to 'auto' or 'single'."
        )


def check_memory(config: RunConfig, machine: Machine) -> None:
    """Raise LaunchError with the estimate and the presets that do fit, when this configuration does not."""
    plan = make_plan(config, training_device(config, machine))
    if plan.fits is not False or plan.memory is None:
        return
    name = config.preset or config.name
    fitting = [preset for preset in all_presets() if fits(preset, machine)]
    where = "one CPU process" if plan.device.kind == "cpu" else f"one {plan.device.name}"
    raise LaunchError(
        f"{name} needs about {plan.memory.total / GB:.1f} GB on {where} (micro-batch {config.train.micro_batch_size}, "
        f"{plan.dtype}); {_has(plan.device)} {plan.device.memory_gb:.1f} GB. Presets that fit: "
        f"{', '.join(fitting) or 'none'}. A smaller train.micro_batch_size needs less; --force starts it all the same."
    )


def _has(device: Device) -> str:
    return "this machine has" if device.kind == "cpu" else "it has"


def fits(preset: str, machine: Machine) -> bool | None:
    """Whether a preset fits this machine as it is; None while its vocabulary is decided by the data."""
    config = load_config(preset)
    return make_plan(config, training_device(config, machine)).fits


def _check_source(config: RunConfig) -> None:
    source = config.data.source
    path = _source_path(source)
    if path is not None and not (path.exists() or _matches(path.absolute())):
        raise LaunchError(f"data.source = {source!r}: no such file or directory, and no file matches it.", exit_code=3)


def _matches(pattern: Path) -> bool:
    return next(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))), None) is not None


def _source_path(source: str) -> Path | None:
    """The path that a source names, or None for sources that are none."""
    if source in ("stdlib", "shakespeare") or source.startswith("hf:"):
        return None
    return Path(source.removeprefix("bin:")).expanduser()


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The configuration with relative paths of data and weights made absolute: it then means the same from anywhere."""
    updates: dict[str, str] = {}
    path = _source_path(config.data.source)
    if path is not None and not path.is_absolute():
        prefix = "bin:" if config.data.source.startswith("bin:") else ""
        updates["source"] = prefix + str(Path.cwd() / path)
    tokenizer = Path(config.data.tokenizer).expanduser()
    if not tokenizer.is_absolute() and tokenizer.exists() and config.data.tokenizer not in ("byte", "char"):
        updates["tokenizer"] = str(Path.cwd() / tokenizer)
    changed: dict[str, Any] = {"data": config.data.model_copy(update=updates)} if updates else {}
    origin = config.model.init_from
    if origin is not None and not origin.startswith("hf:"):
        weights = Path.cwd() / Path(origin).expanduser()
        changed["model"] = config.model.model_copy(update={"init_from": str(weights)})
    return config.model_copy(update=changed) if changed else config
