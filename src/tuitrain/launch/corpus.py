"""What can be seen of a run's data without reading it: that it is there, is text, and is enough for a sequence."""

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
from tuitrain.config.sections import DataConfig
from tuitrain.config.source import source_path
from tuitrain.files import expanded, open_regular, path_kind, read_regular, shortened
from tuitrain.launch.errors import LaunchError

MOST_FILES = 10_000
"""Of a directory with more text files than this the size is not added up: a launch must not wait for it."""
_HEAD_BYTES = 1 << 20
_MOST_TOKENIZER_BYTES = 1 << 29
TOKENIZERS = "byte, char, sentencepiece:N, hf:NAME, a SentencePiece .model or a Hugging Face tokenizer.json"
_SHAKESPEARE_BYTES = 1_115_394
_MAGIC = {".gz": (b"\x1f\x8b",), ".zst": (b"\x28\xb5\x2f\xfd", *(bytes([n]) + b"\x2a\x4d\x18" for n in range(80, 96)))}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?(:\S+)?", re.ASCII)


def check_data(config: RunConfig) -> None:
    """Raise LaunchError for data that is missing, unreadable, of another kind, or proves to be too little."""
    for source in config.data.shares:
        where = f"data.source = {quoted(source)}" if config.data.mixture is None else f"data.mixture: {quoted(source)}"
        try:
            _check_source(config, source, where)
        except OSError as error:
            name = f"{shortened(str(error.filename))}: " if error.filename else ""
            raise LaunchError(f"{where} cannot be read: {name}{error.strerror}.") from None


def _check_source(config: RunConfig, source: str, where: str) -> None:
    found = source_path(source)
    if found is None:
        if source.startswith("hf:") and not _HUB_NAME.fullmatch(source.removeprefix("hf:")):
            raise LaunchError(f"{where} is not a name on the Hub: write hf:NAME or hf:OWNER/NAME, :CONFIG after it.")
        if source == "shakespeare":
            _check_size(config, [_SHAKESPEARE_BYTES], where)
        return
    path, kind = found.path.absolute(), path_kind(found.path)
    if kind == "other":
        raise LaunchError(f"{where} is neither a file nor a directory.")
    if found.prefix and kind != "directory":
        missing = "is a file, not a directory" if kind else "no such directory"
        raise LaunchError(f"{where}: {missing}.", exit_code=2 if kind else 3)
    if found.prefix == "bin:":
        _check_bins(config, path, where)
    elif found.prefix == "hf:":
        with os.scandir(path) as entries:
            if next(entries, None) is None:
                raise LaunchError(f"{where}: the directory is empty.")
    else:
        _check_files(config, _files(path, kind, source, where), where)


def _files(path: Path, kind: str | None, source: str, where: str) -> list[Path]:
    """The files of a source, of a large directory only some."""
    if kind == "file":
        return [path]
    if kind == "directory":
        paths = sorted(itertools.islice(text_files(path), MOST_FILES + 1))
        if not paths:
            raise LaunchError(f"{where}: no file below that directory is of a known kind ({KINDS}).")
        return paths
    if glob.has_magic(source):
        pattern = str(path.relative_to(path.anchor))
        try:
            matches = itertools.islice(Path(path.anchor).glob(pattern), MOST_FILES + 1)
            paths = sorted(path for path in matches if path.is_file())
        except (ValueError, NotImplementedError) as error:
            raise LaunchError(f"{where} is not a usable pattern: {error}.") from None
        if paths:
            return paths
    raise LaunchError(f"{where}: no such file or directory, and no file matches it.", exit_code=3)


def _check_files(config: RunConfig, paths: Sequence[Path], where: str) -> None:
    for path in paths[:1]:
        _check_head(path, config.data.text_column, where)
    if len(paths) > MOST_FILES:
        return
    sizes = [path.stat().st_size for path in paths]
    if not any(sizes):
        raise LaunchError(f"{where} is empty." if len(paths) == 1 else f"{where}: all its files are empty.")
    packed = any(path.suffix.lower() in COMPRESSIONS or suffix(path) == ".parquet" for path in paths)
    if packed:
        return
    rows = any(suffix(path) in ROW_SUFFIXES for path in paths)
    # How long the rows are is not known: together they are not longer than their files.
    _check_size(config, [sum(sizes)] if rows else sizes, where, rows=rows)


def _check_head(path: Path, column: str, where: str) -> None:
    """Whether a file begins as its kind does."""
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES) or b""
    end = path.suffix.lower()
    kind = suffix(path)
    if head and end in _MAGIC and not head.startswith(_MAGIC[end]):
        raise LaunchError(f"{where}: {path} is not a {end} file.")
    if kind == ".parquet":
        _check_columns(_parquet_columns(path, where), column, str(path), where)
    elif end in COMPRESSIONS:
        return
    elif kind in ROW_SUFFIXES:
        lines = head.splitlines(keepends=True)
        first = next(((number, line) for number, line in enumerate(lines, 1) if not line.isspace()), None)
        if first is not None and first[1].endswith(b"\n"):
            _check_row(first[1], column, f"{path}:{first[0]}", where)
    elif b"\0" in head[:4096]:
        raise LaunchError(f"{where}: {path} is not UTF-8 text (it contains NUL characters).")
    else:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError as error:
            bad = f"byte 0x{head[error.start]:02x} at {error.start:,}"
            raise LaunchError(f"{where}: {path} is not UTF-8 text ({bad}): convert it (iconv -t utf-8).") from None


def _check_row(line: bytes, column: str, place: str, where: str) -> None:
    try:
        row = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"), type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        # The engine reads numbers that this does not; only what is no object at all is none.
        if line.lstrip()[:1] != b"{":
            raise LaunchError(f"{where}: {place} is not a JSON object.") from None
        return
    _check_columns(list(row), column, place, where)


