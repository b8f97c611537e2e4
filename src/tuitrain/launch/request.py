"""A run that is being put together: a preset, changes to it, and what they come to, before anything is started."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from tuitrain.accounting import GPUS
from tuitrain.config import ConfigError, RunConfig, UnknownPresetError, all_presets, flatten, known_keys, load_config
from tuitrain.config.errors import field_at, suggest
from tuitrain.launch import preflight
from tuitrain.launch.detached import Started, start_run
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import Label
from tuitrain.launch.machine import Device, Machine, find_machine, gpu_by_name, training_device
from tuitrain.launch.plan import Plan, make_plan
from tuitrain.launch.processes import check_processes, choose_processes

UNSET = "none"
"""How an optional key without a value is written."""


@dataclass(frozen=True)
class Field:
    """Something that can be filled in. choices: the words it takes, where it takes only these."""

    key: str
    section: str
    doc: str
    choices: tuple[str, ...] = ()


OPTIONS: tuple[Field, ...] = (
    Field("tags", "run", "Words to find the run by, with spaces between them."),
    Field("note", "run", "A sentence to keep with the run."),
    Field("gpus", "run", "Processes, one a GPU, on the CPU any number. Empty: all GPUs the batch divides over."),
    Field("force", "run", "Start even if the model is estimated not to fit.", ("no", "yes")),
    Field("gpu", "run", "Plan for this GPU. It changes nothing about the run. Empty: this machine.",
          tuple(gpu.name for gpu in GPUS)),
)  # fmt: skip
"""What is not in the configuration; `launch` and `plan` have flags of these names."""
_OPTION_KEYS = frozenset(option.key for option in OPTIONS)
_FIRST = ("name", "parallel.strategy")
_SECTIONS = ("train", "optim", "schedule", "model", "data", "parallel", "eval", "sampling", "checkpoint", "telemetry",
             "hardware")  # fmt: skip


def fields() -> tuple[Field, ...]:
    """Everything that can be filled in: what a run is called and where it runs, then the configuration by section."""
    config = {key: _config_field(key) for key in known_keys(RunConfig) if key != "preset"}
    first = [config.pop(key) for key in _FIRST]
    run = [Field(each.key, "run", each.doc, each.choices) for each in first]
    ordered = sorted(config.values(), key=lambda each: _SECTIONS.index(each.section))
    return (run[0], *OPTIONS[:3], run[1], *OPTIONS[3:], *ordered)


def _config_field(key: str) -> Field:
    found = field_at(RunConfig, key.split("."))
    doc = " ".join((found.description or "").split()) if found else ""
    return Field(key, key.partition(".")[0], doc, _words(found.annotation) if found else ())


def _words(annotation: Any) -> tuple[str, ...]:
    """The words a type takes: those of a Literal, or true and false."""
    if annotation is bool:
        return ("true", "false")
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


@dataclass(frozen=True)
class LaunchRequest:
    """What a person has filled in: a preset or TOML file, and texts by key; a key that is not there is the preset's."""

    preset: str
    changes: Mapping[str, str] = field(default_factory=dict)

    def option(self, key: str) -> str:
        """The text of something that is not in the configuration."""
        return self.changes.get(key, "").strip()

    @property
    def overrides(self) -> list[str]:
        """The changes to the configuration, as `key=value`; the name is an option of the command line."""
        return [f"{key}={text}" for key, text in self.changes.items() if key not in _OPTION_KEYS and key != "name"]

    @property
    def label(self) -> Label:
        """What the run is called."""
        note = self.option("note")
        return Label(self.changes.get("name") or "run", self.option("tags").split(), [note] if note else [])

    def command(self, runs_dir: Path | None = None) -> str:
        """The command line that starts the same run."""
        words = ["tuitrain", "launch", self.preset, *self.overrides]
        for key in ("name", "gpus"):
            if self.option(key):
                words += [f"--{key}", self.option(key)]
        for tag in self.option("tags").split():
            words += ["--tag", tag]
        if self.option("note"):
            words += ["--note", self.option("note")]
        if self.option("force") == "yes":
            words.append("--force")
        if runs_dir is not None:
            words += ["--runs-dir", str(runs_dir)]
        return shlex.join(words)


@dataclass(frozen=True)
class LaunchPreview:
    """What a request comes to. config and plan are None while something is wrong with it.

    values: the text of every key; errors: sentences by the key they are about, "" for none; obstacle: why it cannot
    be started on this machine as it stands.
    """

    config: RunConfig | None
    plan: Plan | None
    values: Mapping[str, str]
    errors: Mapping[str, str]
    obstacle: str | None


