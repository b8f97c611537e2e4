"""Checks of a run's data that need little reading: it exists, is text, and is enough for one sequence."""

from __future__ import annotations

import codecs
import glob
import itertools
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tuitrain.config import RunConfig
from tuitrain.config.corpus import COMPRESSIONS, KINDS, ROW_SUFFIXES, suffix, text_files
from tuitrain.config.errors import nearest, quoted
from tuitrain.config.source import source_path
from tuitrain.files import expanded, open_regular, path_kind, read_regular, shortened
from tuitrain.launch.errors import LaunchError

MOST_FILES = 10_000
"""The sizes of more text files than this are not added up, so that a launch does not wait for it."""
_HEAD_BYTES = 1 << 20
_MOST_TOKENIZER_BYTES = 1 << 29
TOKENIZERS = "byte, char, sentencepiece:N, hf:NAME, a SentencePiece .model or a Hugging Face tokenizer.json"
_SHAKESPEARE_BYTES = 1_115_394
_MAGIC = {".gz": (b"\x1f\x8b",), ".zst": (b"\x28\xb5\x2f\xfd", *(bytes([n]) + b"\x2a\x4d\x18" for n in range(80, 96)))}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?(:\S+)?", re.ASCII)


class _DataError(Exception):
    """What is wrong with a source: the end of a sentence that begins with the source."""

    def __init__(self, problem: str, exit_code: int = 2) -> None:
        super().__init__(problem)
        self.exit_code = exit_code


def check_data(config: RunConfig) -> None:
    """Raise LaunchError for data that is missing, unreadable, of another kind, or certainly too little."""
    for source in config.data.shares:
        key = "data.source" if config.data.mixture is None else "data.mixture"
        where = f"{key}{' =' if key == 'data.source' else ':'} {quoted(source)}"
        try:
            _check_source(config, source)
        except _DataError as error:
            raise LaunchError(f"{where}{error}.", error.exit_code, key) from None
        except OSError as error:
            path = f"{shortened(str(error.filename))}: " if error.filename else ""
            raise LaunchError(f"{where} cannot be read: {path}{error.strerror}.", key=key) from None


def _check_source(config: RunConfig, source: str) -> None:
    name = source_path(source)
    if name is None:
        if source.startswith("hf:") and not _HUB_NAME.fullmatch(source.removeprefix("hf:")):
            raise _DataError(" is not a name on the Hub: write hf:NAME or hf:OWNER/NAME, :CONFIG after it")
        if source == "shakespeare":
            _check_size(config, [_SHAKESPEARE_BYTES])
        return
    path, kind = name.path.absolute(), path_kind(name.path)
    if kind == "other":
        raise _DataError(" is neither a file nor a directory")
    if name.prefix and kind != "directory":
        raise _DataError(": is a file, not a directory") if kind else _DataError(": no such directory", 3)
    if name.prefix == "bin:":
        _check_bins(config, path)
    elif name.prefix == "hf:":
        with os.scandir(path) as entries:
            if next(entries, None) is None:
                raise _DataError(": the directory is empty")
    else:
        _check_files(config, _files(path, kind, source))


def _files(path: Path, kind: str | None, source: str) -> list[Path]:
    """The files of a source, at most one more than MOST_FILES."""
    if kind == "file":
        return [path]
    if kind == "directory":
        paths = sorted(itertools.islice(text_files(path), MOST_FILES + 1))
        if not paths:
            raise _DataError(f": no file below that directory is of a known kind ({KINDS})")
        return paths
    if glob.has_magic(source):
        pattern = str(path.relative_to(path.anchor))
        try:
            matches = itertools.islice(Path(path.anchor).glob(pattern), MOST_FILES + 1)
            paths = sorted(path for path in matches if path.is_file())
        except (ValueError, NotImplementedError) as error:
            raise _DataError(f" is not a usable pattern: {error}") from None
        if paths:
            return paths
    raise _DataError(": no such file or directory, and no file matches it", 3)


def _check_files(config: RunConfig, paths: Sequence[Path]) -> None:
    _check_head(paths[0], config.data.text_column)
    if len(paths) > MOST_FILES:
        return
    sizes = [path.stat().st_size for path in paths]
    if not any(sizes):
        raise _DataError(" is empty" if len(paths) == 1 else ": all its files are empty")
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
        raise _DataError(f": {path} is not a {end} file")
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
        raise _DataError(f": {path} is not UTF-8 text (it contains NUL characters)")
    else:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError as error:
            bad = f"byte 0x{head[error.start]:02x} at {error.start:,}"
            raise _DataError(f": {path} is not UTF-8 text ({bad}): convert it (iconv -t utf-8)") from None


