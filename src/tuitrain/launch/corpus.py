"""Checks of a run's data that need little reading: it exists, is text, and is enough for one sequence."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tuitrain.config import RunConfig
from tuitrain.config.errors import quoted
from tuitrain.config.source import (
    COMPRESSIONS,
    ROW_SUFFIXES,
    SHAKESPEARE_BYTES,
    SourceError,
    bin_files,
    missing_column,
    problem_text,
    source_files,
    source_path,
    suffix,
    tokenizer_file,
    too_few_tokens,
    without_tail,
)
from tuitrain.files import open_regular, path_kind, read_regular
from tuitrain.launch.errors import LaunchError

MOST_FILES = 10_000
"""The sizes of more text files than this are not added up, so that a launch does not wait for it."""
_HEAD_BYTES = 1 << 20
_MOST_TOKENIZER_BYTES = 1 << 29
_MAGIC = {".gz": (b"\x1f\x8b",), ".zst": (b"\x28\xb5\x2f\xfd", *(bytes([n]) + b"\x2a\x4d\x18" for n in range(80, 96)))}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?(:\S+)?", re.ASCII)


def check_data(config: RunConfig) -> None:
    """Raise LaunchError for data that is missing, unreadable, of another kind, or certainly too little."""
    for source in config.data.shares:
        key = "data.source" if config.data.mixture is None else "data.mixture"
        where = f"{key}{' =' if key == 'data.source' else ':'} {quoted(source)}"
        try:
            _check_source(config, source)
        except (SourceError, OSError) as error:
            raise _launch_error(error, where, key) from None


def _launch_error(error: SourceError | OSError, where: str, key: str) -> LaunchError:
    missing = isinstance(error, SourceError) and error.missing
    return LaunchError(f"{where}{problem_text(error)}", 3 if missing else 2, key)


def _check_source(config: RunConfig, source: str) -> None:
    name = source_path(source)
    if name is None:
        if source.startswith("hf:") and not _HUB_NAME.fullmatch(source.removeprefix("hf:")):
            raise SourceError(" is not a name on the Hub: write hf:NAME or hf:OWNER/NAME, :CONFIG after it.")
        if source == "shakespeare":
            _check_size(config, [SHAKESPEARE_BYTES])
        return
    if not name.prefix:
        _check_files(config, source_files(source, MOST_FILES + 1))
        return
    kind = path_kind(name.path)
    if kind != "directory":
        raise (
            SourceError(": it is a file, not a directory.")
            if kind
            else SourceError(": no such directory.", missing=True)
        )
    if name.prefix == "bin:":
        _check_bins(config, name.path.absolute())
        return
    with os.scandir(name.path) as entries:
        if next(entries, None) is None:
            raise SourceError(": the directory is empty.")


def _check_files(config: RunConfig, paths: Sequence[Path]) -> None:
    _check_head(paths[0], config.data.text_column)
    if len(paths) > MOST_FILES:
        return
    sizes = [path.stat().st_size for path in paths]
    if not any(sizes):
        raise SourceError(" is empty." if len(paths) == 1 else ": all its files are empty.")
    if any(path.suffix.lower() in COMPRESSIONS or suffix(path) == ".parquet" for path in paths):
        return
    rows = any(suffix(path) in ROW_SUFFIXES for path in paths)
    # The lengths of rows are unknown; their sum is at most the size of the files.
    _check_size(config, [sum(sizes)] if rows else sizes, rows=rows)


def _check_head(path: Path, column: str) -> None:
    """Check that a file begins as its kind does."""
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES) or b""
    end, kind = path.suffix.lower(), suffix(path)
    if head and end in _MAGIC and not head.startswith(_MAGIC[end]):
        raise SourceError(f": {path} is not a {end} file.")
    if kind == ".parquet":
        _check_columns(_parquet_columns(path), column, str(path))
    elif end in COMPRESSIONS:
        return
    elif kind in ROW_SUFFIXES:
        lines = enumerate(head.splitlines(keepends=True), 1)
        number, line = next(((number, line) for number, line in lines if not line.isspace()), (0, b""))
        if line.endswith(b"\n"):
            _check_row(line, column, f"{path}:{number}")
    elif b"\0" in head[:4096]:
        raise SourceError(f": {path} is not UTF-8 text (it contains NUL characters).")
    else:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError as error:
            bad = f"byte 0x{head[error.start]:02x} at {error.start:,}"
            raise SourceError(f": {path} is not UTF-8 text ({bad}): convert it (iconv -t utf-8).") from None


def _check_row(line: bytes, column: str, position: str) -> None:
    try:
        row = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"), type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        # The engine reads numbers that msgspec refuses; only a line that is no object at all is an error.
        if line.lstrip()[:1] != b"{":
            raise SourceError(f": {position} is not a JSON object.") from None
        return
    _check_columns(list(row), column, position)


def _parquet_columns(path: Path) -> list[str]:
    # Imported only for such files: pyarrow takes long to load.
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        names: list[str] = read_schema(path).names
    except (ArrowException, OSError) as error:
        raise SourceError(f": {path} is damaged or cut: {str(error).splitlines()[0]}.") from None
    return names


def _check_columns(columns: list[str], column: str, position: str) -> None:
    if column not in columns:
        raise SourceError(f": {missing_column(position, column, columns)}")


def _check_bins(config: RunConfig, directory: Path) -> None:
    data = config.data
    files = bin_files(directory, data.bin_dtype)
    for path in files:
        open_regular(path).close()
    train, *others = files.values()
    if others:
        held_out = others[0]
    else:
        kept = without_tail(train, data.val_fraction)
        train, held_out = kept, train - kept
    _check_tokens(config, min(train, data.max_tokens or train), held_out, exact=True)


def _check_size(config: RunConfig, sizes: Sequence[int], *, rows: bool = False) -> None:
    """Check that documents of these sizes in bytes can hold a training and a held-out sequence.

    Only for tokenizers that make at most one token of a byte. rows: `sizes` is the one size of all rows together.
    """
    data = config.data
    byte_or_more = data.tokenizer in ("byte", "char") or data.tokenizer.startswith("sentencepiece:")
    if data.packing != "packed" or not byte_or_more:
        return
    # Each document has one more token, its end; a row is at least `{"":""}` and a newline, which counts for it.
    tokens = sizes if rows else [size + 1 for size in sizes]
    total = min(sum(tokens), data.max_tokens or sum(tokens))
    documents = int(len(sizes) * data.val_fraction)
    train = without_tail(total, data.val_fraction)
    largest = sum(sorted(tokens, reverse=True)[:documents])
    if rows:
        _check_tokens(config, total, total)
    elif documents:
        _check_tokens(config, total, max(total - train, largest))
    else:
        # A text is cut by its bytes: the ends of documents may fall on either side.
        ends, tail = len(sizes), sum(tokens) - without_tail(sum(tokens), data.val_fraction)
        _check_tokens(config, train + ends, tail + ends)


def _check_tokens(config: RunConfig, train: int, held_out: int, *, exact: bool = False) -> None:
    seq_len = config.model.seq_len
    for split, tokens in (("training", train), ("held-out", held_out)):
        if tokens <= seq_len:
            raise SourceError(too_few_tokens(split, f"{'' if exact else 'at most '}{tokens:,}", seq_len))


def check_tokenizer(name: str) -> None:
    """Raise LaunchError for a tokenizer that is unknown, missing, or no tokenizer."""
    if name in ("byte", "char") or name.startswith("sentencepiece:"):
        return
    try:
        if not name.startswith("hf:"):
            _check_tokenizer_file(tokenizer_file(name))
        elif not _HUB_NAME.fullmatch(name.removeprefix("hf:")):
            raise SourceError(" is not a name on the Hub: write hf:OWNER/NAME.")
    except (SourceError, OSError) as error:
        raise _launch_error(error, f"data.tokenizer = {quoted(name)}", "data.tokenizer") from None


def _check_tokenizer_file(path: Path) -> None:
    data = read_regular(path, _MOST_TOKENIZER_BYTES)
    tree: dict[str, Any] = {}
    with suppress(ValueError, RecursionError):
        tree = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    if path.suffix == ".json" and not tree.keys() & {"model", "kind"}:
        raise SourceError(f": {path} is not a Hugging Face tokenizer.json.")
    if not data:
        raise SourceError(f": {path} is empty.")