def _parquet_columns(path: Path, where: str) -> list[str]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        names: list[str] = read_schema(path).names
    except (ArrowException, OSError) as error:
        raise LaunchError(f"{where}: {path} is damaged or cut: {str(error).splitlines()[0]}.") from None
    return names


def _check_columns(known: list[str], column: str, place: str, where: str) -> None:
    if column not in known:
        names = shortened(", ".join(known) or "(none)")
        raise LaunchError(f"{where}: {place} has no {column!r}: set data.text_column to one of {names}.")


def _check_bins(config: RunConfig, directory: Path, where: str) -> None:
    width = 4 if config.data.bin_dtype == "uint32" else 2
    sizes: dict[str, int] = {}
    for name in ("train.bin", "val.bin"):
        path = directory / name
        kind = path_kind(path)
        if kind is None and name == "val.bin":
            continue
        if kind is None:
            raise LaunchError(f"{where}: {path} does not exist; bin:DIR takes a directory with a train.bin.", 3)
        with open_regular(path):
            size = path.stat().st_size
        if size == 0 or size % width:
            raise LaunchError(
                f"{where}: {path} is not a file of {config.data.bin_dtype} ids: its size is {size:,} bytes; "
                "data.bin_dtype sets another type."
            )
        sizes[name] = size // width
    train = sizes["train.bin"]
    held = sizes.get("val.bin", train - int(train * (1 - config.data.val_fraction)))
    if "val.bin" not in sizes:
        train -= held
    _require(config, min(train, config.data.max_tokens or train), held, where, exact=True)


def _check_size(config: RunConfig, sizes: Sequence[int], where: str, *, rows: bool = False) -> None:
    """Raise LaunchError if documents of so many bytes cannot hold a training and a held-out sequence.

    `rows`: `sizes` is the one size of all of them. Only for tokenizers that make at most a token of a byte.
    """
    data = config.data
    if data.packing != "packed" or not _at_most_a_token_a_byte(data):
        return
    # And a token that ends each document; a row is never shorter than `{"":""}` and its newline, so it has paid for it.
    tokens = sizes if rows else [size + 1 for size in sizes]
    total = min(sum(tokens), data.max_tokens or sum(tokens))
    documents = int(len(sizes) * data.val_fraction)
    tail = total - int(total * (1 - data.val_fraction))
    largest = sum(sorted(tokens, reverse=True)[:documents])
    if rows:
        _require(config, total, total, where)
    elif documents:
        _require(config, total, max(tail, largest), where)
    else:
        _require(config, total - tail, tail, where)


def _at_most_a_token_a_byte(data: DataConfig) -> bool:
    return data.tokenizer in ("byte", "char") or data.tokenizer.startswith("sentencepiece:")


def _require(config: RunConfig, train: int, held: int, where: str, *, exact: bool = False) -> None:
    needed = config.model.seq_len + 1
    for which, tokens in (("training", train), ("held-out", held)):
        if tokens < needed:
            remedy = "" if which == "training" else "raise data.val_fraction, "
            raise LaunchError(
                f"{where}: the {which} split has {'' if exact else 'at most '}{tokens:,} tokens, too few for one "
                f"sequence (model.seq_len = {config.model.seq_len:,}): {remedy}lower model.seq_len or use more text."
            )


def check_tokenizer(name: str) -> None:
    """Raise LaunchError for a tokenizer that is unknown, missing, or no tokenizer."""
    if name in ("byte", "char") or name.startswith("sentencepiece:"):
        return
    if name.startswith("hf:"):
        if not _HUB_NAME.fullmatch(name.removeprefix("hf:")):
            raise LaunchError(f"data.tokenizer = {quoted(name)} is not a name on the Hub: write hf:OWNER/NAME.")
        return
    try:
        _check_tokenizer_file(expanded(name), name)
    except OSError as error:
        raise LaunchError(f"data.tokenizer = {quoted(name)} cannot be read: {error.strerror}.") from None


def _check_tokenizer_file(path: Path, name: str) -> None:
    """Raises LaunchError, or OSError where it cannot be opened."""
    if path_kind(path) == "directory":
        saved = path / "tokenizer_info.json"
        path = saved if path_kind(saved) else path / "tokenizer.json"
    of_a_kind = path.suffix in (".model", ".json")
    if path_kind(path) is None and (of_a_kind or "/" in name):
        missing = shortened(str(path))
        raise LaunchError(f"data.tokenizer = {quoted(name)}: {missing} does not exist. It takes {TOKENIZERS}.", 3)
    if path_kind(path) is None or not of_a_kind:
        raise LaunchError(f"data.tokenizer = {quoted(name)} is none of {TOKENIZERS}.{_meant_tokenizer(name)}")
    data = read_regular(path, _MOST_TOKENIZER_BYTES)
    tree: dict[str, Any] = {}
    with suppress(ValueError, RecursionError):
        tree = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    if path.suffix == ".json" and not tree.keys() & {"model", "kind"}:
        raise LaunchError(f"data.tokenizer = {quoted(name)}: {path} is not a Hugging Face tokenizer.json.")
    if not data:
        raise LaunchError(f"data.tokenizer = {quoted(name)}: {path} is empty.")


def _meant_tokenizer(name: str) -> str:
    word, _, size = name.partition(":")
    match nearest(word, ("byte", "char", "sentencepiece", "hf")):
        case "sentencepiece":
            meant = f"sentencepiece:{size or 32000}"
        case "hf" if size:
            meant = f"hf:{size}"
        case "byte" | "char" as known:
            meant = known
        case _:
            return ""
    return f" Did you mean {meant!r}?"
