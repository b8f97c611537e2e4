"""The screen as text, for tests that state what a user sees whichever widgets show it."""

from __future__ import annotations

from unittest.mock import patch

from rich.console import Console
from textual.app import App


def screen_lines(app: App[None]) -> list[str]:
    """The rows of the terminal from the top, each without the blanks at its end."""
    # Textual's screenshot is a picture, which takes ten times as long to make as its text.
    with patch.object(Console, "export_svg", lambda console, **_: console.export_text()):
        return [row.rstrip() for row in app.export_screenshot().split("\n")]


def screen_text(app: App[None]) -> str:
    """All that a user sees, a row a line."""
    return "\n".join(screen_lines(app))
