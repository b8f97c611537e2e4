"""The layouts that the dashboard can show. Changes are remembered for the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuitrain.plots.panels.layouts import OWN, SHIPPED, Sizes, parse
from tuitrain.tui.session import Session


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
