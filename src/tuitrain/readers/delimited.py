"""Reading tables of separated cells, CSV and TSV, as they grow."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import cast

import msgspec

from tuitrain.events import BrokenLine
from tuitrain.files import shortened
from tuitrain.readers.blocks import block_of
from tuitrain.readers.metric_files import rows_of
from tuitrain.readers.model import Reading, Row, RunInfo
from tuitrain.readers.table import Positions, axis_among, is_time, plain
from tuitrain.readers.text import LONGEST_LINE, TOO_LONG, decimal_comma, number, unix_time

_SEPARATORS = "\t;,|"
_MOST_LINES_OF_A_CELL = 50
_OF_TENSORBOARD = ["Wall time", "Step", "Value"]
_NAMES = frozenset({"metric", "metricname", "name", "tag", "key", "variable", "scalar"})
_VALUES = frozenset({"value", "metricvalue", "val"})
"""Columns of a table that has a row for each value of each metric."""
Cells = Sequence[str] | Sequence[float | None]
"""Those of a column; numbers where all of them are, and None of an empty one."""
_numbers_of_json = msgspec.json.Decoder(list[float | None])


def header_of(line: str) -> tuple[list[str], str | None] | None:
    """The names in a line and what separates them; None of a line that is no header.

    A `#` before the first name is no part of it.
    """
    comment = line.startswith("#")
    line = line.lstrip("# ") if comment else line
    if not line.strip() or line.startswith("sep="):
        return None
    bare = "".join(line.split('"')[::2])
    separator = max(_SEPARATORS, key=bare.count)
    names = cells_of(line, separator if separator in bare else None)
    return None if comment and axis_among(names) is None else (names, separator if separator in bare else None)


def cells_of(line: str, separator: str | None) -> list[str]:
    """The cells of a line without the blanks and quotes around them."""
    if separator is None:
        return [line.strip().strip('"')]
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error:
        # Quotes that are none of whole cells.
        return [cell.strip() for cell in line.split(separator)]


class DelimitedParser:
    """Parses a table whose first line names the columns.

    shorter: the names of the cells of a row that has fewer of them, given all names and how many cells there are; None:
    they are those of the first columns. axis: the column that counts up, where none is called like steps or epochs.
    """

    def __init__(
        self, name: str, shorter: Callable[[list[str], int], list[str] | None] | None = None, axis: str = ""
    ) -> None:
        self.info = RunInfo(name)
        self._counting = axis
        self._shorter = shorter
        self._partial = b""
        self._line = 0
        self._open: list[str] = []
        """The lines of a row so far whose quoted cell has no end yet."""
        self._names: list[str] = []
        self._numeric: set[int] = set()
        """Columns that have had a number."""
        self._taken: str | None = None
        """A last line without an end that was read already."""
        self._rows = 0
        self._last_x: float | None = None
        self._positions = Positions()

    def feed(self, data: bytes) -> Reading:
        """The rows that these bytes complete."""
        reading = Reading()
        end = data.rfind(b"\n") + 1
        if not end:
            self._partial += data
            if len(self._partial) > LONGEST_LINE:
                self._partial = b""
                reading.broken.append(BrokenLine(self._line + 1, TOO_LONG))
            return reading
        whole, self._partial = self._partial + data[:end], data[end:]
        text = whole.decode("utf-8", "replace")
        if not self._line:
            text = text.removeprefix("\ufeff")
        lines = text.replace("\r\n", "\n").split("\n")[:-1]
        if not self._names:
            lines = self._after_header(lines)
        if lines and self._taken is not None:
            lines[0], self._taken = self._rest_of(lines[0], self._taken), None
        if lines and not self._read_at_once(lines, text, reading):
            self._read_one_by_one(lines, reading)
        if self._names:
            self._take_partial(reading)
        return reading

    def _take_partial(self, reading: Reading) -> None:
        """Read a last row without an end of which only the text in its last column can still come."""
        last, separator = len(self._names) - 1, self._separator or ""
        if self._axis is None or not self._rows or last in self._numeric or self._long is not None:
            return
        # A quoted text may have begun, of which there are whole lines.
        taken = self._open[0].partition('"')[0] if self._open else self._partial.decode("utf-8", "replace")
        if not taken.endswith(separator) or taken.count(separator) != last or '"' in taken or taken.startswith("#"):
            return
        x = self._number(taken.split(separator)[self._axis])
        if x is None or not math.isfinite(x) or taken == self._taken:
            return
        rest, line = self._open, self._line
        self._open = []
        self._read_one_by_one([taken], reading)
        self._open, self._line = rest, line
        if rest:
            rest[0] = self._rest_of(rest[0], taken)
        else:
            self._taken = taken

    def _rest_of(self, line: str, taken: str) -> str:
        """The line without the cells that were read already, but for its x."""
        separator = self._separator or ""
        cells = [cell if at == self._axis else "" for at, cell in enumerate(taken.split(separator))]
        return separator.join(cells) + line.removeprefix(taken)

    def _after_header(self, lines: list[str]) -> list[str]:
        """Take the names from the first line that has any, and return the lines after it."""
        for at, line in enumerate(lines):
            self._line += 1
            header = header_of(line)
            if header is not None:
                self._take(*header)
                return lines[at + 1 :]
        return []

    def _take(self, names: list[str], separator: str | None) -> None:
        """Read the following lines as rows of these columns."""
        self._names, self._separator = names, separator
        self._other_spelling = decimal_comma if separator in (";", "\t") else number
        if names == _OF_TENSORBOARD and (tag := self.info.name.rpartition("-tag-")[2]) != self.info.name:
            # TensorBoard calls a download by the run and the tag.
            self._names = names = [*names[:2], tag.rpartition(".")[0] or tag]
        axis = axis_among(name for name in names if name) or (self._counting if self._counting in names else None)
        self._axis = None if axis is None else names.index(axis)
        self.info.axis = axis or "row"
        self._time: int | None = None
        named = [at for at, name in enumerate(names) if name and at != self._axis]
        self._undecided = [at for at in named if is_time(names[at])]
        """Columns that hold times, or else numbers: their first cell decides."""
        self._columns = [at for at in named if at not in self._undecided]
        name, value = (next((at for at in named if plain(names[at]) in words), None) for words in (_NAMES, _VALUES))
        self._long = None if name is None or value is None or axis is None else (name, value)
        """The columns of the names and the values of a table that has a row for each value."""

    def _read_at_once(self, lines: list[str], text: str, reading: Reading) -> bool:
        """Read lines that are all rows of as many plain cells as there are columns; False, and nothing, otherwise."""
        if self._open or '"' in text or "\n#" in text or text.startswith("#") or self._separator is None:
            return False
        count = len(self._names)
        if set(map(str.count, lines, repeat(self._separator))) != {count - 1}:
            return False
        block = self._separator.join(lines)
        cells: list[float | None] | list[str] = []
        if self._separator == "," and self._time is None and not self._undecided:
            cells = _numbers_in(block)
        if len(cells) != count * len(lines):
            cells = block.split(self._separator)
        columns: list[Cells] = [cells[at::count] for at in range(count)]
        if self._axis is not None:
            xs = _floats(columns[self._axis])
            if xs is None or not all(map(math.isfinite, xs)):
                return False
        elif all(_floats(column) is None for column in columns):
            return False
        else:
            xs = self._row_numbers(len(lines))
        self._line += len(lines)
        self._add(columns, xs, reading)
        return True

    def _row_numbers(self, count: int) -> list[float]:
        return [float(each) for each in range(self._rows, self._rows + count)]

    def _read_one_by_one(self, lines: list[str], reading: Reading) -> None:
        """Read lines of any kind."""
        rows: list[list[str]] = []
        xs: list[float] = []

        def flush() -> None:
            if rows:
                at = xs if self._axis is not None else self._row_numbers(len(rows))
                self._add(list(zip(*rows, strict=True)), at, reading)
            rows.clear()
            xs.clear()

        for line in self._joined(lines):
            cells = cells_of(line, self._separator)
            if not any(cells) or cells == self._names or line.startswith("#"):
                continue
            if self._is_header(cells):
                flush()
                self._take(*(header_of(line) or (cells, self._separator)))
                continue
            names = self._shorter(self._names, len(cells)) if self._shorter and len(cells) < len(self._names) else None
            if names is not None:
                by_name = dict(zip(names, cells, strict=True))
                cells = [by_name.get(name, "") for name in self._names]
            cells = [*cells[: len(self._names)], *[""] * (len(self._names) - len(cells))]
            problem = self._place(cells, xs)
            if problem:
                reading.broken.append(BrokenLine(self._line, problem))
            else:
                rows.append(cells)
        flush()

    def _is_header(self, cells: list[str]) -> bool:
        """Whether these are names of other columns, which a next session has."""
        first = cells[min(self._axis or 0, len(cells) - 1)]
        if first and self._number(first) is not None:
            return False
        named = [cell for cell in cells if cell]
        return len(named) > 1 and axis_among(named) is not None and all(self._number(cell) is None for cell in named)

    def _joined(self, lines: list[str]) -> Iterator[str]:
        """The lines as rows: a quoted cell may go on in the next ones."""
        for line in lines:
            self._line += 1
            if not self._open and line.count('"') % 2 == 0:
                yield line
                continue
            self._open.append(line)
            row = "\n".join(self._open)
            if row.count('"') % 2 == 0:
                self._open = []
                yield row
            elif len(self._open) > _MOST_LINES_OF_A_CELL:
                rest, self._open = self._open, []
                yield from (each.replace('"', "") for each in rest)

    def _place(self, cells: list[str], xs: list[float]) -> str:
        """Add the x of a row; what is wrong with a row that has none."""
        if self._axis is None:
            return "" if any(self._number(cell) is not None for cell in cells) else "it has no number"
        text = cells[self._axis]
        x = self._number(text) if text else xs[-1] if xs else self._last_x
        if x is None or not math.isfinite(x):
            return f"{self._names[self._axis]} is not a number: {shortened(text)!r}"
        xs.append(x)
        return ""

    def _add(self, columns: Sequence[Cells], xs: list[float], reading: Reading) -> None:
        """Add the rows of these columns, at these x."""
        self._rows += len(xs)
        self._last_x = xs[-1]
        self._decide(columns)
        times = [None] * len(xs) if self._time is None else list(map(unix_time, map(str, columns[self._time])))
        if self._long is not None and self._number(str(columns[self._long[0]][0])) is not None:
            # Other numbers that are called so.
            self._long = None
        if self._long is not None:
            metrics, measured = (columns[at] for at in self._long)
            points = zip(map(str, metrics), xs, self._numbers(measured) or (), times, strict=False)
            reading.items += rows_of((0.0, name, x, value, at) for name, x, value, at in points if value is not None)
            return
        names: list[str] = []
        numbers: list[list[float] | list[float | None]] = []
        for at in self._columns:
            values = self._numbers(columns[at])
            if values is not None:
                names.append(self._names[at])
                numbers.append(values)
                self._numeric.add(at)
        steps = self._positions.of_all(xs)
        by_name = dict(zip(names, numbers, strict=True))
        # Of two columns with one name a row has the last that is not empty.
        block = block_of(xs, by_name, times, steps) if len(by_name) == len(names) else None
        if block is not None:
            reading.items.append(block)
            return
        rows = zip(*numbers, strict=True)
        if not any(None in column for column in numbers):
            named = map(dict, map(zip, repeat(names), rows))
            reading.items += map(Row, xs, named, times, steps)
            return
        for x, time, step, row in zip(xs, times, steps, rows, strict=True):
            some = {name: value for name, value in zip(names, row, strict=True) if value is not None}
            if some:
                reading.items.append(Row(x, some, time, step))

    def _decide(self, columns: Sequence[Cells]) -> None:
        """Find out which of the columns that are called like times hold some."""
        for at in list(self._undecided):
            first = next((cell for cell in map(str, columns[at]) if cell.strip()), None)
            if first is None:
                continue
            self._undecided.remove(at)
            if self._time is None and unix_time(first) is not None:
                self._time = at
            else:
                self._columns = sorted([*self._columns, at])

    def _numbers(self, cells: Cells) -> list[float] | list[float | None] | None:
        """The numbers in a column, None of a cell without one; None of a column without any."""
        if floats := _floats(cells):
            return floats
        numbers = _numbers_of(cells) or [self._number(cell) if cell else None for cell in map(str, cells)]
        return None if all(each is None for each in numbers) else numbers

    def _number(self, cell: str) -> float | None:
        try:
            return float(cell)
        except ValueError:
            return self._other_spelling(cell)


def _floats(cells: Cells) -> list[float] | None:
    """The numbers in cells; None where one is empty or in another spelling than Python's."""
    numbers = _numbers_of(cells)
    if numbers:
        return None if None in numbers else cast("list[float]", numbers)
    try:
        return list(map(float, cast("Sequence[str]", cells)))
    except ValueError:
        return None


def _numbers_of(cells: Cells) -> list[float | None]:
    """The numbers in cells, None of an empty one; nothing where there is anything else than a JSON number."""
    if isinstance(cells[0], str):
        numbers = _numbers_in(",".join(cast("Sequence[str]", cells)))
        return numbers if len(numbers) == len(cells) else []
    return cast("list[float | None]", cells)


def _numbers_in(text: str) -> list[float | None]:
    """The numbers in a text of JSON numbers with commas between, None of an empty one; nothing with anything else.

    It is several times quicker than float(), and as exact, but knows neither nan nor inf.
    """
    if ",," in text or text[:1] == "," or text[-1:] in ("", ","):
        # Replaced twice, because a comma has two sides.
        text = f",{text},".replace(",,", ",null,").replace(",,", ",null,")[1:-1]
    try:
        return _numbers_of_json.decode(f"[{text}]")
    except (msgspec.DecodeError, UnicodeEncodeError):
        return []
