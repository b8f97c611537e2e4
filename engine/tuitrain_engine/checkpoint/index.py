"""The index of a checkpoint, DCP's `.metadata`: read without running code from it, and checked in every part.

It is a pickle. An unpickler that knows DCP's record classes and nothing else reads it, so a stranger's checkpoint runs
none of its code; but any attribute may still have any value, or be missing.
"""

from __future__ import annotations

import io
import math
import pickle
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from tuitrain.files import read_regular

_CLASSES = {
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib._local", "PosixPath"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            "Metadata", "MetadataIndex", "StorageMeta", "TensorProperties", "TensorStorageMetadata",
            "BytesStorageMetadata", "ChunkStorageMetadata", "_MEM_FORMAT_ENCODING",
        )
    ),
}  # fmt: skip
MOST_BYTES = 1 << 30


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names it and the reason."""


class _Unpickler(pickle._Unpickler):
    """Knows DCP's record classes and torch's dtypes; anything else in the index is refused.

    It is the one in Python: that in C takes memory for as many objects as a few bytes of a pickle say.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CLASSES:
            return super().find_class(module, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in the index of a checkpoint")


def read_index(path: Path) -> Metadata:
    """The index of a checkpoint, each of its parts of the type that it should have. Raises CheckpointError."""
    try:
        index = _Unpickler(io.BytesIO(read_regular(path / ".metadata", MOST_BYTES))).load()
    except Exception as error:  # a pickle can raise any exception
        raise CheckpointError(f"{path}: the index cannot be read ({error}).") from None
    if not isinstance(index, Metadata):
        raise CheckpointError(f"{path}: the index contains no checkpoint metadata.")
    problem = _problem(index)
    if problem:
        raise CheckpointError(f"{path}: the index is damaged ({problem}).")
    for info in index.storage_data.values():
        inside = PurePosixPath(info.relative_path)
        if inside.is_absolute() or ".." in inside.parts:
            raise CheckpointError(f"{path}: the index points outside of the checkpoint ({info.relative_path}).")
    return index


def _problem(index: Metadata) -> str | None:
    """The first part that is not of its type; None when all are."""
    entries, places = getattr(index, "state_dict_metadata", None), getattr(index, "storage_data", None)
    if not isinstance(entries, dict) or not all(isinstance(key, str) for key in entries):
        return "it lists no values"
    for key, entry in entries.items():
        if isinstance(entry, TensorStorageMetadata) and not _is_tensor_entry(entry):
            return f"the entry of {key} is not that of a tensor"
    if not isinstance(places, dict) or not all(map(_is_place, places.items())):
        return "the position of the values is missing"
    return None


def _is_tensor_entry(entry: TensorStorageMetadata) -> bool:
    size, chunks, properties = (getattr(entry, name, None) for name in ("size", "chunks", "properties"))
    return (
        _are_sizes(size)
        and isinstance(properties, TensorProperties)
        and isinstance(getattr(properties, "dtype", None), torch.dtype)
        and isinstance(chunks, list)
        and all(
            isinstance(chunk, ChunkStorageMetadata)
            and all(_are_sizes(getattr(chunk, name, None), len(size)) for name in ("offsets", "sizes"))
            for chunk in chunks
        )
    )


def _are_sizes(value: Any, length: int | None = None) -> bool:
    return (
        isinstance(value, tuple)
        and (length is None or len(value) == length)
        and all(isinstance(each, int) and each >= 0 for each in value)
    )


def _is_place(item: tuple[Any, Any]) -> bool:
    index, info = item
    return (
        isinstance(index, MetadataIndex)
        and isinstance(info, _StorageInfo)
        and isinstance(getattr(info, "relative_path", None), str)
        and all(
            isinstance(getattr(info, name, None), int) and getattr(info, name) >= 0 for name in ("offset", "length")
        )
    )


def covered(entry: TensorStorageMetadata) -> bool:
    """Whether the chunks of a tensor make up all of it, each element once."""
    inside = all(
        offset + size <= whole
        for chunk in entry.chunks
        for offset, size, whole in zip(chunk.offsets, chunk.sizes, entry.size, strict=True)
    )
    count = sum(math.prod(chunk.sizes) for chunk in entry.chunks)
    return (
        inside and count == math.prod(entry.size) and not any(_overlap(*two) for two in combinations(entry.chunks, 2))
    )


def _overlap(one: ChunkStorageMetadata, other: ChunkStorageMetadata) -> bool:
    return all(
        max(a, b) < min(a + n, b + m)
        for a, n, b, m in zip(one.offsets, one.sizes, other.offsets, other.sizes, strict=True)
    )
