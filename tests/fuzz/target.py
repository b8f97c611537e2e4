"""A kind of input that is fuzzed: its seeds, what shows it as a command would, and what may reach the terminal."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz.mutations import mutated
from tests.terminal import obeyed
from tuitrain.cli.errors import explain
from tuitrain.readers.model import Source
from tuitrain.text import TerminalStream

LARGEST_SEED = 8 << 10
"""Bytes of a seed file that are mutated; a database is nothing without its end."""
_FOREIGN = re.compile(r"\x1b\[(?:5;41m|\?1047h)")
"""Sequences of the same kind as our own, which only mutations hold."""
_OWN = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Seed:
    """A folder with files, relative to it, of which one is mutated in a copy. source: the log that the folder holds."""

    folder: Path
    files: Sequence[Path]
    source: Source | None = None

    def content(self, file: Path) -> bytes:
        """The bytes of a file that are mutated."""
        with (self.folder / file).open("rb") as opened:
            return opened.read(-1 if file.suffix == ".db" else LARGEST_SEED)


@dataclass(frozen=True)
class Case:
    """A mutated file in a copy of its seed's folder, and the random numbers of the case."""

    seed: Seed
    folder: Path
    file: Path
    of: Random


@dataclass
class Target:
    """A kind of input. show: reads and prints a case; an error that a command would explain may be raised."""

    name: str
    seeds: Sequence[Seed]
    show: Callable[[Case], None]
    errors: tuple[type[Exception], ...] = ()
    """Further errors that say in a sentence what is wrong, of the engine and the connection."""
    cpu_s: float = 1.0
    """The CPU time that a case may take."""
    close: Callable[[], None] = lambda: None
    """Ends what stays open from case to case."""
    _copies: dict[int, Path] = field(default_factory=dict, repr=False)

    def run(self, work: Path, seed: int, number: int, mutate: bool = True) -> str:
        """Show the mutated input with this number, of all those of a seed; returns what was printed.

        work: an empty folder of this target for the copies. Raises whatever error no command would explain.
        """
        of = Random(f"{seed}/{self.name}/{number}")
        index = of.randrange(len(self.seeds))
        chosen, copy = self.seeds[index], work / str(index)
        if not copy.exists():
            shutil.copytree(chosen.folder, copy)
        name = of.choice(chosen.files)
        case = Case(chosen, copy, copy / name, of)
        if mutate:
            case.file.write_bytes(mutated(chosen.content(name), of, lambda: self._other(of)))
        try:
            return shown(lambda: self.show(case), self.errors)
        finally:
            if mutate:
                shutil.copyfile(chosen.folder / name, case.file)

    def _other(self, of: Random) -> bytes:
        other = of.choice(self.seeds)
        return other.content(of.choice(other.files))


class Shown(io.StringIO):
    """A terminal that keeps what is printed."""

    encoding = "utf-8"


def shown(show: Callable[[], None], errors: tuple[type[Exception], ...] = ()) -> str:
    """What is printed on a terminal in UTF-8, the sentence of an error that a user can correct included."""
    kept, before = Shown(), sys.stdout
    sys.stdout = TerminalStream(kept)
    try:
        try:
            show()
        except Exception as error:
            failure = explain(error)
            if failure is None and not isinstance(error, errors):
                raise
            print(failure.message if failure is not None else error)
        return kept.getvalue()
    finally:
        sys.stdout = before


def foreign(text: str) -> str | None:
    """The first control sequence in a text that is not one of our colours; None where there is none."""
    found = [*obeyed(text.encode("utf-8", "surrogateescape"), allowed="\n\t"), *_FOREIGN.findall(text)]
    if "\x1b" in _OWN.sub("", text):
        found.append("an escape sequence that is no colour")
    return found[0] if found else None
