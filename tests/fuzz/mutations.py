"""Mutations of files that know what they change: numbers, words, lines, nesting, frames with checksums, archives."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random

from tests.readers.test_wandb import log as wandb_log
from tuitrain.readers.crc32c import masked_crc32c_of
from tuitrain.readers.leveldb_log import LogSplitter
from tuitrain.readers.tfrecord import HEADER_BYTES, RecordSplitter

MOST_BYTES = 256 << 10
HOSTILE = (
    "\x1b]2;t\x07\x1b]52;c;cm0=\x1b\\\x1b[5;41m\x1b[?1047h\x9b5;41m\x9d0;t\x9c\x1bPq\x1b\\"
    "\u202e\u2066\u200b\u2028\x85\x07\x08\x7f"
)
_WORDS = (
    HOSTILE, "[red]m[/red]", "[/]", "[link=file:///x]", "../../../x", "/etc/passwd", "a" * 3000, "\\ud800",
    "\\u0000", "nan", "\\frac{$", "<script>", "| a | b |", "\r", "\n", "\t", "é" * 200, "🙂" * 50,
    "e\u0301" * 500, "=1+1", "", "%s", "{0.__class__}", "$(id)", "-rf", "None", "loss", "step", "val/loss", "epoch",
)  # fmt: skip
_NUMBERS = (
    b"0", b"-1", b"1e999", b"-1e999", b"1e308", b"-1e308", b"1e-400", b"5e-324", b"NaN", b"-Infinity", b"nan", b"inf",
    b"-0", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"-9223372036854775809",
    b"4294967296", b"1" * 400, b"9" * 5000, b"0." + b"3" * 2000, b"1e9999999999999", b"1_000", b"0x10", b"1,000", b"1.",
    b".5", b"", b"true", b"null", b'"x"', b"[]", b"{}", b"1e16", b"9007199254740993", b"253402300800", b"1e13",
    b"-62135596801", b"1970-01-01",
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(rb"[A-Za-z_][\w/.-]{2,40}")
_SIZES = (
    *(
        struct.pack(form, value)
        for form in ("<I", "<Q", "<H")
        for value in (0, 1, 0x7F, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
        if value < 1 << 8 * struct.calcsize(form)
    ),
    b"\xff" * 10, b"\x80" * 12, b"\x00" * 16,
)  # fmt: skip
_OPENERS = (b"[", b"{", b'{"a":', b"(", b'[{"a":[', b"{{", b"a.")


def mutated(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    """The bytes after one to six mutations; other: further bytes, of another seed, to splice in."""
    unpacked = _unpacked(data) if of.random() < 0.7 else None
    if unpacked is not None:
        records, pack = unpacked
        if records:
            for _ in range(of.choice((1, 1, 2, 8))):
                at = of.randrange(len(records))
                records[at] = _several(records[at], of, other)
            if of.random() < 0.2:
                of.shuffle(records)
            return pack(records)[:MOST_BYTES]
    return _several(data, of, other)


def _several(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    for _ in range(of.choice((1, 1, 1, 2, 3, 6))):
        data = of.choice(_MUTATIONS)(data, of, other)[:MOST_BYTES]
    return data


def _flip(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(of.choice((1, 1, 4, 32)) if data else 0):
        changed[of.randrange(len(changed))] ^= 1 << of.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    at, new = _place(data, of), of.choice((of.randbytes(of.choice((1, 4, 40))), *_SIZES))
    return data[:at] + new + data[at + len(new) :]


def _insert(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    at = _place(data, of)
    return data[:at] + of.choice((of.randbytes(of.choice((1, 7, 300))), bytes(64), *_SIZES)) + data[at:]


def _cut(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    at = _place(data, of)
    return data[:at] if of.random() < 0.7 else data[at:]


def _remove(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    start, end = sorted((_place(data, of), _place(data, of)))
    return data[:start] + data[end:]


def _repeat(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    start = _place(data, of)
    end = min(len(data), start + of.choice((1, 10, 100, 5000)))
    return (
        data[:end]
        + data[start:end] * min(of.choice((1, 3, 100, 20_000)), MOST_BYTES // 4 // (end - start or 1))
        + data[end:]
    )


def _splice(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    more = other()
    start, end = sorted((_place(more, of), _place(more, of)))
    at = _place(data, of)
    return data[:at] + more[start:end] + data[at + (end - start if of.random() < 0.5 else 0) :]


def _number(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    found = list(_NUMBER.finditer(data[: 64 << 10]))
    for match in sorted(of.sample(found, min(len(found), of.choice((1, 1, 3, 20)))), key=lambda match: -match.start()):
        data = data[: match.start()] + of.choice(_NUMBERS) + data[match.end() :]
    return data


def _word(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    found = list(_WORD.finditer(data[: 64 << 10]))
    new = of.choice(_WORDS).encode()
    if of.random() < 0.5:
        # As JSON escapes it.
        new = re.sub(rb'[\x00-\x1f"\\]', lambda match: b"\\u%04x" % match[0][0], new)
    for match in sorted(of.sample(found, min(len(found), of.choice((1, 1, 3)))), key=lambda match: -match.start()):
        data = data[: match.start()] + (new if of.random() < 0.6 else match[0] + new) + data[match.end() :]
    return data


def _rename(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    """Another name everywhere."""
    found = _WORD.findall(data[: 64 << 10])
    return data.replace(of.choice(found), of.choice(_WORDS).encode()) if found else data


def _lines(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    lines = data.split(b"\n")
    match of.randrange(7):
        case 0:
            of.shuffle(lines)
        case 1:
            lines = [line for line in lines if of.random() < 0.7]
        case 2:
            at = of.randrange(len(lines))
            lines[at:at] = [lines[at]] * of.choice((1, 2, 50))
        case 3:
            return b"".join(lines)
        case 4:
            return b"\r\n".join(lines)
        case 5:
            return of.choice((b"\r", b"\n\n", b"\x00\n", b"\x1e\n")).join(lines)
        case _:
            at, more = of.randrange(len(lines)), other().split(b"\n")
            lines[at:at] = more[: of.choice((1, 5, 100))]
    return b"\n".join(lines)


def _nest(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    at = _place(data, of)
    return data[:at] + of.choice(_OPENERS) * of.choice((10, 60, 120, 2000, 40_000)) + data[at:]


def _encode(data: bytes, of: Random, other: Callable[[], bytes]) -> bytes:
    text = data.decode("utf-8", "replace")
    return of.choice((
        lambda: b"\xef\xbb\xbf" + data, lambda: text.encode("utf-16"), lambda: text.encode("latin-1", "replace"),
        lambda: data + bytes(4096), lambda: bytes(4096) + data,
        lambda: text.translate({ord(","): of.choice(";\t|"), ord("."): ","}).encode(),
        lambda: data.replace(b'"', of.choice((b"'", b"", b'""', b"\\\""))),
        lambda: data.replace(b": ", of.choice((b":", b"=", b" ", b": : "))),
    ))()  # fmt: skip


_MUTATIONS = (
    _flip, _overwrite, _insert, _cut, _remove, _repeat, _splice, _number, _number, _number, _word, _word, _rename,
    _lines, _lines, _nest, _encode,
)  # fmt: skip


def _place(data: bytes, of: Random) -> int:
    return of.randrange(len(data) + 1)


# ── files in frames, whose checksums have to be right for a mutation to get past them ────────────────────────────────

Unpacked = tuple[list[bytes], Callable[[list[bytes]], bytes]]


def _unpacked(data: bytes) -> Unpacked | None:
    """The records in a file's frames, and what puts them into frames again; None for a file without frames."""
    if data.startswith(b":W&B"):
        return [record for _, record in LogSplitter(7).split(data[7:])], wandb_log
    if data.startswith(b"PK\x03\x04"):
        return _zipped(data)
    records = RecordSplitter().split(data) if data[8:12].strip(b"\0") else None
    if records is None or not records.starts:
        return None
    parts = [data[at + HEADER_BYTES :][: int.from_bytes(data[at : at + 8], "little")] for at in records.starts]
    return parts, lambda parts: b"".join(map(tfrecord, parts))


def tfrecord(data: bytes) -> bytes:
    """A record in its frame."""
    header = len(data).to_bytes(8, "little")
    return b"".join(
        (header, masked_crc32c_of(header).to_bytes(4, "little"), data, masked_crc32c_of(data).to_bytes(4, "little"))
    )


def _zipped(data: bytes) -> Unpacked | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            parts = [archive.read(name) for name in names]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError):
        return None

    def pack(parts: list[bytes]) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, part in zip(names, parts, strict=True):
                archive.writestr(name, part)
        return file.getvalue()

    return parts, pack