def _check_row(line: bytes, column: str, position: str) -> None:
    try:
        row = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"), type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        # The engine reads numbers that msgspec refuses; only a line that is no object at all is an error.
        if line.lstrip()[:1] != b"{":
            raise _DataError(f": {position} is not a JSON object") from None
        return
    _check_columns(list(row), column, position)


def _parquet_columns(path: Path) -> list[str]:
    # Imported only for such files: pyarrow takes long to load.
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        names: list[str] = read_schema(path).names
    except (ArrowException, OSError) as error:
        raise _DataError(f": {path} is damaged or cut: {str(error).splitlines()[0]}") from None
    return names


def _check_columns(columns: list[str], column: str, position: str) -> None:
    if column not in columns:
        names = shortened(", ".join(columns) or "(none)")
        raise _DataError(f": {position} has no {column!r}: set data.text_column to one of {names}")


def _check_bins(config: RunConfig, directory: Path) -> None:
    data, width = config.data, 4 if config.data.bin_dtype == "uint32" else 2
    tokens: dict[str, int] = {}
    for name in ("train.bin", "val.bin"):
        path = directory / name
        if path_kind(path) is None and name == "val.bin":
            continue
        if path_kind(path) is None:
            raise _DataError(f": {path} does not exist; bin:DIR takes a directory with a train.bin", 3)
        with open_regular(path):
            size = path.stat().st_size
        if size == 0 or size % width:
            raise _DataError(
                f": {path} is not a file of {data.bin_dtype} ids: its size is {size:,} bytes; data.bin_dtype sets "
                "another type"
            )
        tokens[name] = size // width
    train = tokens["train.bin"]
    held_out = tokens.get("val.bin", train - int(train * (1 - data.val_fraction)))
    if "val.bin" not in tokens:
        train -= held_out
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
    tail = total - int(total * (1 - data.val_fraction))
    largest = sum(sorted(tokens, reverse=True)[:documents])
    if rows:
        _check_tokens(config, total, total)
    elif documents:
        _check_tokens(config, total, max(tail, largest))
    else:
        _check_tokens(config, total - tail, tail)


def _check_tokens(config: RunConfig, train: int, held_out: int, *, exact: bool = False) -> None:
    needed = config.model.seq_len + 1
    for split, tokens in (("training", train), ("held-out", held_out)):
        if tokens < needed:
            remedy = "" if split == "training" else "raise data.val_fraction, "
            raise _DataError(
                f": the {split} split has {'' if exact else 'at most '}{tokens:,} tokens, too few for one sequence "
                f"(model.seq_len = {config.model.seq_len:,}): {remedy}lower model.seq_len or use more text"
            )


def check_tokenizer(name: str) -> None:
    """Raise LaunchError for a tokenizer that is unknown, missing, or no tokenizer."""
    if name in ("byte", "char") or name.startswith("sentencepiece:"):
        return
    where = f"data.tokenizer = {quoted(name)}"
    try:
        if not name.startswith("hf:"):
            _check_tokenizer_file(expanded(name), name)
        elif not _HUB_NAME.fullmatch(name.removeprefix("hf:")):
            raise _DataError(" is not a name on the Hub: write hf:OWNER/NAME.")
    except _DataError as error:
        raise LaunchError(f"{where}{error}", error.exit_code, "data.tokenizer") from None
    except OSError as error:
        raise LaunchError(f"{where} cannot be read: {error.strerror}.", key="data.tokenizer") from None


def _check_tokenizer_file(path: Path, name: str) -> None:
    if path_kind(path) == "directory":
        saved = path / "tokenizer_info.json"
        path = saved if path_kind(saved) else path / "tokenizer.json"
    known_suffix = path.suffix in (".model", ".json")
    if path_kind(path) is None and (known_suffix or "/" in name):
        raise _DataError(f": {shortened(str(path))} does not exist. It takes {TOKENIZERS}.", 3)
    if path_kind(path) is None or not known_suffix:
        raise _DataError(f" is none of {TOKENIZERS}.{_tokenizer_hint(name)}")
    data = read_regular(path, _MOST_TOKENIZER_BYTES)
    tree: dict[str, Any] = {}
    with suppress(ValueError, RecursionError):
        tree = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    if path.suffix == ".json" and not tree.keys() & {"model", "kind"}:
        raise _DataError(f": {path} is not a Hugging Face tokenizer.json.")
    if not data:
        raise _DataError(f": {path} is empty.")


def _tokenizer_hint(name: str) -> str:
    word, _, size = name.partition(":")
    match = nearest(word, ("byte", "char", "sentencepiece", "hf"))
    if match == "sentencepiece":
        match = f"sentencepiece:{size or 32000}"
    elif match == "hf":
        match = f"hf:{size}" if size else None
    return f" Did you mean {match!r}?" if match else ""
