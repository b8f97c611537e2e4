"""Token shards: flat binary files of ids, an index of document starts, and the manifest that describes them.

    manifest.json            what it was made from, and the sizes
    train-00000.bin …        ids of the training split, one after the other, uint16 or uint32, little-endian
    train.documents.npy      int64: where each document starts in that stream, and the end of the last one
    val-00000.bin …          the same for the held-out split
    tokenizer/               the tokenizer that made them

With fewer documents than it takes to hold whole ones out, both splits are ranges of the `train` stream.
"""

from __future__ import annotations

import hashlib
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import msgspec
import numpy as np

from tuitrain_engine.data.errors import DataError

MANIFEST = "manifest.json"
FORMAT = 2
"""2: special tokens that stand in a text are text; shards have checksums."""
SHARD_TOKENS = 100_000_000
"""Tokens in one shard file."""
CHECKED_BYTES = 1 << 28
"""Shards of so many bytes in all are compared with their checksums when they are opened; of larger ones, the sizes."""
LARGEST_UINT16_VOCABULARY = 1 << 16


class TextDigest:
    """Identifies a text by the bytes of its documents in UTF-8, and counts them."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=8)
        self.bytes = 0

    def add(self, text: str, ends: bool) -> None:
        """Add some text of a document; ends: it is the last of it."""
        content = text.encode()
        self.bytes += len(content)
        self._digest.update(content)
        if ends:
            # No text contains NUL.
            self._digest.update(b"\0")

    def identify(self, part: str = "") -> str:
        """16 hexadecimal digits, other ones for each part of the text."""
        digest = self._digest.copy()
        digest.update(part.encode())
        return digest.hexdigest()


class ShardFile(msgspec.Struct, frozen=True):
    """One file of ids."""

    name: str
    tokens: int
    bytes: int
    crc32: int


class SplitManifest(msgspec.Struct, frozen=True):
    """A split: `tokens` ids from `first_token` on of the stream that the files make up."""

    tokens: int
    documents: int
    first_token: int
    files: list[ShardFile]
    documents_file: str
    documents_crc32: int


class HeldOut(msgspec.Struct, frozen=True):
    """The held-out documents of a stream: those before a position, in the dataset's own order."""

    shard_index: int = msgspec.field(name="place")
    row: int
    shards: int
    """Shards of the dataset when they were held out."""


class Manifest(msgspec.Struct, frozen=True):
    """The contents of a directory of shards, and what it was made from."""

    format: int
    source: str
    source_identity: str
    source_fingerprint: str
    source_bytes: int
    tokenizer: str
    tokenizer_fingerprint: str
    vocab_size: int
    end_of_document: int | None
    dtype: Literal["uint16", "uint32"]
    val_fraction: float
    token_limit: int | None
    created: float
    seconds: float
    splits: dict[str, SplitManifest]
    held_out_text: str | None = None
    """Identifies the text that is held out, whatever the tokenizer: see `TextDigest`. None: unknown."""
    held_out: HeldOut | None = None
    """Of a streamed source, which has only a `val` split here: the documents of it."""


def dtype_for(vocab_size: int) -> Literal["uint16", "uint32"]:
    """The smallest type that holds every id: uint16, or uint32 above 65,536 ids."""
    return "uint16" if vocab_size <= LARGEST_UINT16_VOCABULARY else "uint32"


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write manifest.json, indented."""
    (directory / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of a directory; None when it is missing, of another format, or does not match the files."""
    try:
        manifest = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
        return manifest if manifest.format == FORMAT and _is_true(directory, manifest) else None
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def _is_true(directory: Path, manifest: Manifest) -> bool:
    """Whether the files are as the manifest says. Raises OSError."""
    if manifest.splits.keys() != ({"val"} if manifest.held_out else {"train", "val"}):
        return False
    files = {file.name: file for split in manifest.splits.values() for file in split.files}
    compare = sum(file.bytes for file in files.values()) <= CHECKED_BYTES
    for name, file in files.items():
        path, size = directory / name, file.tokens * np.dtype(manifest.dtype).itemsize
        if path.stat().st_size != file.bytes or file.bytes != size or (compare and _crc32(path) != file.crc32):
            return False
    return all(
        0 <= split.first_token <= split.first_token + split.tokens <= sum(file.tokens for file in split.files)
        and _crc32(directory / split.documents_file) == split.documents_crc32
        for split in manifest.splits.values()
    )


def _crc32(path: Path) -> int:
    crc32 = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc32 = zlib.crc32(block, crc32)
    return crc32


