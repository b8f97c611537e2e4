"""What a person may change about a run afterwards: its tags and its notes, in `run.json`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from tuitrain.runs.glance import glance
from tuitrain.runs.layout import RunDirectory, RunInfo

_ATTEMPTS = 20


class EditError(ValueError):
    """A run whose tags and notes cannot be changed; the message says why."""


def normal_tags(tags: Iterable[str]) -> list[str]:
    """Tags as they are stored: without blanks at their ends, inner ones as `-`, each once, in their order."""
    return list(dict.fromkeys("-".join(tag.split()) for tag in tags if tag.strip()))


def set_tags(run: RunDirectory, tags: Iterable[str]) -> list[str]:
    """Give the run these tags in place of its own. Returns them as stored. Raises EditError."""
    wanted = normal_tags(tags)
    _change(run, lambda facts: facts | {"tags": wanted})
    return wanted


def change_tags(run: RunDirectory, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[str]:
    """Add some tags and take others away. Returns what the run has then. Raises EditError."""
    more, fewer = normal_tags(add), set(normal_tags(remove))

    def changed(facts: dict[str, Any]) -> dict[str, Any]:
        return facts | {"tags": [tag for tag in normal_tags([*facts.get("tags", []), *more]) if tag not in fewer]}

    return list(_change(run, changed)["tags"])


def add_note(run: RunDirectory, note: str) -> list[str]:
    """Add a note below the others; an empty one changes nothing. Returns all notes. Raises EditError."""
    added = [note.strip()] if note.strip() else []
    return list(_change(run, lambda facts: facts | {"notes": [*facts.get("notes", []), *added]})["notes"])


def _change(run: RunDirectory, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Rewrite `run.json` from what it holds at that moment.

    Keys that this version does not know stay. Where the file changes meanwhile, the change is made to what it says
    then, so that the launcher's facts are not lost.
    """
    for _ in range(_ATTEMPTS):
        before = _bytes(run)
        facts = change(_facts(run, before))
        temporary = run.info.with_name(f".run.json.edit.{os.getpid()}")
        try:
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")
            if _bytes(run) == before:
                temporary.replace(run.info)
                return facts
        except OSError as error:
            raise EditError(f"{run.info} cannot be written: {error.strerror or error}.") from None
        finally:
            temporary.unlink(missing_ok=True)
    raise EditError(f"{run.info} is being rewritten all the time; nothing was changed.")


def _bytes(run: RunDirectory) -> bytes | None:
    try:
        return run.info.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EditError(f"{run.info} cannot be read: {error.strerror or error}.") from None


def _facts(run: RunDirectory, data: bytes | None) -> dict[str, Any]:
    """What `run.json` holds; where there is none, what the log says of the run."""
    if data is None:
        return _new_facts(run)
    try:
        msgspec.json.decode(data, type=RunInfo)
        facts: dict[str, Any] = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EditError(f"{run.info} cannot be read ({error}), so tags and notes have no place: mend it.") from None
    return facts


def _new_facts(run: RunDirectory) -> dict[str, Any]:
    if not run.path.is_dir():
        raise EditError(f"{run.log or run.path} is no run directory, so tags and notes have no place to be kept.")
    seen = glance(run)
    facts: dict[str, Any] = msgspec.to_builtins(
        RunInfo(name=seen.name, created=seen.created or run.path.stat().st_mtime)
    )
    return facts
