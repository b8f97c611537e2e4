"""The actions of the registry, and the themes, in Textual's command palette."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tuitrain.tui.actions import actions_of
from tuitrain.tui.registry import Action
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.settings import THEMES


class ActionProvider(Provider):
    """Offers every action of the screen by its title and its help, and every theme by its name."""

    def _actions(self) -> list[Action]:
        screen = self.screen
        if not isinstance(screen, BaseScreen):
            return []
        offered = actions_of(screen.screen_name, screen.app.actions)
        return [action for action in offered if action.id != "command_palette"]

    async def discover(self) -> Hits:
        for action in self._actions():
            yield DiscoveryHit(action.title, partial(self._run, action), help=f"{action.key_text}  {action.help}")
        for name, about in THEMES.items():
            yield DiscoveryHit(f"theme {name}", partial(self._take_theme, name), help=about)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in self._actions():
            score = max(matcher.match(action.title), matcher.match(action.help) * 0.8)
            if score > 0:
                title = matcher.highlight(action.title)
                yield Hit(score, title, partial(self._run, action), help=f"{action.key_text}  {action.help}")
        for name in self.app.available_themes:
            wanted = f"theme {name}"
            score = matcher.match(wanted)
            if score > 0:
                about = THEMES.get(name, "A theme of Textual's.")
                yield Hit(score, matcher.highlight(wanted), partial(self._take_theme, name), help=about)

    def _take_theme(self, name: str) -> None:
        self.app.theme = name

    async def _run(self, action: Action) -> None:
        await self.screen.run_action(action.handler)
