"""Which files are text: a rule of the launcher and the engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

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


def suffix(path: Path) -> str:
    """The kind of a file: its lower-case suffix without that of a compression."""
    name = Path(path.name.lower())
    return Path(name.stem).suffix if name.suffix in COMPRESSIONS else name.suffix


def text_files(root: Path) -> Iterator[Path]:
    """The files of a known kind below a directory, hidden ones left out, in no order.

    Raises OSError for a directory below it that cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    for parent, directories, names in os.walk(root, onerror=fail):
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and suffix(path) in TEXT_SUFFIXES | ROW_SUFFIXES and path.is_file():
                yield path
