"""Layouts: named sets of panels in an order, each with a size. Changes are remembered for the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from tuitrain.plots.panels.catalog import PANELS
from tuitrain.tui.arrangement import MOST_SIZE
from tuitrain.tui.session import Session

OWN = "own"
"""The layout that a user makes from another."""
SHIPPED: dict[str, tuple[str, ...]] = {
    "overview": ("loss", "mfu", "throughput", "memory", "grad_norm", "lr"),
    "training": ("loss:2", "perplexity", "accuracy", "lr", "grad_norm", "grad_stats", "update", "layers"),
    "performance": ("mfu", "throughput", "step_time", "memory", "ranks", "gpu_util"),
    "system": ("gpu_util", "gpu_power", "gpu_temp", "gpu_memory", "cpu", "ram"),
}
_KNOWN = frozenset(panel.id for panel in PANELS)

Sizes = tuple[tuple[str, int], ...]
"""Ids of panels with the columns each takes."""


@dataclass(frozen=True)
class Layout:
    """A named set of panels."""

    name: str
    sizes: Sizes


def parse(entries: Sequence[str]) -> tuple[Sizes, tuple[str, ...]]:
    """Panels as a settings file names them, `loss` or `loss:2`, and the entries that name no panel."""
    sizes: dict[str, int] = {}
    unknown = []
    for entry in entries:
        name, _, size = entry.partition(":")
        if name in _KNOWN and (not size or size in map(str, range(1, MOST_SIZE + 1))):
            sizes[name] = int(size or 1)
        else:
            unknown.append(entry)
    return tuple(sizes.items()), tuple(unknown)


class Layouts:
    """The layouts that can be shown, in their order. own: those of the settings, by name."""

    def __init__(self, own: Mapping[str, Sequence[str]], session: Session) -> None:
        self._session = session
        self._original = {name: parse(entries)[0] for name, entries in {**SHIPPED, **own}.items()}
        changed = session.get("layouts")
        entries = changed.items() if isinstance(changed, dict) else ()
        self._changed = {name: sizes for name, value in entries if (sizes := _sizes(value))}

    @property
    def names(self) -> list[str]:
        """The shipped ones, those of the settings, and the own one once there is one."""
        return [*self._original, *((OWN,) if OWN in self._changed and OWN not in self._original else ())]

    def get(self, name: str) -> Layout:
        """The layout of this name as it was last changed; the first for an unknown name."""
        name = name if name in self.names else self.names[0]
        return Layout(name, self._changed.get(name) or self._original.get(name) or self._original["overview"])

    def after(self, name: str) -> Layout:
        """The layout after this one; after the last comes the first."""
        names = self.names
        return self.get(names[(names.index(name) + 1) % len(names)] if name in names else names[0])

    def original(self, name: str) -> Sizes:
        """The panels of a layout before any change; none for the own one."""
        return self._original.get(name, ())

    def is_changed(self, name: str) -> bool:
        """Whether its panels are others than they were at first."""
        return name in self._original and name in self._changed and self._changed[name] != self._original[name]

    def keep(self, layout: Layout) -> None:
        """Remember the panels of a layout, and that it is the present one."""
        if layout.sizes == self.get(layout.name).sizes and layout.name in self.names:
            self.choose(layout.name)
            return
        self._changed[layout.name] = layout.sizes
        kept = {name: sizes for name, sizes in self._changed.items() if self._original.get(name) != sizes}
        self._session.set("layouts", {name: [list(pair) for pair in sizes] for name, sizes in kept.items()})
        self.choose(layout.name)

    def choose(self, name: str) -> None:
        """Remember which layout is shown."""
        self._session.set("layout", name)


def _sizes(value: object) -> Sizes:
    """The panels of a layout in a session file; none where it holds anything else."""
    try:
        sizes = msgspec.convert(value, tuple[tuple[str, Annotated[int, Meta(ge=1, le=MOST_SIZE)]], ...])
    except msgspec.ValidationError:
        return ()
    return tuple((name, size) for name, size in sizes if name in _KNOWN)
