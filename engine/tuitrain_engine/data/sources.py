"""Where text comes from: `data.source` as a stream of documents with an identity and a fingerprint."""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Protocol

from tuitrain.config.sections import DataConfig
from tuitrain.config.source import COMPRESSIONS, ROW_SUFFIXES, SHAKESPEARE_BYTES, source_files, suffix
from tuitrain.files import expanded
from tuitrain_engine.data.cache import cache_errors
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.files import Piece, explained, first_characters, naming, read_pieces, utf8_size
from tuitrain_engine.data.hub import HubDataset
from tuitrain_engine.data.reader import DocumentStream, RetryPolicy

SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
_NOT_LIBRARY_CODE = frozenset(
    {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "lib2to3", "encodings", "pydoc_data"}
)


class Source(Protocol):
    """A stream of documents that can be read more than once."""

    name: str
    """A short name for reports."""
    identity: str
    """What was requested; unchanged when the text of it changes."""
    fingerprint: str
    """Changes when the text does, as far as that shows without reading it."""
    size: int | None
    """Bytes of text in all; None when only reading it would show that."""

    def pieces(self) -> Iterator[Piece]:
        """The documents, in a fixed order, in pieces. Raises DataError."""
        ...


class FileSource:
    """Documents from a list of files, in that order."""

    def __init__(self, name: str, identity: str, paths: list[Path], text_column: str) -> None:
        self.name = name
        self._text_column = text_column
        rows = any(suffix(path) in ROW_SUFFIXES for path in paths)
        self.identity = f"{identity}#{text_column}" if rows else identity
        facts = [(path, _stat(path)) for path in paths]
        self._sizes = {path: stat.st_size for path, stat in facts}
        # Names, sizes and times, not contents: a corpus of terabytes must not be read to check that it is unchanged.
        listing = "\n".join(f"{path}\t{stat.st_size}\t{stat.st_mtime_ns}" for path, stat in facts)
        self.fingerprint = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
        opaque = any(path.suffix.lower() in (*COMPRESSIONS, ".parquet") for path in paths)
        self.size = None if opaque else sum(stat.st_size for _, stat in facts)

    def pieces(self) -> Iterator[Piece]:
        for path, size in self._sizes.items():
            yield from read_pieces(path, self._text_column)
            if _stat(path).st_size < size:
                raise DataError(f"{path} became shorter while it was read: start again once it is complete.")


def _stat(path: Path) -> os.stat_result:
    with explained(path):
        return path.stat()


class ShakespeareSource:
    """The tiny Shakespeare text, downloaded once, checked and kept in `downloads`."""

    name = identity = "shakespeare"
    fingerprint = SHAKESPEARE_SHA256
    size: int | None = SHAKESPEARE_BYTES

    def __init__(self, downloads: Path) -> None:
        self._path = downloads / "tinyshakespeare.txt"

    def pieces(self) -> Iterator[Piece]:
        content = self._kept()
        if content is None:
            content = self._download()
            self._keep(content)
        yield Piece(content.decode("utf-8"), True, len(content))

    def _kept(self) -> bytes | None:
        """The copy in the cache; None when there is none, or not of this text."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == SHAKESPEARE_SHA256 else None

    def _keep(self, content: bytes) -> None:
        with cache_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_suffix(f".{os.getpid()}.part")
            partial.write_bytes(content)
            partial.replace(self._path)

    def _download(self) -> bytes:
        try:
            with urllib.request.urlopen(SHAKESPEARE_URL, timeout=30) as response:
                content = response.read(SHAKESPEARE_BYTES + 1)
        except OSError as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise DataError(
                f"The tiny Shakespeare text could not be downloaded ({reason}): without a network, pass a copy of "
                f"{SHAKESPEARE_URL} as data.source=PATH."
            ) from None
        if hashlib.sha256(content).hexdigest() != SHAKESPEARE_SHA256:
            raise DataError(
                f"What {SHAKESPEARE_URL} returned is not the tiny Shakespeare text (wrong SHA-256): "
                "pass a copy of it as data.source=PATH."
            )
        return content


class HuggingFaceSource:
    """Rows of a dataset on the Hugging Face Hub or in a directory, in their own order, once."""

    size: int | None = None

    def __init__(self, data: DataConfig) -> None:
        self.dataset = HubDataset(data.source.removeprefix("hf:"), data.split, data.text_column)
        self.policy = RetryPolicy(data.stall_timeout_s, data.max_retries)
        self.name, self.identity = self.dataset.name, self.dataset.identity
        self.fingerprint = self.dataset.fingerprint

    def pieces(self) -> Iterator[Piece]:
        documents = DocumentStream(self.dataset, self.policy)
        try:
            for document in documents:
                yield Piece(document.text, True, utf8_size(document.text))
        finally:
            documents.close()


class MixedSource:
    """Several sources, their text interleaved so that any beginning of it has them in their shares of bytes."""

    size: int | None = None

    def __init__(self, sources: Sequence[Source], shares: Sequence[float], limit: int | None) -> None:
        """`limit`: characters of each source at most."""
        self._parts, self._limit = list(zip(sources, shares, strict=True)), limit
        self.name = " + ".join(source.name for source in sources)
        self.identity = "\n".join(f"{share:.6f} of {source.identity}" for source, share in self._parts)
        self.fingerprint = "\n".join(source.fingerprint for source in sources)

    def pieces(self) -> Iterator[Piece]:
        """The documents whole, each from the source with the fewest bytes for its share."""
        running = [(share, first_characters(source.pieces(), self._limit)) for source, share in self._parts]
        # Bytes read per share; the number orders equal ones.
        queue = [(0.0, number) for number in range(len(running))]
        while queue:
            read, number = heappop(queue)
            share, pieces = running[number]
            for piece in pieces:
                yield piece
                read += piece.size / share
                if piece.last:
                    heappush(queue, (read, number))
                    break


def make_source(data: DataConfig, downloads: Path) -> Source:
    """The source that `data.source` names; raises DataError when there is no such file, or none with text."""
    spec = data.source
    if spec == "stdlib":
        return stdlib_source()
    if spec == "shakespeare":
        return ShakespeareSource(downloads)
    if spec.startswith("hf:"):
        return HuggingFaceSource(data)
    with naming("data.source", spec):
        paths, absolute = source_files(spec), expanded(spec).absolute()
    return FileSource(absolute.name or str(absolute), f"files:{absolute}", paths, data.text_column)


def stdlib_source() -> FileSource:
    """The source code of the running Python's standard library, one document a module; no tests, no tables."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in sorted(root.rglob("*.py")) if _NOT_LIBRARY_CODE.isdisjoint(path.relative_to(root).parts)]
    if not paths:
        raise DataError(
            f"data.source = 'stdlib': this Python has no library sources in {root}; pass text as data.source=PATH."
        )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return FileSource("stdlib", f"stdlib:{version}:{root}", paths, "text")
