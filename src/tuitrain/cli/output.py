"""Output of the commands: data to stdout, messages to stderr, colours where the terminal has them.

Rich and the rooms below are imported in the functions: JSON, plain text and `--help` do without.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tuitrain.text import ascii_json, clean, print_coloured

if TYPE_CHECKING:
    from tuitrain.runs import RunHistory

STATUS_STYLES = {
    "queued": "cyan",
    "starting": "cyan",
    "running": "green",
    "stalled": "yellow",
    "paused": "yellow",
    "completed": "blue",
    "stopped": "magenta",
    "failed": "bold red",
    "crashed": "bold red",
    "interrupted": "bold red",
    "unknown": "dim",
}


def is_terminal() -> bool:
    """Whether a full-screen program can be shown: a terminal on both ends that can move its cursor, or a browser."""
    is_served = os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")
    return is_served or (sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb")


def text_area() -> tuple[int, bool]:
    """Columns to fill, 120 without a terminal, and whether standard output shows colours. COLUMNS sets the columns."""
    return shutil.get_terminal_size((120, 40)).columns, has_colour()


def has_colour() -> bool:
    """Whether standard output shows colours. NO_COLOR, FORCE_COLOR and TERM=dumb override what it is."""
    from rich.console import Console

    console = Console()
    return console.color_system is not None and not console.no_color


def styled(text: str, style: str, color: bool) -> str:
    """The text in a rich style, or as it is without colours."""
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD) if style and color else text


def say(text: str) -> None:
    """Print a message on stderr."""
    print(text, file=sys.stderr, flush=True)


def say_unread(runs: Iterable[tuple[str, RunHistory]]) -> None:
    """Name, on stderr, the runs with lines in their logs that could not be read."""
    from tuitrain.analysis.description import unread_lines

    for name, history in runs:
        if history.broken_count:
            say(f"{name}: {unread_lines(history.broken_count)}; `tuitrain show {name}` lists them.")


def print_json(value: Any) -> None:
    """Strict JSON on stdout; numbers that JSON lacks are the strings "nan", "inf" and "-inf"."""
    from tuitrain.events import spell_out

    print(ascii_json(json.dumps(spell_out(value), indent=2, allow_nan=False)))


def print_lines(lines: Iterable[str]) -> None:
    """Print each on a line of its own."""
    for line in lines:
        print(line)


def print_rows(rows: Iterable[tuple[str, str]], indent: str = "  ") -> None:
    """Print names and values in two aligned columns; a value may have several lines."""
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    for name, text in pairs:
        for number, line in enumerate(text.split("\n")):
            print(f"{indent}{name if number == 0 else '':<{width}}  {line}".rstrip())


def with_progress(files: Sequence[Any]) -> Iterator[Any]:
    """Hand on one after the other, on a terminal with a bar on stderr that goes when all are done."""
    if len(files) < 2 or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield from files
        return
    from rich.console import Console
    from rich.progress import track

    # The guarded stream would not let the bar move the cursor; nothing of a log is in it.
    stream = getattr(sys.stderr, "exact", sys.stderr)
    yield from track(files, "drawing", console=Console(file=stream), transient=True)


@dataclass(frozen=True)
class Column:
    """A column of a table. rank: on a narrow terminal columns with the highest rank are left out first; 0 always stays.

    styles: the rich style of a cell, by its text.
    """

    title: str
    cells: Sequence[str]
    justify: Literal["left", "right"] = "left"
    rank: int = 0
    styles: Mapping[str, str] = field(default_factory=dict)


def print_table(columns: Sequence[Column]) -> None:
    """Print a table as wide as it needs to be; on a terminal, columns are left out until it fits.

    Rich's own tables take a dozen times as long, which shows with thousands of rows.
    """
    from rich.cells import cell_len

    color, drawn, widths = has_colour(), [], []
    for column in columns:
        cells = [clean(cell) for cell in (column.title, *column.cells)]
        width = max(map(cell_len, cells))
        styles = ["bold", *(column.styles.get(cell, "") for cell in cells[1:])]
        texts = [styled(cell, style, color) for cell, style in zip(cells, styles, strict=True)]
        blanks = [" " * (width - cell_len(cell)) for cell in cells]
        pairs = zip(blanks, texts, strict=True)
        drawn.append([blank + text if column.justify == "right" else text + blank for blank, text in pairs])
        widths.append(width)
    shown = [drawn[at] for at in _fitting(columns, widths)]
    print_coloured("\n".join("  ".join(row).rstrip() for row in zip(*shown, strict=True)))


def _fitting(columns: Sequence[Column], widths: Sequence[int]) -> list[int]:
    """Indices of the columns that fit the terminal; all where there is none."""
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
