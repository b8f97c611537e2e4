"""Which options of the screens a session keeps, and how they are restored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from tuitrain.tui.registry import PAGES, ScreenName
from tuitrain.tui.session import Session
from tuitrain.tui.settings import Settings, valid
from tuitrain.tui.view_state import Option, ViewState

_SETTINGS = ("theme", "x", "smoothing", "layout")
_OPTIONS: tuple[Option, ...] = ("log", "log_x", "clip", "recent")
_SCREENS = ("watch", *PAGES)


def last_settings(session: Session, settings: Settings, given: Collection[str]) -> Settings:
    """The settings; those that no flag, variable or file gives are as they were last."""
    kept = {name: session.get(name) for name in _SETTINGS if name not in given and valid(name, session.get(name))}
    return msgspec.structs.replace(settings, **kept)


def restore(session: Session, state: ViewState) -> None:
    """Set the options of the charts as they were last."""
    for name in _OPTIONS:
        value = session.get(name)
        if isinstance(value, bool) and value != getattr(state, name):
            state.toggle(name)


def last_screen(session: Session) -> ScreenName:
    """The screen of the run that was shown last."""
    return next((name for name in _SCREENS if name == session.get("screen")), "watch")


def remember(session: Session, state: ViewState, theme: str, screen: ScreenName, given: Mapping[str, Any]) -> None:
    """Keep the options as they are now, except those that were given at the start and not changed since."""
    for name, value in (("theme", theme), ("x", state.x), ("smoothing", state.smoothing)):
        if name not in given or given[name] != value:
            session.set(name, value)
    for name in _OPTIONS:
        session.set(name, getattr(state, name))
    session.set("screen", screen)
