"""Parquet: a table with a column for steps or epochs, or none. It needs pyarrow."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tuitrain.events import BrokenLine
from tuitrain.files import open_regular
from tuitrain.readers.document import Growth, WholeFile
from tuitrain.readers.model import Format, Item, Probe, Reading, RunInfo
from tuitrain.readers.table import Records, axis_among, file_sources, is_log

_MAGIC = b"PAR1"
_LONGEST_FOOTER = 1 << 20
_NAME = re.compile(rb"[A-Za-z_][\w /.()%-]{0,100}")


class ParquetReader:
    """Follows a file that is written anew as a whole."""

    def __init__(self, path: Path, name: str) -> None:
        self.info = RunInfo(name, axis="row")
        self._file = WholeFile(path)
        self._growth = Growth()

    def poll(self) -> Reading:
        """The rows that were added. Raises OSError where pyarrow is missing."""
        data = self._file.read()
        if data is None:
            return Reading()
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            sentence = "Parquet is read with pyarrow, which is not installed: pip install pyarrow"
            raise OSError(errno.ENOSYS, sentence, str(self._file.path)) from None
        try:
            columns = pq.read_table(io.BytesIO(data)).to_pydict()
        except (pa.ArrowException, ValueError, OSError) as error:
            return Reading(broken=[BrokenLine(1, str(error).partition("\n")[0])])
        rows = _rows(columns, self.info)
        return self._growth.reading([rows])


def _rows(columns: dict[str, list[Any]], info: RunInfo) -> list[Item]:
    names = [name for name in columns if not name.startswith("__index")]
    reader = Records("row", axis_among(names))
    info.axis = reader.axis_name
    rows: list[Item] = []
    for values in zip(*(columns[name] for name in names), strict=True):
        record = dict(zip(names, values, strict=True))
        record |= {name: value.timestamp() for name, value in record.items() if hasattr(value, "timestamp")}
        rows += reader.rows(record)
    return rows


def _matches(probe: Probe) -> bool:
    """Whether the columns are those of a log; pyarrow is asked only where the end of the file has names of some."""
    if probe.head[:4] != _MAGIC or probe.path is None:
        return False
    with open_regular(probe.path) as file:
        size = os.fstat(file.fileno()).st_size
        end = os.pread(file.fileno(), 8, max(0, size - 8))
        length = int.from_bytes(end[:4], "little")
        if end[4:] != _MAGIC or length > min(_LONGEST_FOOTER, size):
            return False
        footer = os.pread(file.fileno(), length, size - 8 - length)
    return is_log([name.decode() for name in _names(footer)], 2) and is_log(_columns(probe.path), 2)


def _names(footer: bytes) -> Iterable[bytes]:
    """Texts with their lengths before them, as Thrift's compact protocol writes names, among others."""
    for match in _NAME.finditer(footer):
        name = match[0]
        for start in range(min(4, len(name))):
            length = footer[match.start() + start - 1] if match.start() + start else 0
            if 0 < length <= len(name) - start:
                yield name[start : start + length]


def _columns(path: Path) -> list[str]:
    """The names of the columns; without pyarrow those of any log, since only reading it can tell."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return ["step", "loss"]
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return []


FORMAT = Format(
    "parquet", "Parquet: a column for steps or epochs, or none", "tuitrain watch log.parquet", _matches,
    partial(file_sources, "parquet"), lambda source: ParquetReader(source.path, source.name), binary=True,
)  # fmt: skip