class ShardWriter:
    """Appends the ids of one split to numbered files in `directory`."""

    def __init__(self, directory: Path, split: str, dtype: str) -> None:
        self._directory, self._split = directory, split
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._files: list[ShardFile] = []
        self._file: IO[bytes] | None = None
        self._in_file = self._crc32 = 0
        self._starts = array("q")
        self._document_start = 0
        self.tokens = 0

    @property
    def documents(self) -> int:
        """Documents ended so far."""
        return len(self._starts)

    def append(self, ids: np.ndarray) -> None:
        """Add ids (1-D, any integer type, each below 2^16 or 2^32 as the dtype allows) to the current document."""
        while len(ids):
            if self._file is None:
                self._file = (self._directory / self._name(len(self._files))).open("wb")
            part, ids = np.split(ids, [SHARD_TOKENS - self._in_file])
            content = part.astype(self._dtype, copy=False).tobytes()
            self._file.write(content)
            self._crc32 = zlib.crc32(content, self._crc32)
            self._in_file += len(part)
            self.tokens += len(part)
            if self._in_file == SHARD_TOKENS:
                self._end_file()

    def end_document(self) -> None:
        """The current document is complete; one without ids does not count."""
        if self.tokens > self._document_start:
            self._starts.append(self._document_start)
            self._document_start = self.tokens

    def close(self) -> SplitManifest:
        """Write what is left and the index; returns the split with all its tokens."""
        self.end_document()
        self._end_file()
        name = f"{self._split}.documents.npy"
        np.save(self._directory / name, np.append(np.frombuffer(self._starts, dtype=np.int64), self.tokens))
        return SplitManifest(self.tokens, self.documents, 0, self._files, name, _crc32(self._directory / name))

    def _name(self, number: int) -> str:
        return f"{self._split}-{number:05d}.bin"

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            size = self._in_file * self._dtype.itemsize
            self._files.append(ShardFile(self._name(len(self._files)), self._in_file, size, self._crc32))
            self._in_file = self._crc32 = 0


class TokenShards:
    """The ids of a split, memory-mapped: a stream that may span several files.

    Holds no tokens in memory; the operating system keeps what is read often.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        dtype: str,
        first_token: int = 0,
        tokens: int | None = None,
        vocab_size: int | None = None,
    ) -> None:
        """`vocab_size`: ids from there on are refused when they are read. Raises DataError."""
        self._paths, self.vocab_size = paths, vocab_size
        self._parts = [_mapped(path, np.dtype(dtype).newbyteorder("<")) for path in paths]
        self._starts = np.cumsum([0, *map(len, self._parts)]).tolist()
        self.first_token = first_token
        self.tokens: int = self._starts[-1] - first_token if tokens is None else tokens

    def read(self, start: int, length: int) -> np.ndarray:
        """Ids `start` … `start + length` of the split (1-D, of the stored type); the caller stays inside it.

        Raises DataError for a file that became shorter, and for ids outside of the vocabulary.
        """
        start += self.first_token
        end = start + length
        number = bisect_right(self._starts, start) - 1
        parts = []
        while True:
            begin = self._starts[number]
            parts.append(self._checked(number, self._parts[number][max(start - begin, 0) : end - begin]))
            number += 1
            if self._starts[number] >= end:
                return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _checked(self, number: int, ids: np.ndarray) -> np.ndarray:
        path = self._paths[number]
        # Reading past the end of a mapped file kills the process. A deleted file stays mapped.
        with suppress(FileNotFoundError):
            if path.stat().st_size < self._parts[number].nbytes:
                raise DataError(f"{path} became shorter while it was read.")
        if self.vocab_size is not None and len(ids) and (largest := int(ids.max())) >= self.vocab_size:
            raise DataError(
                f"{path} is damaged: it contains the id {largest:,}, but the vocabulary has {self.vocab_size:,}. "
                f"Delete {path.parent} and start again: it is then made from its source again."
            )
        return ids


def _mapped(path: Path, dtype: np.dtype) -> np.ndarray:
    try:
        # np.memmap is slow to slice; a plain array over the same pages is not.
        return np.asarray(np.memmap(path, dtype=dtype, mode="r"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None


def open_split(directory: Path, manifest: Manifest, name: str) -> tuple[TokenShards, np.ndarray]:
    """The ids of a split, and where its documents start in it with the end of the last (int64, documents + 1)."""
    split = manifest.splits[name]
    shards = TokenShards(
        [directory / file.name for file in split.files],
        manifest.dtype,
        split.first_token,
        split.tokens,
        manifest.vocab_size,
    )
    starts = np.load(directory / split.documents_file, mmap_mode="r", allow_pickle=False)
    last = split.first_token + split.tokens
    if split.first_token or last != starts[-1]:
        # A range of the stream: the documents it cuts end and begin at its ends.
        starts = np.unique(np.clip(starts, split.first_token, last)) - split.first_token
    return shards, starts


def split_tail(whole: SplitManifest, starts: np.ndarray, train_tokens: int) -> dict[str, SplitManifest]:
    """So many tokens of a stream as train and the rest as val, when there are too few documents to hold out."""
    ranges = {"train": (0, train_tokens), "val": (train_tokens, whole.tokens)}
    return {
        name: msgspec.structs.replace(
            whole,
            first_token=first,
            tokens=end - first,
            documents=len(np.unique(np.clip(starts, first, end))) - 1,
        )
        for name, (first, end) in ranges.items()
    }
