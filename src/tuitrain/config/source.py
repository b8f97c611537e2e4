"""Data sources and tokenizers that are files on this machine: rules that the launcher and the engine share."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tuitrain.config.errors import nearest, suggest
from tuitrain.files import expanded, path_kind, shortened

SHAKESPEARE_BYTES = 1_115_394
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
KINDS = ".txt, .md, .py …, .jsonl, .parquet, or these with .gz or .zst"
TOKENIZERS = "byte, char, sentencepiece:N, hf:NAME, a SentencePiece .model or a Hugging Face tokenizer.json"
TOKENIZER_INFO, HUGGINGFACE_FILE = "tokenizer_info.json", "tokenizer.json"


class SourceError(ValueError):
    """A source or tokenizer that cannot be used. The message continues a sentence that begins with the key and value.

    missing: whether the reason is that nothing exists at its path.
    """

    def __init__(self, problem: str, *, missing: bool = False) -> None:
        super().__init__(problem)
        self.missing = missing


def problem_text(error: SourceError | OSError) -> str:
    """The end of a sentence that begins with the key and its value."""
    if isinstance(error, SourceError):
        return str(error)
    path = f"{shortened(str(error.filename))}: " if error.filename else ""
    return f" cannot be read: {path}{error.strerror}."


class SourcePath(NamedTuple):
    """A path, with the parts of the source's name before and after it."""

    prefix: str
    path: Path
    suffix: str = ""


def source_path(source: str) -> SourcePath | None:
    """The path that `data.source` (or a source of a mixture) names, `~` expanded; None where it names none.

    After `hf:` comes NAME[:CONFIG] of a dataset on the Hub, or DIR[:CONFIG] if it begins with `/`, `.` or `~`.
    Raises FileNotFoundError where there is no such home directory.
    """
    if source in ("stdlib", "shakespeare", "mixture"):
        return None
    prefix = next((known for known in ("bin:", "hf:") if source.startswith(known)), "")
    name = source.removeprefix(prefix)
    if prefix == "hf:":
        directory, colon, config = name.partition(":")
        local = name.startswith(("/", ".", "~"))
        return SourcePath(prefix, expanded(directory), colon + config) if local else None
    return SourcePath(prefix, expanded(name))


def suffix(path: Path) -> str:
    """The kind of a file: its lower-case suffix without that of a compression."""
    name = Path(path.name.lower())
    return Path(name.stem).suffix if name.suffix in COMPRESSIONS else name.suffix


def source_files(source: str, most: int | None = None) -> list[Path]:
    """The files of a source that is a file, a directory or a glob, sorted; None: all, else at most `most`.

    Raises SourceError where there are none, OSError for a directory that cannot be read.
    """
    path = expanded(source).absolute()
    kind = path_kind(path)
    if kind == "file":
        return [path]
    if kind == "other":
        raise SourceError(" is neither a file nor a directory.")
    if kind == "directory":
        files = sorted(itertools.islice(_text_files(path), most))
        if not files:
            raise SourceError(f": no file below that directory is of a known kind ({KINDS}); a glob names others.")
        return files
    if not glob.has_magic(source):
        raise SourceError(
            ": no such file or directory; other sources are stdlib, shakespeare, a glob, bin:DIR, hf:NAME[:CONFIG] and "
            f"mixture.{suggest(source, ['stdlib', 'shakespeare'])}",
            missing=True,
        )
    try:
        matches = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        files = sorted(itertools.islice((match for match in matches if match.is_file()), most))
    except (ValueError, NotImplementedError) as error:
        raise SourceError(f" is not a usable pattern: {error}.") from None
    if not files:
        raise SourceError(": no file matches it.", missing=True)
    return files


def _text_files(root: Path) -> Iterator[Path]:
    """The files of a known kind below a directory, hidden ones left out, in no order. Raises OSError."""

    def fail(error: OSError) -> None:
        raise error

    for parent, directories, names in os.walk(root, onerror=fail):
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and suffix(path) in TEXT_SUFFIXES | ROW_SUFFIXES and path.is_file():
                yield path


def bin_files(directory: Path, dtype: str) -> dict[Path, int]:
    """nanoGPT's train.bin and, if it exists, val.bin, each with its number of ids. Raises SourceError, OSError."""
    files: dict[Path, int] = {}
    for path in (directory / "train.bin", directory / "val.bin"):
        kind = path_kind(path)
        if kind is None and files:
            break
        if kind != "file":
            state = "does not exist" if kind is None else "is not a file"
            raise SourceError(f": {path} {state}; bin:DIR is a directory with a train.bin.", missing=kind is None)
        size, id_bytes = path.stat().st_size, 4 if dtype == "uint32" else 2
        if size == 0 or size % id_bytes:
            raise SourceError(
                f": {path} is not a file of {dtype} ids: its size is {size:,} bytes; data.bin_dtype sets another type."
            )
        files[path] = size // id_bytes
    return files


def without_tail(tokens: int, val_fraction: float) -> int:
    """The tokens that remain for training where the last `val_fraction` of a stream is held out."""
    return int(tokens * (1 - val_fraction))


def too_few_tokens(split: str, tokens: str, seq_len: int, held_out_by: str = "data.val_fraction") -> str:
    """The problem of a split, `training` or `held-out`, that has no whole sequence. tokens: their number, as text."""
    remedy = "" if split == "training" else f"raise {held_out_by}, "
    return (
        f": the {split} split has {tokens} tokens, too few for one sequence (model.seq_len = {seq_len:,}): {remedy}"
        "lower model.seq_len or use more text."
    )


def missing_column(where: str, column: str, columns: Iterable[str]) -> str:
    """The sentence on rows or a table without the text column."""
    return f"{where} has no {column!r}: set data.text_column to one of {shortened(', '.join(columns) or '(none)')}."


def tokenizer_file(name: str) -> Path:
    """The file of a tokenizer that is named by its path: a .model, a .json, or one of these in a directory.

    Of a directory its tokenizer_info.json, as tuitrain writes it, else its tokenizer.json. Raises SourceError, OSError.
    """
    path = expanded(name).absolute()
    if path_kind(path) == "directory":
        info = path / TOKENIZER_INFO
        path = info if path_kind(info) else path / HUGGINGFACE_FILE
    kind, known_suffix = path_kind(path), path.suffix in (".model", ".json")
    if kind is None and (known_suffix or "/" in name):
        raise SourceError(f": {shortened(str(path))} does not exist. It takes {TOKENIZERS}.", missing=True)
    if kind != "file" or not known_suffix:
        raise SourceError(f" is none of {TOKENIZERS}.{_tokenizer_hint(name)}")
    return path


def _tokenizer_hint(name: str) -> str:
    word, _, argument = name.partition(":")
    match = nearest(word, ("byte", "char", "sentencepiece", "hf"))
    if match == "sentencepiece":
        match = f"sentencepiece:{argument or 32000}"
    elif match == "hf":
        match = f"hf:{argument}" if argument else None
    return f" Did you mean {match!r}?" if match else ""
