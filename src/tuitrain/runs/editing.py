"""What a person may change about a run afterwards: its tags and its notes, in `run.json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from tuitrain.files import read_regular
from tuitrain.runs.layout import MOST_INFO_BYTES, RunDirectory, RunMetadata
from tuitrain.runs.lock import LockedError, exclusive
from tuitrain.runs.snapshot import read_snapshot

PATIENCE_S = 20.0
"""How long another process may hold `run.json`, which takes milliseconds."""


class EditError(ValueError):
    """A run that cannot be changed or removed; the message says why."""


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


def remove_notes(run: RunDirectory, numbers: Iterable[int]) -> list[str]:
    """Take away notes by their numbers, the oldest being 1. Returns the others. Raises EditError."""
    gone = set(numbers)

    def changed(facts: dict[str, Any]) -> dict[str, Any]:
        notes = facts.get("notes", [])
        unknown = next((number for number in sorted(gone) if not 1 <= number <= len(notes)), None)
        if unknown is not None:
            count = "no notes" if not notes else "one note" if len(notes) == 1 else f"{len(notes)} notes"
            raise EditError(f"{run.run_id} has {count}, and none with the number {unknown}.")
        return facts | {"notes": [note for number, note in enumerate(notes, 1) if number not in gone]}

    return list(_change(run, changed)["notes"])


def add_note(run: RunDirectory, note: str) -> list[str]:
    """Add a note below the others; an empty one changes nothing. Returns all notes. Raises EditError."""
    added = [note.strip()] if note.strip() else []
    return list(_change(run, lambda facts: facts | {"notes": [*facts.get("notes", []), *added]})["notes"])


def _change(run: RunDirectory, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    with edited_metadata(run) as facts:
        facts |= change(facts)
    return facts


@contextmanager
def edited_metadata(run: RunDirectory) -> Iterator[dict[str, Any]]:
    """What `run.json` holds, to be changed in place; it is written back in one step when the block ends well.

    Until then no other process, the launcher's included, can change it. Keys that this version does not know stay.
    Raises EditError.
    """
    if not run.path.is_dir():
        raise EditError(f"{run.log or run.path} is no run directory, so tags and notes have no place to be kept.")
    with ExitStack() as lock:
        with _told_as_sentences(run):
            lock.enter_context(exclusive(run.info_lock, PATIENCE_S))
        facts = _facts(run)
        yield facts
        with _told_as_sentences(run):
            run.write_values(facts)


@contextmanager
def _told_as_sentences(run: RunDirectory) -> Iterator[None]:
    try:
        yield
    except LockedError:
        raise EditError(f"{run.info} is being changed by another process; nothing was changed.") from None
    except OSError as error:
        raise EditError(f"{run.info} cannot be written: {error.strerror or error}.") from None


def _facts(run: RunDirectory) -> dict[str, Any]:
    """What `run.json` holds; where there is none, what the log says of the run."""
    try:
        data = read_regular(run.info, MOST_INFO_BYTES)
    except FileNotFoundError:
        return _new_facts(run)
    except OSError as error:
        raise EditError(f"{run.info} cannot be read: {error.strerror or error}.") from None
    try:
        msgspec.json.decode(data, type=RunMetadata)
        facts: dict[str, Any] = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EditError(f"{run.info} cannot be read ({error}), so tags and notes have no place: mend it.") from None
    return facts


def _new_facts(run: RunDirectory) -> dict[str, Any]:
    seen = read_snapshot(run)
    facts: dict[str, Any] = msgspec.to_builtins(
        RunMetadata(name=seen.name, created=seen.created or run.path.stat().st_mtime)
    )
    return facts
