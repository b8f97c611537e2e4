"""Text out of one file: plain text, JSON Lines or Parquet, optionally compressed, in pieces that fit in memory."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from tuitrain_engine.data.errors import DataError

PIECE_CHARS = 1 << 18
"""A longer plain-text document comes in pieces of about this many characters, cut after a line."""
COMPRESSIONS = (".gz", ".zst")
# fmt: off
TEXT_SUFFIXES = frozenset({
    ".txt", ".text", ".md", ".rst", ".tex", ".html", ".xml", ".csv", ".tsv", ".json", ".yaml", ".yml",
    ".toml", ".py", ".pyi", ".sh", ".c", ".h", ".cc", ".cpp", ".hpp", ".cu", ".rs", ".go", ".java", ".kt",
    ".scala", ".js", ".jsx", ".ts", ".tsx", ".css", ".rb", ".php", ".pl", ".lua", ".r", ".jl", ".hs",
    ".ml", ".swift", ".sql", ".lean", ".f90",
})
# fmt: on
ROW_SUFFIXES = frozenset({".jsonl", ".ndjson", ".parquet"})


class Piece(NamedTuple):
    """Some text of a document: all of it, or with `last` false a part that the next piece continues."""

    text: str
    last: bool
    size: int
    """Bytes of text read for it."""


def suffix(path: Path) -> str:
    """What kind of file it is: the lower-case suffix below any compression."""
    name = Path(path.name.lower())
    return Path(name.stem).suffix if name.suffix in COMPRESSIONS else name.suffix


def read_pieces(path: Path, text_column: str) -> Iterator[Piece]:
    """The documents of a file, in order: one for plain text, one a row for .jsonl and .parquet.

    Raises DataError naming the file (and line or row) for anything that cannot be read as that.
    """
    kind = suffix(path)
    with _explained(path):
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

    NUL is what ends a document for the byte and char tokenizers: text must not be able to.
    """
    text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def row_text(value: object, column: str, where: str) -> str:
    """The text of a row's column; empty for null. Raises DataError when it is something else than text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{where}: {column!r} holds {type(value).__name__}, not text; set data.text_column.")
    return clean(value)


def missing_column(where: str, column: str, known: list[str]) -> DataError:
    """The error for a row or table without the text column."""
    return DataError(f"{where} has no {column!r}: set data.text_column to one of {', '.join(known) or '(none)'}.")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None
    except Exception as error:
        # The compressed formats and Parquet raise types of their own for a damaged file.
        if type(error).__module__.split(".")[0] not in ("zstandard", "zlib", "pyarrow"):
            raise
        raise DataError(f"{path} cannot be read, it seems damaged: {str(error).splitlines()[0]}.") from None


def _open(path: Path) -> IO[bytes]:
    name = path.name.lower()
    if name.endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if name.endswith(".zst"):
        import zstandard

        return io.BufferedReader(zstandard.open(path, "rb"))
    return path.open("rb")


class _Replacements:
    """Error handler of the UTF-8 decoder: U+FFFD for what is not UTF-8, and how many bytes that were."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        self.bytes += error.end - error.start
        return "\ufffd", error.end


_replacements = _Replacements()
codecs.register_error("tuitrain_replace", _replacements)


def _text(path: Path) -> Iterator[Piece]:
    replaced_before = _replacements.bytes
    yield from _decoded(path)
    replaced = _replacements.bytes - replaced_before
    if replaced:
        print(
            f"{path}: {replaced:,} {'byte is' if replaced == 1 else 'bytes are'} not UTF-8, each is read as U+FFFD; "
            "if the text has another encoding, convert it first (iconv -t utf-8).",
            file=sys.stderr,
        )


def _decoded(path: Path) -> Iterator[Piece]:
    with io.TextIOWrapper(_open(path), encoding="utf-8-sig", errors="tuitrain_replace", newline="") as file:
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
        for number, line in enumerate(file, start=1):
            if line.isspace():
                continue
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{where} is not valid JSON: {error}.") from None
            if not isinstance(row, dict):
                raise DataError(f"{where} is not a JSON object.")
            if column not in row:
                raise missing_column(where, column, list(row))
            yield Piece(row_text(row[column], column, where), True, len(line))


def _parquet(path: Path, column: str) -> Iterator[Piece]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as table:
        if column not in table.schema_arrow.names:
            raise missing_column(str(path), column, table.schema_arrow.names)
        row = 0
        for batch in table.iter_batches(batch_size=1024, columns=[column]):
            for value in batch.column(0).to_pylist():
                text = row_text(value, column, f"{path}, row {row}")
                row += 1
                yield Piece(text, True, utf8_size(text))
