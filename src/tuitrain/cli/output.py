"""Output of the commands: data to stdout, messages to stderr, colours where the terminal has them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tuitrain.runs import RunHistory

UNKNOWN = "n/a"


def is_terminal() -> bool:
    """Whether a full-screen program can be shown: a terminal on both ends that can move its cursor, or a browser."""
    return is_served() or (sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb")


def is_served() -> bool:
    """Whether textual-serve runs this command to show it in a browser."""
    return os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")


def text_area() -> tuple[int, bool]:
    """Columns to fill and whether to colour: the terminal's, or 120 and plain where there is none.

    NO_COLOR, FORCE_COLOR and TERM=dumb have the last word on colour, COLUMNS on the width.
    """
    return shutil.get_terminal_size((120, 40)).columns, has_colour()


def has_colour() -> bool:
    """Whether standard output shows colours. NO_COLOR, FORCE_COLOR and TERM=dumb have the last word."""
    from rich.console import Console

    console = Console()
    return console.color_system is not None and not console.no_color


def say(text: str) -> None:
    """Print a message on stderr."""
    print(text, file=sys.stderr, flush=True)


def say_unread(runs: Iterable[tuple[str, RunHistory]]) -> None:
    """Name, on stderr, the runs of whose logs not every line could be read."""
    from tuitrain.analysis.description import unread_lines

    for name, history in runs:
        if history.broken_count:
            say(f"{name}: {unread_lines(history.broken_count)}; `tuitrain show {name}` says which.")


def print_json(value: Any) -> None:
    """Strict JSON on stdout; numbers that JSON lacks are the strings "nan", "inf" and "-inf"."""
    from tuitrain.events import spell_out
    from tuitrain.events.text import ascii_json

    print(ascii_json(json.dumps(spell_out(value), indent=2, allow_nan=False)))


def print_rows(facts: Iterable[tuple[str, str]], indent: str = "  ") -> None:
    """Print names and values in two aligned columns; a value may have several lines."""
    pairs = list(facts)
    width = max((len(name) for name, _ in pairs), default=0)
    for name, text in pairs:
        first, *rest = text.split("\n")
        print(f"{indent}{name:<{width}}  {first}".rstrip())
        for line in rest:
            print(f"{indent}{'':<{width}}  {line}".rstrip())


@dataclass(frozen=True)
class Column:
    """A column of a table. rank: on a narrow terminal columns with the highest rank go first; 0 always stays."""

    title: str
    justify: Literal["left", "right"] = "left"
    rank: int = 0


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """A table as wide as it needs to be; on a terminal, columns are left out until it fits.

    styles has one rich style for each row's cell in the column `status`, or is empty. Rich's own tables take a dozen
    times as long, which shows with thousands of rows.
    """
    from rich.cells import cell_len

    from tuitrain.events.text import clean, print_coloured

    columns = [replace(column, title=clean(column.title)) for column in columns]
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(cell_len(text) for text in (column.title, *(row[at] for row in rows)))
              for at, column in enumerate(columns)]  # fmt: skip
    shown = _that_fit(columns, widths)
    painted = _painter()

    def line(cells: Sequence[str], styles: Sequence[str]) -> str:
        texts = []
        for at in shown:
            blanks = " " * (widths[at] - cell_len(cells[at]))
            text = painted(cells[at], styles[at])
            texts.append(blanks + text if columns[at].justify == "right" else text + blanks)
        return "  ".join(texts).rstrip()

    plain = [""] * len(columns)
    lines = [line([column.title for column in columns], ["bold"] * len(columns))]
    for number, row in enumerate(rows):
        style = styles[number] if styles else ""
        lines.append(line(row, [style if column.title == "status" else "" for column in columns] if style else plain))
    print_coloured("\n".join(lines))


def _painter() -> Callable[[str, str], str]:
    """A function that gives a text a rich style, as far as the output has colours."""
    from rich.console import COLOR_SYSTEMS, Console
    from rich.style import Style

    console = Console()
    system = COLOR_SYSTEMS.get(console.color_system or "")

    def painted(text: str, style: str) -> str:
        if not style or system is None:
            return text
        parsed = Style.parse(style)
        return (parsed.without_color if console.no_color else parsed).render(text, color_system=system)

    return painted


def _that_fit(columns: Sequence[Column], widths: Sequence[int]) -> list[int]:
    shown = list(range(len(columns)))
    if not sys.stdout.isatty():
        return shown
    available = shutil.get_terminal_size().columns
    while sum(widths[at] + 2 for at in shown) - 2 > available:
        worst = max(shown, key=lambda at: columns[at].rank)
        if columns[worst].rank == 0:
            break
        shown.remove(worst)
    return shown


STATUS_STYLES = {
    "starting": "cyan",
    "running": "green",
    "stalled": "yellow",
    "completed": "blue",
    "stopped": "magenta",
    "failed": "bold red",
    "crashed": "bold red",
    "unknown": "dim",
}
