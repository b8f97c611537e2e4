"""A launch request that is filled in step by step, with the preview of what it has become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tuitrain.launch.machine import Machine, find_machine
from tuitrain.launch.plan import Plan
from tuitrain.launch.request import (
    Field,
    LaunchPreview,
    LaunchRequest,
    PresetInfo,
    fields,
    preset_infos,
    preview,
)
from tuitrain.runs import runs_directory


@dataclass
class LaunchForm:
    """What is filled in. `previewed` may run in a thread; the rest belongs to one other."""

    presets: list[PresetInfo]
    fields: tuple[Field, ...]
    machine: Machine
    preset: str = ""
    changes: dict[str, str] = field(default_factory=dict)
    preview: LaunchPreview | None = None
    plan: Plan | None = None
    """The newest plan, which stays while a key is wrong."""
    originals: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """The values of each preset by its name."""

    @classmethod
    def load(cls, used_preset: str | None) -> Self:
        """A form with the preset of a run, else the first that fits this machine, else the first."""
        machine = find_machine()
        presets = preset_infos(machine)
        ranked = sorted(presets, key=lambda each: (each.name != used_preset, not each.fits))
        return cls(presets, fields(), machine, ranked[0].name if ranked else "")

    @property
    def request(self) -> LaunchRequest:
        """A copy of what is filled in."""
        return LaunchRequest(self.preset, dict(self.changes))

    def command(self, runs_dir: Path) -> str:
        """The command line that starts the same run."""
        usual = runs_dir.absolute() == runs_directory(None).absolute()
        return self.request.command(None if usual else runs_dir)

    @property
    def original(self) -> Mapping[str, str]:
        """The values of the preset; none until its first preview."""
        return self.originals.get(self.preset, {})

    @property
    def values(self) -> Mapping[str, str]:
        """The value of each key, as it is shown."""
        return {**self.original, **(self.preview.values if self.preview else {}), **self.changes}

    @property
    def errors(self) -> Mapping[str, str]:
        """Messages by their key."""
        return self.preview.errors if self.preview else {}

    def matching_presets(self, text: str) -> list[PresetInfo]:
        """The presets that match every word of the text."""
        words = text.lower().split()
        return [each for each in self.presets if each.matches(words)]

    def matching_fields(self, text: str) -> list[Field]:
        """The fields whose key has every word of the text, else those whose help has; `=value` does not count."""
        words = text.partition("=")[0].lower().split()
        by_key = [each for each in self.fields if all(word in each.key for word in words)]
        return by_key or [
            each for each in self.fields if all(word in f"{each.key} {each.doc}".lower() for word in words)
        ]

    def set(self, key: str, text: str) -> None:
        """Fill a key in; an empty text, or the preset's value, removes the change."""
        if not text.strip() or text == self.original.get(key):
            self.changes.pop(key, None)
        else:
            self.changes[key] = text.strip()

    def accepts(self, key: str, text: str) -> bool:
        """Whether a key can have this value, with all else as it is."""
        return not text.strip() or LaunchRequest(self.preset, {**self.changes, key: text.strip()}).accepts(key)

    def previewed(self, request: LaunchRequest) -> LaunchPreview:
        """The preview of a request; the values of its preset are kept."""
        if request.preset not in self.originals:
            plain = preview(LaunchRequest(request.preset), self.machine)
            if plain.config is not None:
                self.originals[request.preset] = plain.values
        return preview(request, self.machine)
