"""The configuration and the summary of a run: dicts whose keys are attributes too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tuitrain.own_loop.values import settings_of


class Table(dict[str, Any]):
    """A dict whose keys can be read and set as attributes. changed: called with what was set."""

    def __init__(self, changed: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        object.__setattr__(self, "_changed", changed)

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"there is no {key!r} here.", name=key, obj=self) from None

    def __setattr__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def update(self, values: Any = None, /, **more: Any) -> None:
        """Set several keys, of a dict or a namespace."""
        more.pop("allow_val_change", None)  # of W&B
        given = {**settings_of(values), **more}
        super().update(given)
        object.__getattribute__(self, "_changed")(given)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As of a dict."""
        if key not in self:
            self.update({key: default})
        return self[key]

    def setdefaults(self, values: Any) -> None:
        """Set those keys that are not set yet."""
        self.update({key: value for key, value in settings_of(values).items() if key not in self})

    def as_dict(self) -> dict[str, Any]:
        """A plain dict of it."""
        return dict(self)

    def record(self, values: dict[str, Any]) -> None:
        """Set several keys without calling `changed`."""
        super().update(values)
