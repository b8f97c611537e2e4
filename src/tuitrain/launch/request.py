"""A launch request: a preset with changes to it, its preview, and its start."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_origin

from tuitrain.accounting import GPUS
from tuitrain.config import ConfigError, RunConfig, UnknownPresetError, all_presets, flatten, known_keys, load_config
from tuitrain.config.errors import Problem, suggest
from tuitrain.config.keys import docstring, field_at, words
from tuitrain.config.requirements import check_processes
from tuitrain.files import os_error_text
from tuitrain.launch import preflight
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import Label, Started, start_run
from tuitrain.launch.machine import Device, Machine, find_machine, gpu_by_name, training_device
from tuitrain.launch.plan import Plan, make_plan

UNSET = "none"
"""The text of an optional key without a value."""
USER_ERRORS = (ConfigError, LaunchError, UnknownPresetError, OSError)
"""Errors that a user can correct."""


@dataclass(frozen=True)
class Field:
    """A key of the configuration or an option of `launch`. choices: its values, where it takes only these."""

    key: str
    section: str
    doc: str
    choices: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        """Its meaning, and its values where it takes only some."""
        return f"{self.doc} One of {', '.join(self.choices)}." if self.choices else self.doc


OPTIONS: tuple[Field, ...] = (
    Field("tags", "run", "Words to find the run by, with spaces between them."),
    Field("note", "run", "A sentence to keep with the run."),
    Field("gpus", "run", "Processes, one a GPU, on the CPU any number. Empty: all GPUs the batch divides over."),
    Field("force", "run", "Start even if the model is estimated not to fit.", ("no", "yes")),
    Field("gpu", "run", "Plan for this GPU. It changes nothing about the run. Empty: this machine.",
          tuple(gpu.name for gpu in GPUS)),
)  # fmt: skip
"""Options of `launch` and `plan` that are not in the configuration."""
_OPTION_KEYS = frozenset(option.key for option in OPTIONS)
_FIRST = ("name", "parallel.strategy")
_SECTIONS = ("train", "optim", "schedule", "model", "data", "parallel", "eval", "sampling", "checkpoint", "telemetry",
             "export", "hardware")  # fmt: skip


def fields() -> tuple[Field, ...]:
    """All fields: the name of the run and where it runs, then the configuration by section."""
    config = {key: _config_field(key) for key in known_keys(RunConfig) if key != "preset"}
    first = [config.pop(key) for key in _FIRST]
    run = [Field(each.key, "run", each.doc, each.choices) for each in first]
    ordered = sorted(config.values(), key=lambda each: _SECTIONS.index(each.section))
    return (run[0], *OPTIONS[:3], run[1], *OPTIONS[3:], *ordered)


def _config_field(key: str) -> Field:
    info = field_at(RunConfig, key)
    # Only these types list all their values.
    closed = info is not None and (info.annotation is bool or get_origin(info.annotation) is Literal)
    choices = words(info.annotation) if info is not None and closed else []
    return Field(key, key.partition(".")[0], docstring(RunConfig, key), tuple(choices))


@dataclass(frozen=True)
class LaunchRequest:
    """A preset or TOML file, and texts by key that replace its values."""

    preset: str
    changes: Mapping[str, str] = field(default_factory=dict)

    def option(self, key: str) -> str:
        """The text of an option that is not in the configuration."""
        return self.changes.get(key, "").strip()

    @property
    def overrides(self) -> list[str]:
        """The changes to the configuration, as `key=value`, without the name."""
        return [f"{key}={text}" for key, text in self.changes.items() if key not in _OPTION_KEYS and key != "name"]

    def config(self) -> RunConfig:
        """The configuration. Raises ConfigError, UnknownPresetError or OSError."""
        name = self.option("name")
        return load_config(self.preset, [*self.overrides, *([f"name={name}"] if name else [])])

    def gpus(self) -> int | None:
        """The number of processes; None: as many as suit the machine. Raises LaunchError."""
        text = self.option("gpus")
        if text and (not text.isdecimal() or int(text) < 1):
            raise LaunchError(f"gpus = {text!r} is not valid: a number of processes, 1 or more.", key="gpus")
        return int(text) if text else None

    def force(self) -> bool:
        """Whether the memory check is skipped. Raises LaunchError."""
        text = self.option("force")
        if text not in ("", "no", "yes"):
            raise LaunchError(f"force = {text!r} is not one of no, yes.", key="force")
        return text == "yes"

    def gpu(self) -> Device | None:
        """The GPU to plan for; None: this machine's device. Raises LaunchError."""
        name = self.option("gpu")
        device = gpu_by_name(name) if name else None
        if name and device is None:
            hint = suggest(name, [gpu.name for gpu in GPUS])
            raise LaunchError(f"gpu = {name!r} is not known.{hint}", key="gpu")
        return device

    def errors(self) -> dict[str, str]:
        """Sentences about what is wrong with the request itself, by the key they are about, "" for none."""
        errors: dict[str, str] = {}
        for read in (self.config, self.gpus, self.gpu, self.force):
            with _collected(errors):
                read()
        return errors

    def accepts(self, key: str) -> bool:
        """Whether the value of a key is valid."""
        return key not in self.errors()

    def command(self, runs_dir: Path | None = None) -> str:
        """The command line that starts the same run."""
        values = [
            ("name", self.option("name")), ("gpus", self.option("gpus")),
            *(("tag", tag) for tag in self.option("tags").split()), ("note", self.option("note")),
        ]  # fmt: skip
        options = [word for name, text in values if text for word in (f"--{name}", text)]
        force = ["--force"] * (self.option("force") == "yes")
        directory = [] if runs_dir is None else ["--runs-dir", str(runs_dir)]
        return shlex.join(["tuitrain", "launch", self.preset, *self.overrides, *options, *force, *directory])

    def start(self, runs_dir: Path) -> Started:
        """Start the run in a session of its own. Raises LaunchError."""
        try:
            config, note = preflight.with_absolute_paths(self.config()), self.option("note")
            label = Label(config.name, self.option("tags").split(), [note] if note else [])
            return start_run(config, runs_dir, label, gpus=self.gpus(), force=self.force())
        except USER_ERRORS as error:
            raise LaunchError("\n".join(problem.message for problem in _problems(error))) from None


