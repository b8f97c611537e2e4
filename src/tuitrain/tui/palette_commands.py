"""The actions of the registry, and the themes, in Textual's command palette."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tuitrain.tui.registry import actions_of
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.settings import THEMES

_OTHER_THEME = "A theme of Textual's."
"""Such a theme is not listed until it is searched for."""


class ActionProvider(Provider):
    """Offers every action of the screen by its title and its help, and every theme by its name."""

    def _commands(self) -> Iterator[tuple[str, str, str, Callable[[], Awaitable[object] | None]]]:
        """Title, key, help text and what to call of each."""
        screen = self.screen
        if isinstance(screen, BaseScreen):
            for action in actions_of(screen.screen_name, screen.app.actions):
                if action.id != "command_palette":
                    yield action.title, f"{action.key_text}  ", action.help, partial(screen.run_action, action.handler)
        for name in (*THEMES, *sorted(self.app.available_themes.keys() - THEMES.keys())):
            yield f"theme {name}", "", THEMES.get(name, _OTHER_THEME), partial(setattr, self.app, "theme", name)

    async def discover(self) -> Hits:
        for title, key, text, call in self._commands():
            if text != _OTHER_THEME:
                yield DiscoveryHit(title, call, help=key + text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, key, text, call in self._commands():
            score = max(matcher.match(title), matcher.match(text) * 0.8 if key else 0)
            if score > 0:
                yield Hit(score, matcher.highlight(title), call, help=key + text)
