"""Text out of one file: plain text, JSON Lines or Parquet, optionally compressed, in pieces that fit in memory."""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from tuitrain.config.errors import quoted
from tuitrain.config.source import COMPRESSIONS, ROW_SUFFIXES, SourceError, missing_column, problem_text, suffix
from tuitrain.files import parse_json
from tuitrain_engine.data.errors import DataError

PIECE_CHARS = 1 << 18
"""A longer plain-text document comes in pieces of about this many characters, cut after a line."""
MAX_ROW_BYTES = 1 << 26
"""A longer row is refused, so that no file, however small it is compressed, fills the memory."""
_PARQUET_EXTRA = 1 << 20
"""Bytes that a column has beside its values: lengths, levels, headers of pages."""


class Piece(NamedTuple):
    """Some text of a document: all of it, or with `last` false a part that the next piece continues."""

    text: str
    last: bool
    size: int
    """Bytes of text read for it."""


def read_pieces(path: Path, text_column: str) -> Iterator[Piece]:
    """The documents of a file, in order: one for plain text, one a row for .jsonl and .parquet.

    Raises DataError naming the file (and line or row) for anything that cannot be read as that.
    """
    kind = suffix(path)
    with explained(path):
        if kind == ".parquet":
            yield from _parquet(path, text_column)
        elif kind in ROW_SUFFIXES:
            yield from _jsonl(path, text_column)
        else:
            yield from _text(path)


def first_characters(pieces: Iterable[Piece], limit: int | None) -> Iterator[Piece]:
    """The pieces up to exactly `limit` characters in all, where the document then ends; None: every piece."""
    left = limit
    for piece in pieces:
        if left is None or len(piece.text) < left:
            yield piece
            left = left if left is None else left - len(piece.text)
        else:
            text = piece.text[:left]
            yield Piece(text, True, utf8_size(text))
            return


def clean(text: str) -> str:
    """The same text with lone surrogates, which no UTF-8 file can hold, replaced by `?`, and NUL by U+FFFD.

    The byte and char tokenizers end a document with NUL, so no text may contain one.
    """
    text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def row_text(value: object, column: str, where: str) -> str:
    """The text of a row's column; empty for null. Raises DataError when it is not text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{where}: {column!r} holds {type(value).__name__}, not text; set data.text_column.")
    return clean(value)


@contextmanager
def naming(key: str, value: str) -> Iterator[None]:
    """An error of the path that a key of the configuration names, as a DataError that begins with key and value."""
    try:
        yield
    except (SourceError, OSError) as error:
        raise DataError(f"{key} = {quoted(value)}{problem_text(error)}") from None


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """An error of reading a file, as a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text{_first_bad_byte(path)}: convert it (iconv -t utf-8).") from error
    except (OSError, EOFError) as error:
        # Errors of the system have a number; those of the decoders have none.
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        raise DataError(f"{path} cannot be read, it is damaged or cut: {first_line(error)}.") from None
    except Exception as error:
        # The compressed formats and Parquet raise types of their own for a damaged file.
        if type(error).__module__.split(".")[0] not in ("zlib", "pyarrow"):
            raise
        raise DataError(f"{path} cannot be read, it is damaged or cut: {first_line(error)}.") from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises DataError for a file without one."""
    with explained(path):
        content = path.read_text(encoding="utf-8")
    try:
        return parse_json(content)
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON: {error}.") from None


def first_line(error: BaseException) -> str:
    """The message of a library's error, in one line."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def open_decompressed(file: IO[bytes], codec: str) -> io.BufferedReader:
    """The decompressed bytes of a .zst or .bz2 file, every frame of it; a cut or damaged one raises OSError.

    The readers of `zstandard` and `bz2` accept a file that ends inside of a frame, or in bytes that are no frame.
    """
    from pyarrow import CompressedInputStream

    return io.BufferedReader(CompressedInputStream(file, codec))


def _open(path: Path) -> IO[bytes]:
    name = path.name.lower()
    if name.endswith(COMPRESSIONS) and path.stat().st_size == 0:
        raise EOFError("it is empty")
    if name.endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    return open_decompressed(path.open("rb"), "zstd") if name.endswith(".zst") else path.open("rb")


def _first_bad_byte(path: Path) -> str:
    """`, line 3, byte 0xe9 at 1,234`: where a file is not UTF-8; empty if that cannot be determined."""
    decoder, lines, read = codecs.getincrementaldecoder("utf-8")(), 1, 0
    with suppress(Exception), _open(path) as file:
        while block := file.read(PIECE_CHARS):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=len(block) < PIECE_CHARS)
            except UnicodeDecodeError as error:
                line = lines + error.object[: error.start].count(b"\n")
                return f", line {line:,}, byte 0x{error.object[error.start]:02x} at {read - pending + error.start:,}"
            lines, read = lines + block.count(b"\n"), read + len(block)
    return ""


def _text(path: Path) -> Iterator[Piece]:
    with io.TextIOWrapper(_open(path), encoding="utf-8-sig", newline="") as file:
        text = _next_piece(file)
        if "\0" in text[:4096]:
            raise DataError(f"{path} is not UTF-8 text (it contains NUL characters).")
        while text:
            following = _next_piece(file)
            yield Piece(text.replace("\0", "\ufffd"), not following, utf8_size(text))
            text = following


def _next_piece(file: io.TextIOWrapper) -> str:
    text = file.read(PIECE_CHARS)
    return text + file.readline(PIECE_CHARS) if len(text) == PIECE_CHARS else text


def utf8_size(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def _jsonl(path: Path, column: str) -> Iterator[Piece]:
    with _open(path) as file:
        for number in itertools.count(1):
            line = file.readline(MAX_ROW_BYTES + 1)
            if not line:
                return
            where = f"{path}:{number}"
            if len(line) > MAX_ROW_BYTES:
                raise _too_long(where)
            if line.isspace():
                continue
            try:
                row = parse_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                bad = f"byte 0x{error.object[error.start]:02x} at {error.start:,} of the line"
                raise DataError(f"{where} is not UTF-8 text ({bad}): convert the file (iconv -t utf-8).") from None
            except ValueError as error:
                cut = "" if line.endswith(b"\n") else "; the file ends in this line, so it seems truncated"
                raise DataError(f"{where} is not valid JSON: {error}{cut}.") from None
            if column not in row:
                raise DataError(missing_column(where, column, row))
            yield Piece(row_text(row[column], column, where), True, len(line))


def _too_long(where: str) -> DataError:
    return DataError(f"{where} is longer than {MAX_ROW_BYTES >> 20} MiB: split it into several documents.")


def _parquet(path: Path, column: str) -> Iterator[Piece]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as table:
        names = table.schema_arrow.names
        if column not in names:
            raise DataError(missing_column(str(path), column, names))
        row = 0
        for number in range(table.num_row_groups):
            group = table.metadata.row_group(number)
            parts = (group.column(index) for index in range(group.num_columns))
            size = sum(part.total_uncompressed_size for part in parts if part.path_in_schema == column)
            if size > MAX_ROW_BYTES * group.num_rows + _PARQUET_EXTRA:
                raise _too_long(f"{path}: one of the rows from {row} on")
            at_once = max(1, min(256, MAX_ROW_BYTES * group.num_rows // max(size, 1)))
            for batch in table.iter_batches(at_once, row_groups=[number], columns=[column]):
                for value in batch.column(0):
                    where = f"{path}, row {row}"
                    text = row_text(value.as_py(), column, where)
                    if len(text) > MAX_ROW_BYTES:
                        raise _too_long(where)
                    row += 1
                    yield Piece(text, True, utf8_size(text))