@dataclass(frozen=True)
class LaunchPreview:
    """The preview of a launch request. config and plan are None while something is wrong with it.

    values: the text of every key; errors: sentences by the key they are about, "" for none; obstacle: why this machine
    cannot start the run.
    """

    config: RunConfig | None
    plan: Plan | None
    values: Mapping[str, str]
    errors: Mapping[str, str]
    obstacle: str | None


def preview(request: LaunchRequest, machine: Machine | None = None) -> LaunchPreview:
    """The preview of a request, as `plan` and `launch` would report it. machine: this one, if known already."""
    errors = request.errors()
    config = plan = obstacle = None
    values = request.changes
    with suppress(*USER_ERRORS):
        config = request.config()
        values = _texts(config) | {key: text for key, text in request.changes.items() if key in _OPTION_KEYS}
    if config is not None and not errors:
        with _collected(errors):
            plan = _plan(config, request.gpu(), request.gpus(), machine or find_machine())
    if config is not None and not errors and not request.option("gpu"):
        try:
            preflight.check(preflight.with_absolute_paths(config), gpus=request.gpus(), force=request.force())
        except USER_ERRORS as error:
            obstacle = str(error)
    return LaunchPreview(config, plan, values, errors, obstacle)


def _plan(config: RunConfig, gpu: Device | None, gpus: int | None, machine: Machine) -> Plan:
    if gpu is None:
        count = preflight.choose_processes(config, machine, gpus).count
        return make_plan(config, training_device(config, machine), gpus=count)
    check_processes(config, gpus or 1)
    return make_plan(config, gpu, gpus=gpus or 1)


@contextmanager
def _collected(errors: dict[str, str]) -> Iterator[None]:
    """Add the sentences of one of USER_ERRORS that the block raises to `errors`, by key."""
    try:
        yield
    except USER_ERRORS as error:
        for message, key in _problems(error):
            name = _field_key(key or "")
            errors[name] = f"{errors[name]} {message}" if name in errors else message


def _problems(error: Exception) -> Sequence[Problem]:
    match error:
        case ConfigError():
            return error.problems
        case LaunchError():
            return [Problem(str(error), error.key)]
        case OSError():
            return [Problem(os_error_text(error) or str(error))]
    return [Problem(str(error.args[0]))]


def _field_key(key: str) -> str:
    """The field of a key, or of a part of it such as data.mixture.stdlib; "" where there is none."""
    known = {*known_keys(RunConfig), *_OPTION_KEYS}
    while key and key not in known:
        key = key.rpartition(".")[0]
    return key


def _texts(config: RunConfig) -> dict[str, str]:
    """The text of every key, as a user would type it."""
    tree = config.model_dump(mode="json")
    mixture = tree["data"].pop("mixture")
    flat = flatten(tree)
    if tree["model"]["rope_scaling"] is None:
        flat |= {key: None for key in known_keys(RunConfig) if key.startswith("model.rope_scaling.")}
    texts = {key: value_text(value) for key, value in flat.items()}
    return texts | {"data.mixture": value_text(mixture)}


def value_text(value: object) -> str:
    """A value as a user would type it after `key=`."""
    if value is None:
        return UNSET
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {inner}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(value_text, value)) + "]"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


@dataclass(frozen=True)
class PresetInfo:
    """A preset in a list, with its parameters and whether it fits this machine; unknown is None."""

    name: str
    title: str
    words: str
    parameters: int | None = None
    fits: bool | None = None

    def matches(self, words: Iterable[str]) -> bool:
        """Whether every word is in its name, its other names, its title or its architecture."""
        return all(word in self.words for word in words)


def preset_infos(machine: Machine) -> list[PresetInfo]:
    """All presets, each planned for this machine."""
    infos = []
    for preset in all_presets().values():
        config = load_config(preset.name)
        plan = make_plan(config, training_device(config, machine))
        words = " ".join((preset.name, *preset.aliases, preset.title, config.model.architecture_name)).lower()
        parameters = plan.parameters.total if plan.parameters else None
        infos.append(PresetInfo(preset.name, preset.title, words, parameters, plan.fits))
    return infos
