"""Logs that are compressed by gzip, or text in UTF-16 as PowerShell's `>` writes it: their bytes as those of UTF-8."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable
from contextlib import suppress

_GZIP = b"\x1f\x8b\x08"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARKS = (_GZIP, *_UTF16)
_MOST_AT_ONCE = 4 << 20
"""Bytes that one call makes of compressed ones."""
_PART = 64 << 10


class Decoding:
    """Turns the bytes of a file, which come in pieces of any size, into those of the text; most files are one already.

    more: further bytes follow from those that were given, for a call with none.
    """

    def __init__(self) -> None:
        self._beginning = b""
        self._decode: Callable[[bytes], bytes] | None = None
        self._rest = b""
        self.more = False

    def feed(self, data: bytes) -> bytes:
        """The bytes of the text that these further ones give. Raises ValueError for what is compressed and damaged."""
        if self._decode is None:
            data = self._beginning + data
            if any(len(data) < len(mark) and mark.startswith(data) for mark in _MARKS):
                self._beginning = data
                return b""
            self._decode = self._decoder(data)
        return self._decode(data)

    def _decoder(self, data: bytes) -> Callable[[bytes], bytes]:
        if data.startswith(_GZIP):
            self._members = zlib.decompressobj(wbits=31)
            return self._decompressed
        if data.startswith(_UTF16):
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
            return lambda piece: decoder.decode(piece).encode("utf-8", "replace")
        return lambda piece: piece

    def _decompressed(self, data: bytes) -> bytes:
        """Little more than _MOST_AT_ONCE bytes. A file may hold several compressed ones, one after the other."""
        self._rest += data
        result = b""
        self.more = False
        while len(result) < _MOST_AT_ONCE:
            if self._members.eof:
                if not self._rest.startswith(_GZIP):
                    return result
                self._members = zlib.decompressobj(wbits=31)
            try:
                part = self._members.decompress(self._rest, _PART)
            except zlib.error as error:
                if result:
                    break
                self._rest, self._decode = b"", lambda piece: b""
                raise ValueError(f"it is damaged: {error}") from None
            self._rest = self._members.unconsumed_tail or self._members.unused_data
            result += part
            if not part and not self._members.eof:
                return result
        self.more = True
        return result


def text_of(data: bytes, most: int) -> bytes:
    """At most so many bytes of the text in those of a file, or of its beginning; as they are where there is no text."""
    if not data.startswith(_MARKS):
        return data
    decoding, text = Decoding(), b""
    with suppress(ValueError):
        text = decoding.feed(data)
        while decoding.more and len(text) < most:
            text += decoding.feed(b"")
    return data if b"\0" in text else text[:most]
