"""Text of unknown origin, made inert before it reaches a terminal, a table, a figure or a file name.

Names, notes, configurations, reasons and samples come from logs and files of unknown origin. In memory they are
unchanged; they are cleaned at the output.
"""

from __future__ import annotations

import io
import os
import re
import sys
from typing import TextIO

from tuitrain.seven_bit import encodable

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, modes
    # OSC, DCS, APC, PM and SOS with their text: titles, clipboard, links
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\n\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"  # the others
)
_OWN_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
# Control characters become the signs that stand for them; what directs the writing or is invisible goes.
_INVISIBLE = "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_OTHERS = rf"\x7f-\x9f\u2028\u2029\ud800-\udfff{_INVISIBLE}"
_OBEYED = re.compile(rf"[\x00-\x1f{_OTHERS}]")
_OBEYED_IN_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{_OTHERS}]")
_LONGEST_NAME_BYTES = 120


def clean(text: str) -> str:
    """One line of text that a terminal obeys in nothing: safe to show, with any library.

    Escape sequences go, tabs are widened, line ends and other control characters become the signs that stand for them;
    marks of the writing direction and other invisible characters go; lone surrogates become U+FFFD.
    """
    if text.isprintable():
        return text
    return _OBEYED.sub(_sign, _SEQUENCE.sub("", text).expandtabs(4))


def shortened(text: str, characters: int) -> str:
    """A text of at most so many characters; of a longer one the middle is left out."""
    if len(text) <= characters:
        return text
    tail = characters // 2
    return f"{text[: max(characters - tail - 1, 0)]}…{text[len(text) - tail :]}"


def without_sequences(text: str) -> str:
    """The text without terminal escape sequences; all else stays."""
    return _SEQUENCE.sub("", text) if "\x1b" in text or "\x9b" in text else text


def clean_lines(text: str) -> str:
    """As `clean`, for several lines: line ends and tabs stay. A carriage return, as of a progress bar, ends a line."""
    if _OBEYED_IN_LINES.search(text) is None:
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _OBEYED_IN_LINES.sub(_sign, _SEQUENCE.sub("", text))


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code < 0xA0:
        return "\u2421" if code == 0x7F else " "
    if code in (0x2028, 0x2029):
        return "\u240a"
    return "\ufffd" if 0xD800 <= code < 0xE000 else ""


def clean_coloured(text: str) -> str:
    """As `clean_lines`, for text with colours of our own in it, which stay. What it quotes has to be clean already."""
    return "".join(
        part if index % 2 else clean_lines(part) for index, part in enumerate(_OWN_COLOUR.split(text))
    )  # fmt: skip


def ascii_json(text: str) -> str:
    r"""JSON text with every character that is not printable ASCII as \uXXXX: inert, and the same when parsed."""
    return re.sub(r"[^\x00-\x7e]", lambda match: _escaped(ord(match[0])), text)


def _escaped(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def file_name(text: str) -> str:
    """A name for a file, from any text: one path component of letters, digits and `-_.+=,@`, never hidden or empty."""
    name = re.sub(r"[^\w.+=,@-]+", "-", clean(text)).strip("-.")
    while len(name.encode()) > _LONGEST_NAME_BYTES:
        name = name[:-1]
    return name or "unnamed"


def terminal_encoding(stream: TextIO | None) -> str:
    """The encoding of what reads a stream. Python writes UTF-8 in the locales C and POSIX, which know ASCII only."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    chosen = (sys.flags.utf8_mode and os.environ.get("PYTHONUTF8") == "1") or os.environ.get("PYTHONIOENCODING")
    locale = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := os.environ.get(name))), "")
    return "ascii" if locale in ("C", "POSIX") and not chosen else encoding


class TerminalStream(io.TextIOBase):
    """Standard output or error that cleans what is printed, and replaces what the encoding lacks.

    It has no `buffer`, so that no library writes around it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.exact = stream
        """The stream itself, for data that a program reads."""
        self._encoding = terminal_encoding(stream)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "replace"

    def write(self, text: str) -> int:
        self.exact.write(encodable(clean_lines(text), self._encoding))
        return len(text)

    def write_coloured(self, text: str) -> None:
        """Write text with colours of our own in it; what it quotes has to be clean already."""
        self.exact.write(encodable(clean_coloured(text), self._encoding))

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.exact.isatty()

    def fileno(self) -> int:
        return self.exact.fileno()

    def flush(self) -> None:
        self.exact.flush()


def guard_output() -> None:
    """Clean all that this process prints to standard output and error from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, TerminalStream):
            setattr(sys, name, TerminalStream(stream))


def stream_for_data() -> TextIO:
    """The stream for data that a program reads: unchanged into a pipe or a file, cleaned to a terminal."""
    stream = sys.stdout
    if isinstance(stream, TerminalStream) and not stream.isatty() and "utf" in stream.encoding.lower():
        return stream.exact
    return stream


def print_coloured(text: str, stream: TextIO | None = None) -> None:
    """Print text with colours of our own in it; what it quotes has to be clean already."""
    stream = stream or sys.stdout
    if isinstance(stream, TerminalStream):
        stream.write_coloured(text + "\n")
    else:
        stream.write(text + "\n")
    stream.flush()