def preview(request: LaunchRequest, machine: Machine | None = None) -> LaunchPreview:
    """Work the request out, as `plan` and `launch` would. machine: this one, where it has been looked at already."""
    found = _Findings()
    config = found.attempt(lambda: load_config(request.preset, _named(request)))
    values = dict(request.changes)
    if config is None:
        return LaunchPreview(None, None, values, found.errors, None)
    values = _texts(config) | {key: text for key, text in request.changes.items() if key in _OPTION_KEYS}
    gpus = found.attempt(lambda: _whole(request.option("gpus")))
    force = found.attempt(lambda: _yes(request.option("force")))
    plan = found.attempt(lambda: _plan(config, request.option("gpu"), gpus, machine or find_machine()))
    obstacle = None
    if not found.errors and not request.option("gpu"):
        try:
            preflight.check(preflight.with_absolute_paths(config), gpus=gpus, force=bool(force))
        except (LaunchError, OSError) as error:
            obstacle = str(error)
    return LaunchPreview(config, plan, values, found.errors, obstacle)


def start(request: LaunchRequest, runs_dir: Path) -> Started:
    """Start the run in a session of its own. Raises ConfigError, UnknownPresetError, LaunchError or OSError."""
    config = preflight.with_absolute_paths(load_config(request.preset, _named(request)))
    label = Label(config.name, request.label.tags, request.label.notes)
    force = _yes(request.option("force"))
    return start_run(config, runs_dir, label, gpus=_whole(request.option("gpus")), force=force)


def _named(request: LaunchRequest) -> list[str]:
    name = request.option("name")
    return [*request.overrides, *([f"name={name}"] if name else [])]


def _plan(config: RunConfig, gpu: str, gpus: int | None, machine: Machine) -> Plan:
    if not gpu:
        device = training_device(config, machine)
        return make_plan(config, device, gpus=choose_processes(config, machine, gpus).count)
    check_processes(config, gpus or 1)
    return make_plan(config, _device(gpu), gpus=gpus or 1)


def _device(name: str) -> Device:
    found = gpu_by_name(name)
    if found is None:
        raise LaunchError(f"gpu = {name!r} is not known.{suggest(name, [gpu.name for gpu in GPUS])}")
    return found


def _whole(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise LaunchError(f"gpus = {text!r} is not valid: a number of processes, 1 or more.")
    return int(text)


def _yes(text: str) -> bool:
    if text not in ("", "no", "yes"):
        raise LaunchError(f"force = {text!r} is not one of no, yes.")
    return text == "yes"


class _Findings:
    """Sentences about what is wrong, each at the key it is about."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}
        self._keys = {*known_keys(RunConfig), *_OPTION_KEYS}

    def attempt(self, work: Any) -> Any:
        """What it gives; None when it raises one of the errors that a user can do something about."""
        try:
            return work()
        except (ConfigError, LaunchError) as error:
            for sentence in str(error).splitlines():
                self._note(sentence)
        except UnknownPresetError as error:
            self._note(str(error.args[0]))
        except OSError as error:
            self._note(f"{error.filename}: {error.strerror or error}.")
        return None

    def _note(self, sentence: str) -> None:
        key = self._key(sentence)
        self.errors[key] = f"{self.errors[key]} {sentence}" if key in self.errors else sentence

    def _key(self, sentence: str) -> str:
        """The first key that a sentence names, with its section or after `section:`; nothing when it names none."""
        section = re.match(r"([a-z_]+): ", sentence)
        for word in re.findall(r"[a-z_]+(?:\.[a-z_]+)*", sentence):
            for key in (word, f"{section[1]}.{word}" if section else "", word.removeprefix("--")):
                if key in self._keys:
                    return key
        return ""


def _texts(config: RunConfig) -> dict[str, str]:
    """Every key of a configuration as it would be typed."""
    tree = config.model_dump(mode="json")
    mixture = tree["data"].pop("mixture")
    flat = flatten(tree)
    if tree["model"]["rope_scaling"] is None:
        flat |= {key: None for key in known_keys(RunConfig) if key.startswith("model.rope_scaling.")}
    texts = {key: value_text(value) for key, value in flat.items()}
    return texts | {"data.mixture": value_text(mixture)}


def value_text(value: object) -> str:
    """A value as it would be typed after `key=`."""
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
    """A preset in a list: its name, a line about it, and what it comes to here; unknown is None."""

    name: str
    title: str
    words: str
    parameters: int | None = None
    fits: bool | None = None

    def matches(self, wanted: Iterable[str]) -> bool:
        """Whether every word is in its name, its other names, its title or its architecture."""
        return all(word in self.words for word in wanted)


def preset_infos(machine: Machine) -> list[PresetInfo]:
    """All presets, each worked out for this machine."""
    found = []
    for preset in all_presets().values():
        config = load_config(preset.name)
        plan = make_plan(config, training_device(config, machine))
        words = " ".join((preset.name, *preset.aliases, preset.title, config.model.architecture_name)).lower()
        parameters = plan.parameters.total if plan.parameters else None
        found.append(PresetInfo(preset.name, preset.title, words, parameters, plan.fits))
    return found
