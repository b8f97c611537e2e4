"""What a person may change about a run afterwards: its tags and its notes, in `run.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from tuitrain.events.layout import MOST_INFO_BYTES, RunMetadata
from tuitrain.events.lock import LockedError, exclusive
from tuitrain.files import read_regular
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.snapshot import read_snapshot

PATIENCE_S = 20.0
"""How long another process may hold `run.json`, which takes milliseconds."""


class EditError(ValueError):
    """A run that cannot be changed or removed; the message says why."""


def normal_tags(tags: Iterable[str]) -> list[str]:
    """Tags as they are stored: without blanks at their ends, inner ones as `-`, each once, in their order."""
    return list(dict.fromkeys("-".join(tag.split()) for tag in tags if tag.strip()))


def set_tags(run: RunDirectory, tags: Iterable[str]) -> list[str]:
    """Replace the tags of a run. Returns them as stored. Raises EditError."""
    with edited_metadata(run) as values:
        values["tags"] = normal_tags(tags)
    return list(values["tags"])


def change_tags(run: RunDirectory, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[str]:
    """Add some tags and remove others. Returns the tags that the run has then. Raises EditError."""
    removed = set(normal_tags(remove))
    with edited_metadata(run) as values:
        values["tags"] = [tag for tag in normal_tags([*values.get("tags", []), *add]) if tag not in removed]
    return list(values["tags"])


def remove_notes(run: RunDirectory, numbers: Iterable[int]) -> list[str]:
    """Remove notes by their numbers, the oldest being 1. Returns the others. Raises EditError."""
    removed = set(numbers)
    with edited_metadata(run) as values:
        notes = values.get("notes", [])
        unknown = next((number for number in sorted(removed) if not 1 <= number <= len(notes)), None)
        if unknown is not None:
            count = "no notes" if not notes else "one note" if len(notes) == 1 else f"{len(notes)} notes"
            raise EditError(f"{run.run_id} has {count}, and none with the number {unknown}.")
        values["notes"] = [note for number, note in enumerate(notes, 1) if number not in removed]
    return list(values["notes"])


def add_note(run: RunDirectory, note: str) -> list[str]:
    """Add a note below the others; an empty one changes nothing. Returns all notes. Raises EditError."""
    with edited_metadata(run) as values:
        values["notes"] = [*values.get("notes", []), *([note.strip()] if note.strip() else [])]
    return list(values["notes"])


@contextmanager
def edited_metadata(run: RunDirectory) -> Iterator[dict[str, Any]]:
    """What `run.json` holds, to be changed in place; it is written back in one step when the block ends well.

    Until then no other process, the launcher's included, can change it. Keys that this version does not know stay.
    Raises EditError.
    """
    if run.source is None and run.remote:
        raise EditError(f"{run.remote} is on another machine: only there it can be changed.")
    if run.source is not None:
        with _as_edit_error(run):
            run.path.mkdir(parents=True, exist_ok=True)
    if not run.path.is_dir():
        raise EditError(f"{run.log or run.path} is no run directory, so tags and notes cannot be stored.")
    with ExitStack() as lock:
        with _as_edit_error(run):
            lock.enter_context(exclusive(run.info_lock, PATIENCE_S))
        values = _read(run)
        yield values
        with _as_edit_error(run):
            run.write_values(values)


@contextmanager
def _as_edit_error(run: RunDirectory) -> Iterator[None]:
    try:
        yield
    except LockedError:
        raise EditError(f"{run.info} is being changed by another process; nothing was changed.") from None
    except OSError as error:
        raise EditError(f"{run.info} cannot be written: {error.strerror or error}.") from None


def _read(run: RunDirectory) -> dict[str, Any]:
    """What `run.json` holds; where there is none, the metadata that the log gives."""
    try:
        data = read_regular(run.info, MOST_INFO_BYTES)
        msgspec.json.decode(data, type=RunMetadata)
        values: dict[str, Any] = msgspec.json.decode(data)
    except FileNotFoundError:
        snapshot = read_snapshot(run)
        created = snapshot.created or run.path.stat().st_mtime
        values = msgspec.to_builtins(RunMetadata(name=snapshot.name, created=created))
    except OSError as error:
        raise EditError(f"{run.info} cannot be read: {error.strerror or error}.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EditError(
            f"{run.info} cannot be read ({error}), so tags and notes cannot be stored: repair it."
        ) from None
    return values
