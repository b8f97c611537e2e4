"""What must hold before a run starts: the engine and the data are there, this machine can do what is asked, it fits.

The engine checks the same things again; here they are found without torch, before any process starts.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from tuitrain.config import RunConfig, all_presets, load_config
from tuitrain.config.errors import nearest
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.machine import GB, Device, Machine, find_machine, torch_is_cpu_only, training_device
from tuitrain.launch.plan import known_vocabulary, make_plan

ENGINE_PACKAGES = ("tuitrain_engine", "torch")
TOKENIZERS = "byte, char, sentencepiece:N, hf:NAME, a SentencePiece .model or a Hugging Face tokenizer.json"
CPU_ATTENTION = ("auto", "flash", "math")


def check(config: RunConfig, *, force: bool = False) -> None:
    """Everything that can be checked without starting the engine; raises LaunchError. force skips the memory fit."""
    require_engine()
    machine = find_machine()
    _check_device(config, machine)
    _check_attention(config, machine)
    _check_source(config)
    _check_tokenizer(config.data.tokenizer)
    _check_vocabulary(config)
    if not force:
        check_memory(config, machine)
    # Last: a large preset that asks for what is not there yet is first said not to fit.
    _check_available(config)


def require_engine() -> None:
    """Raise LaunchError unless the training engine is installed. Nothing of it is imported."""
    missing = [name for name in ENGINE_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise LaunchError(
            f"The training engine is not installed ({', '.join(missing)} is missing): pip install 'tuitrain[engine]'."
        )


def _check_available(config: RunConfig) -> None:
    """Raise LaunchError for what the configuration knows and this version does not do."""
    if config.parallel.strategy not in ("auto", "single"):
        raise LaunchError(
            f"parallel.strategy = {config.parallel.strategy!r} is not available yet: this version trains in one "
            "process; set it to 'auto' or 'single'."
        )
    if config.parallel.activation_checkpointing != "none":
        raise LaunchError(
            f"parallel.activation_checkpointing = {config.parallel.activation_checkpointing!r} is not available yet: "
            "set it to 'none'."
        )
    if config.telemetry.profile_steps:
        raise LaunchError(
            f"telemetry.profile_steps = {config.telemetry.profile_steps!r} is not available yet: leave it empty."
        )


def _check_device(config: RunConfig, machine: Machine) -> None:
    if config.train.device != "cuda" or (machine.gpus and not torch_is_cpu_only()):
        return
    reason = "the installed torch was built without CUDA" if machine.gpus else "this machine has no CUDA device"
    raise LaunchError(f"train.device = 'cuda', but {reason}: set it to 'auto' or 'cpu'.")


def _check_attention(config: RunConfig, machine: Machine) -> None:
    backend, model = config.model.attention_backend, config.model
    on_cpu = training_device(config, machine).kind == "cpu"
    if backend == "flex":
        raise LaunchError(
            "model.attention_backend = 'flex' is not available yet: use 'auto', which also runs windows (model.window)."
        )
    if on_cpu and backend not in CPU_ATTENTION:
        raise LaunchError(f"model.attention_backend = {backend!r} needs CUDA: on CPU use {', '.join(CPU_ATTENTION)}.")
    if backend == "flash" and model.attention_span < model.seq_len and not on_cpu:
        raise LaunchError(
            "model.attention_backend = 'flash' takes no mask, which model.window needs: use auto, efficient or math."
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


def _check_tokenizer(name: str) -> None:
    if name in ("byte", "char") or name.startswith(("sentencepiece:", "hf:")):
        return
    path = Path(name).expanduser()
    file = path / "tokenizer.json" if path.is_dir() and not (path / "tokenizer_info.json").exists() else path
    if file.is_dir() or (file.is_file() and file.suffix in (".model", ".json")):
        return
    if not file.exists() and ("/" in name or file.suffix in (".model", ".json")):
        raise LaunchError(f"data.tokenizer = {name!r}: {file} does not exist. It takes {TOKENIZERS}.", exit_code=3)
    raise LaunchError(f"data.tokenizer = {name!r} is none of {TOKENIZERS}.{_meant_tokenizer(name)}")


def _meant_tokenizer(name: str) -> str:
    word, _, size = name.partition(":")
    match nearest(word, ("byte", "char", "sentencepiece", "hf")):
        case "sentencepiece":
            meant = f"sentencepiece:{size or 32000}"
        case "hf" if size:
            meant = f"hf:{size}"
        case "byte" | "char" as known:
            meant = known
        case _:
            return ""
    return f" Did you mean {meant!r}?"


def _check_vocabulary(config: RunConfig) -> None:
    size, rows = known_vocabulary(config), config.model.vocab_size
    if size is not None and rows is not None and rows < size:
        raise LaunchError(
            f"model.vocab_size = {rows:,} is smaller than the vocabulary of data.tokenizer = "
            f"{config.data.tokenizer!r} ({size:,}): leave it unset (model.vocab_size=none) or raise it."
        )


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
