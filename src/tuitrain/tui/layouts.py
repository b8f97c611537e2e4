"""Layouts: named sets of panels in an order, each with a size. Changes are remembered for the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

Sizes = dict[str, int]
"""The columns of each entry of a layout, in their order: a panel's id, a metric of one's own, a pattern of such."""
_KNOWN = frozenset(panel.id for panel in PANELS)


def parse(entries: Sequence[str]) -> tuple[Sizes, list[str]]:
    """Panels as settings and sessions name them, `loss`, `loss:2` or `reward/*`, and the entries that are not valid.

    What is no panel is a metric of one's own, whose name may hold a colon.
    """
    sizes, wrong = Sizes(), list[str]()
    for entry in entries:
        name, colon, size = entry.rpartition(":")
        if name and size in map(str, range(1, MOST_SIZE + 1)):
            sizes[name] = int(size)
        elif not entry.strip() or (colon and name in _KNOWN):
            wrong.append(entry)
        else:
            sizes[entry] = 1
    return sizes, wrong


class Layouts:
    """The layouts that can be shown, in their order. own: those of the settings, by name."""

    def __init__(self, own: Mapping[str, Sequence[str]], session: Session) -> None:
        self._session = session
        self._original = {name: parse(entries)[0] for name, entries in {**SHIPPED, **own}.items()}
        changed = session.get("layouts", {}, dict[str, list[str]])
        self._changed = {name: sizes for name, entries in changed.items() if (sizes := parse(entries)[0])}

    @property
    def names(self) -> list[str]:
        """The shipped ones, those of the settings, and the own one once there is one."""
        return list(dict.fromkeys([*self._original, *([OWN] if OWN in self._changed else [])]))

    def known(self, name: str) -> str:
        """The name of a layout that exists: this one, else the first."""
        return name if name in self.names else self.names[0]

    def sizes(self, name: str) -> Sizes:
        """The panels of a layout as it was last changed."""
        name = self.known(name)
        return self._changed.get(name) or self._original[name]

    def after(self, name: str) -> str:
        """The layout after this one; after the last comes the first."""
        return self.names[(self.names.index(name) + 1) % len(self.names)]

    def original(self, name: str) -> Sizes:
        """The panels of a layout before any change; none for the own one."""
        return self._original.get(name, {})

    def is_changed(self, name: str) -> bool:
        """Whether its panels are others than they were at first."""
        return name in self._original and [*self.sizes(name).items()] != [*self._original[name].items()]

    def keep(self, name: str, sizes: Sizes) -> None:
        """Remember the panels of a layout."""
        self._changed[name] = sizes
        changed = {each: sizes for each, sizes in self._changed.items() if each == OWN or self.is_changed(each)}
        entries = {each: [f"{panel}:{size}" for panel, size in sizes.items()] for each, sizes in changed.items()}
        self._session.set("layouts", entries)
