"""The configuration of a run: read from a preset or TOML file, overridden by key=value, written as TOML."""

from __future__ import annotations

import copy
import errno
from collections.abc import Iterable, Mapping
from datetime import date, time
from pathlib import Path
from types import NoneType
from typing import Any

import tomli_w
from pydantic import Field, ValidationError

from tuitrain.config import presets
from tuitrain.config.errors import ConfigError, explain, quoted
from tuitrain.config.export_section import ExportConfig
from tuitrain.config.keys import accepts
from tuitrain.config.sections import (
    CheckpointConfig,
    DataConfig,
    EvalConfig,
    HardwareConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    SamplingConfig,
    ScheduleConfig,
    Section,
    TelemetryConfig,
    TrainConfig,
)
from tuitrain.files import MOST_LEVELS, expanded, near_path, parse_toml, read_regular

MOST_BYTES = 1 << 20
"""Largest size of a configuration file."""
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class RunConfig(Section):
    """All keys of a run, by section."""

    name: str = Field(default="run", pattern=NAME_PATTERN)
    """Short name of the run; letters, digits, dot, dash and underscore."""
    preset: str | None = None
    """Preset that the configuration is based on; `show` lists the differences."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    optim: OptimConfig = Field(default_factory=OptimConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    train: TrainConfig
    parallel: ParallelConfig = Field(default_factory=ParallelConfig)
    eval: EvalConfig = Field(default_factory=EvalConfig)
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    hardware: HardwareConfig = Field(default_factory=HardwareConfig)

    @property
    def tokens_per_step(self) -> int:
        """Tokens in one optimizer step, over all processes."""
        return self.train.global_batch_size * self.model.seq_len

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run: max_steps or the token budget, whichever ends first."""
        return self.total_steps_from(0, 0)

    def total_steps_from(self, step: int, tokens: int) -> int:
        """Optimizer steps of the whole run after `step` steps on `tokens` tokens.

        It differs from `total_steps` where steps so far were of another size: max_steps counts steps, the token budget
        tokens.
        """
        limits = []
        if self.train.max_steps is not None:
            limits.append(self.train.max_steps)
        if self.train.token_budget is not None:
            left = max(self.train.token_budget - tokens, 0)
            limits.append(step + -(-left // self.tokens_per_step))
        return min(limits)

    def accumulation(self, world_size: int = 1, nodes: int = 1) -> int:
        """Micro-batches one process runs for a step: global / (micro × processes).

        nodes: over which the processes are divided. Raises ConfigError, with numbers that divide, when these do not;
        ValueError while the micro-batch is auto.
        """
        batch, micro = self.train.global_batch_size, self.train.micro_batch
        per_pass = micro * world_size
        if batch % per_pass == 0:
            return batch // per_pass
        counts = [count for count in self.process_counts(world_size) if count > 1 and count % nodes == 0]
        works = [f"--gpus {count // nodes}" for count in counts][-2:]
        sizes = [size for size in range(micro - 1, 0, -1) if batch % (size * world_size) == 0]
        works.append(
            f"train.micro_batch_size={sizes[0]}"
            if sizes
            else f"train.global_batch_size={-(-batch // per_pass) * per_pass}"
        )
        raise ConfigError(
            f"train.global_batch_size ({batch}) must be a multiple of train.micro_batch_size × processes "
            f"({micro} × {world_size}); this would work: {', '.join(works)}.",
            "train.global_batch_size",
        )

    def process_counts(self, most: int) -> list[int]:
        """The numbers of processes up to `most` over which the global batch divides."""
        train = self.with_least_micro_batch().train
        passes = train.global_batch_size // train.micro_batch
        return [count for count in range(1, most + 1) if passes % count == 0]

    def with_values(self, values: Mapping[str, Any]) -> RunConfig:
        """The same configuration with other values by dotted key; they are not validated."""
        config = self
        for key, value in values.items():
            section, _, name = key.partition(".")
            config = config.model_copy(update={section: getattr(config, section).model_copy(update={name: value})})
        return config

    def with_vocab_size(self, tokenizer_size: int) -> RunConfig:
        """The same configuration with the tokenizer's vocabulary size where model.vocab_size is unset."""
        return self.with_values({"model.vocab_size": self.model.vocab_size or tokenizer_size})

    def with_least_micro_batch(self) -> RunConfig:
        """The same configuration with one sequence where the micro-batch is auto: 1 divides any batch."""
        return self.with_values({"train.micro_batch_size": 1}) if self.train.micro_batch_size == "auto" else self

    def to_dict(self) -> dict[str, Any]:
        """Nested dict of plain values without unset keys, as in config.toml and the `run` record."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """The resolved configuration as TOML, which `tuitrain launch` reads."""
        return tomli_w.dumps(self.to_dict())


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one dict of dotted keys, in their order."""
    flat: dict[str, Any] = {}
    # Without recursion: a log may have more levels than Python's stack.
    pending: list[tuple[str, Any]] = [(prefix + key, value) for key, value in reversed(list(tree.items()))]
    while pending:
        name, value = pending.pop()
        if isinstance(value, Mapping):
            pending += ((f"{name}.{key}", inner) for key, inner in reversed(list(value.items())))
        else:
            flat[name] = value
    return flat


def parse_override(text: str) -> tuple[list[str], Any]:
    """Split `section.key=value` into its path and its value, read as TOML where it is TOML, else as text.

    A key of type text takes the characters after `=`: `name=2026-01-01`, `sampling.prompt=1e5`. Raises ConfigError.
    """
    key, equals, raw = text.partition("=")
    key = key.strip()
    if not equals or not key or not all(key.split(".")):
        raise ConfigError(f"{quoted(text)} is not an override: write KEY=VALUE, such as train.max_steps=200.")
    raw = raw.strip()
    path = key.split(".")
    if len(path) > MOST_LEVELS:
        raise ConfigError(f"{quoted(key)} is not a key of the configuration.")
    try:
        value = parse_toml(f"value = {raw}")["value"]
    except ValueError:
        return path, raw
    if isinstance(value, date | time) or (not isinstance(value, str) and accepts(RunConfig, key, str)):
        return path, raw
    return path, value


def apply_overrides(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of the raw tree with each `section.key=value` set; the last one wins."""
    result = copy.deepcopy(tree)
    for override in overrides:
        path, value = parse_override(override)
        table = result
        for part in path[:-1]:
            below = table.setdefault(part, {})
            if not isinstance(below, dict):
                raise ConfigError(f"{quoted(override)}: {part} is a value, not a section.", key=part)
            table = below
        if value == "none" and accepts(RunConfig, ".".join(path), NoneType):
            table.pop(path[-1], None)
        else:
            table[path[-1]] = value
    return result


def validate(tree: Mapping[str, Any], origin: str = "", elsewhere: Iterable[str] = ()) -> RunConfig:
    """The configuration of a raw tree. Raises ConfigError with one sentence for each problem.

    origin: the file that the keys are from, except those of `elsewhere`.
    """
    complete = dict(tree)
    complete.setdefault("train", {})
    try:
        return RunConfig.model_validate(complete)
    except ValidationError as error:
        raise explain(error, RunConfig, origin, elsewhere) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The raw tree of a TOML file; raises ConfigError naming file and line, OSError where it cannot be read."""
    try:
        return parse_toml(read_regular(path, MOST_BYTES).decode())
    except FileNotFoundError as error:
        near = near_path(path)
        reason = f"no such file. Did you mean {str(near)!r}?" if near else error.strerror
        raise FileNotFoundError(errno.ENOENT, reason, str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text.") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.") from None


def load_config(preset_or_file: str, overrides: Iterable[str] = ()) -> RunConfig:
    """The configuration named by a preset or a TOML file, with overrides applied.

    Raises ConfigError (bad key or value), presets.UnknownPresetError, or OSError where the file cannot be read.
    """
    overrides, origin = list(overrides), ""
    if preset_or_file.endswith(".toml") or "/" in preset_or_file:
        path = expanded(preset_or_file)
        if path.is_dir():
            path = path / "config.toml"
        tree, origin = read_toml(path), str(path)
        tree.pop("about", None)
        tree.setdefault("name", _safe_name(path.stem if path.stem != "config" else path.parent.name))
    else:
        preset = presets.find(preset_or_file)
        tree = preset.tree() | {"name": preset.name, "preset": preset.name}
    tree = apply_overrides(tree, overrides)
    return validate(tree, origin, [".".join(parse_override(override)[0]) for override in overrides])


def _safe_name(text: str) -> str:
    cleaned = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text).lstrip("._-")
    return cleaned[:64] or "run"


def difference(before: RunConfig, after: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ, with both values; None stands for unset. `name` and `preset` are left out."""
    left, right = flatten(before.to_dict()), flatten(after.to_dict())
    keys = [*left, *(key for key in right if key not in left)]
    return {
        key: (left.get(key), right.get(key))
        for key in keys
        if left.get(key) != right.get(key) and key not in ("name", "preset")
    }
