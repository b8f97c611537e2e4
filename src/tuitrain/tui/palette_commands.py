"""The actions of the registry in Textual's command palette."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tuitrain.tui.actions import Action, Place, actions_of


class ActionProvider(Provider):
    """Offers every action of the screen by its title and its help."""

    def _actions(self) -> list[Action]:
        place: Place | None = getattr(self.screen, "place", None)
        return [action for action in actions_of(place) if action.id != "command_palette"] if place else []

    async def discover(self) -> Hits:
        for action in self._actions():
            yield DiscoveryHit(action.title, partial(self._run, action), help=f"{action.key_text}  {action.help}")

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in self._actions():
            score = max(matcher.match(action.title), matcher.match(action.help) * 0.8)
            if score > 0:
                title = matcher.highlight(action.title)
                yield Hit(score, title, partial(self._run, action), help=f"{action.key_text}  {action.help}")

    async def _run(self, action: Action) -> None:
        await self.screen.run_action(action.handler)
