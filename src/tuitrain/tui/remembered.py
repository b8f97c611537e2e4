"""Which options of the screens a session keeps, and how they are restored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from tuitrain.tui.registry import ScreenName
from tuitrain.tui.session import Session
from tuitrain.tui.settings import FIELDS, Settings
from tuitrain.tui.view_state import Option, ViewState

_SETTINGS = ("theme", "x", "smoothing", "layout")
_OPTIONS: tuple[Option, ...] = ("log", "log_x", "clip", "recent")


def last_settings(session: Session, settings: Settings, given: Collection[str]) -> Settings:
    """The settings; those that no flag, variable or file gives are as they were last."""
    kept = {name: session.get(name, getattr(settings, name), FIELDS[name].type) for name in _SETTINGS}
    return msgspec.structs.replace(settings, **{name: kept[name] for name in kept.keys() - given})


def restore(session: Session, state: ViewState) -> None:
    """Set the options of the charts as they were last."""
    for name in _OPTIONS:
        setattr(state, name, session.get(name, getattr(state, name), bool))


def remember(session: Session, state: ViewState, theme: str, screen: ScreenName, given: Mapping[str, Any]) -> None:
    """Keep the options as they are now, except those that were given at the start and not changed since."""
    values: dict[str, Any] = {name: getattr(state, name) for name in ("x", "smoothing", *_OPTIONS)}
    for name, value in {**values, "theme": theme, "screen": screen}.items():
        if name not in given or given[name] != value:
            session.set(name, value)
