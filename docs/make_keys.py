"""Makes docs/keys.md from the action registry: every action with its keys, its id for the key map, and what it does."""

from __future__ import annotations

from pathlib import Path

from tuitrain.tui.registry import ACTIONS, EVERYWHERE, SCREENS, Action, key_text
from tuitrain.tui.screens.help import GROUPS

HEAD = """# Keys

Every action of the dashboard, with its id, by which the [key map](dashboard.md#keys) changes its keys. Made by
`python docs/make_keys.py` from the registry that footer, help and command palette read, too.
"""


def page() -> str:
    """docs/keys.md."""
    lines = [HEAD.rstrip()]
    for group in GROUPS:
        actions = [action for action in ACTIONS if action.group == group]
        title = "on one screen" if group == "this screen" else group
        lines += ["", f"## {title}", "", "| keys | id | what it does | screens |", "|---|---|---|---|"]
        lines += map(_row, actions)
    return "\n".join(lines) + "\n"


def _row(action: Action) -> str:
    keys = " ".join(f"`{key_text(key)}`" for key in action.keys)
    titles = {name: title for name, title, _ in SCREENS}
    shown = [titles[place] for place in action.screens if place in titles]
    places = "all" if len(shown) == len(EVERYWHERE) else ", ".join(shown)
    return f"| {keys} | `{action.id}` | {action.help.replace('|', chr(92) + '|')} | {places} |"


if __name__ == "__main__":
    (Path(__file__).resolve().parent / "keys.md").write_text(page(), encoding="utf-8")
