"""The masked CRC-32C of TFRecord files, for many records of one length at once.

A CRC is linear: it is the exclusive or of what each byte at its place adds, and bytes that all records share add the
same. See RFC 3720, appendix B.4 for the polynomial, and TensorFlow's `core/lib/hash/crc32c.h` for the mask.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_SHORT, _BLOCK = 256, 4096
_AT_ONCE = 1 << 18
"""Bytes whose numbers are looked up together; they take twelve times as much memory."""


def masked_crc32c(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The CRC of each row of a matrix of bytes."""
    count, length = rows.shape
    step = max(1, _AT_ONCE // max(length, 1))
    crc = np.concatenate([_crc32c(rows[at : at + step]) for at in range(0, count, step)] or [np.empty(0, np.uint32)])
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(_MASK_DELTA)


def masked_crc32c_of(data: bytes) -> int:
    """The CRC of a few bytes."""
    table, crc = _first_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _crc32c(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for start in range(0, rows.shape[1], _BLOCK):
        crc = _continued(crc, rows[:, start : start + _BLOCK])
    return ~crc


def _continued(crc: NDArray[np.uint32], block: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The CRC after these further bytes of each row: what the bytes add, and what the CRC before becomes by them."""
    length = block.shape[1]
    tables, after = _tables(_SHORT if length <= _SHORT else _BLOCK), np.arange(length - 1, -1, -1)
    fixed = (block == block[0]).all(axis=0)
    result: NDArray[np.uint32] = np.bitwise_xor.reduce(tables[after[~fixed], block[:, ~fixed]], axis=1)
    result ^= np.bitwise_xor.reduce(tables[after[fixed], block[0, fixed]])
    for index in range(min(4, length)):
        result ^= tables[length - 1 - index][(crc >> 8 * index) & 0xFF]
    return result if length >= 4 else result ^ (crc >> np.uint32(8 * length))


@cache
def _first_table() -> list[int]:
    table: list[int] = _tables(_SHORT)[0].tolist()
    return table


@cache
def _tables(size: int) -> NDArray[np.uint32]:
    """What a byte adds to the CRC, by the number of bytes after it, fewer than `size`, and its value."""
    first = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = (first >> np.uint32(1)) ^ np.where(first & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    tables = np.empty((size, 256), np.uint32)
    tables[0] = first
    for index in range(1, size):
        before = tables[index - 1]
        tables[index] = first[before & 0xFF] ^ (before >> 8)
    return tables
