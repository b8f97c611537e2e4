"""Checksums of the files of a directory, in one more file that `sha256sum -c SHA256SUMS` reads too."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\s]+)")
_THREADS = 8


def write(directory: Path) -> None:
    """Write SHA256SUMS, of all other files in the directory. Raises OSError."""
    unfinished = directory / f"{NAME}.tmp"
    unfinished.unlink(missing_ok=True)
    names = sorted(path.name for path in directory.iterdir() if path.name != NAME)
    lines = [f"{total}  {name}\n" for name, total in zip(names, _sums(directory, names), strict=True)]
    unfinished.write_text("".join(lines), encoding="ascii")
    unfinished.replace(directory / NAME)


def problem(directory: Path) -> str | None:
    """The files that differ from their checksums, as text; None when none does, or without checksums."""
    try:
        text = (directory / NAME).read_bytes().decode("ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        return f"{NAME} cannot be read"
    lines = [_LINE.fullmatch(line) for line in text.split("\n")[:-1]]
    expected = {line[2]: line[1] for line in lines if line}
    if not text.endswith("\n") or len(expected) != len(lines):
        return f"{NAME} has changed since it was written"
    missing = next((name for name in expected if not (directory / name).is_file()), None)
    if missing is not None:
        return f"{missing} is missing"
    try:
        # File managers and network file systems create hidden files anywhere.
        unlisted = sorted(path.name for path in directory.glob("[!.]*") if path.name not in (NAME, *expected))
        if unlisted:
            return f"{NAME} does not have {' and '.join(unlisted)}"
        sums = _sums(directory, list(expected))
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    changed = [name for name, total in zip(expected, sums, strict=True) if total != expected[name]]
    return f"{' and '.join(changed)} has changed since it was written" if changed else None


def _sums(directory: Path, names: list[str]) -> list[str]:
    # The digest releases the interpreter's lock.
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda name: _sum(directory / name), names))


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
