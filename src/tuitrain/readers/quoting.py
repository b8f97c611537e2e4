"""Documents and source code that quote a log: one who looks for runs in a folder does not mean them."""

from __future__ import annotations

import re
from itertools import pairwise

from tuitrain.readers.consoles.generic import GenericParser
from tuitrain.readers.model import Format, Probe, Row

_DOCUMENTS = (
    ".py", ".pyi", ".md", ".mdx", ".rst", ".adoc", ".org", ".c", ".h", ".cc", ".cpp", ".hpp", ".cu", ".js", ".ts",
    ".go", ".rs", ".java", ".jl", ".r", ".lua", ".sh", ".sql", ".tex", ".html", ".htm", ".xml", ".svg", ".css",
    ".ipynb", ".lock", ".patch", ".diff", ".json",
)  # fmt: skip
"""Endings of source code and documents."""
_SHARE, _SHARE_OF_DOCUMENT = 0.5, 0.9
"""Of the lines of a file that have metrics: from here on it is a log, and one with such an ending."""
_WORDS = (b" the ", b" of ", b" to ", b" is ", b" and ", b"import ", b"def ", b"class ", b"return ")
_MOST_WORDS = 4
"""In a beginning that is certainly of no document; looking at each line costs more."""
_FENCE = re.compile(r"\s{0,3}(?:```|~~~)|\.\. code|<pre|\\begin\{|#\+begin_", re.IGNORECASE)
_FENCES = re.compile(rb"^\s{0,3}(?:```|~~~|\.\. code|<pre|\\begin\{|#\+begin_)", re.IGNORECASE | re.MULTILINE)
_TABLE = re.compile(r"\s{0,99}\|?\s{0,99}:?-{2,}:?\s{0,99}\|[\s|:-]*")
"""The line below the header of a table in Markdown."""
_TABLES = re.compile(rb"^[ \t]{0,99}\|?[ \t]{0,99}:?-{2,}:?[ \t]{0,99}\|[ |:-]*\r?$", re.MULTILINE)
_FUNCTION_WORD = re.compile(
    r"(?<![\w/.])(?:the|an?|of|to|and|or|is|are|in|for|with|that|this|it|be|on|as|you|we|by|from|not|can|will|if)(?![\w/])"
)
_CODE = re.compile(
    r"\s*(?:(?:def|class|import|from|return|assert|raise|with|while|fn|func|let|const|var|static|public|private)\s"
    r"|(?:if|elif|for|else|try|except)\b.*:$|@\w|#include|//|/?\*|[\]})]+[;,:]?$|[\"']{3})|.*[;{]$"
)
_MARKUP = re.compile(r"\s*(?:#{1,6}\s|[-*+]\s+[\w`*\[]|\d+\.\s|>\s|\|.*\|$|```|~~~)")
_MESSAGE = re.compile(r"\W*\[?\d|.*(?:\b(?:INFO|DEBUG|WARNING|WARN|ERROR)\b|Warning:|\.py:\d)")
"""A line of a program's output, whatever its words are."""
_TRACEBACK = "Traceback (most recent call last)"
_LEAST_OTHERS = 5
_LAST = 3
"""Lines at the end of what was read of a log that goes on; a document rarely ends with a quotation."""
_LEAST_BLOCKS, _LEAST_SHARE = 4, 0.05
_BEGINNING = 400
"""Bytes; more than three lines of a log, or the first of long ones."""
_DIGIT = re.compile(rb"\d")
_LINE_END = re.compile(r"\r\n|\n|\r")


def begins_as_document(file: str, head: bytes) -> bool:
    """Whether a file is called like a document or source code and most of its first lines have no number.

    It is no log then, of which nearly all lines have metrics; to know it at once is quicker than to look for a format.
    """
    if not _is_called_document(file) or b"\0" in head or head.lstrip()[:1] in (b"{", b"["):
        return False
    lines = [line for line in head[:_BEGINNING].split(b"\n") if line and not line.isspace()][:3]
    return sum(_DIGIT.search(line) is None for line in lines) > 1


def quotes_log(probe: Probe, form: Format) -> bool:
    """Whether a file with lines of a format is a document, or source code, that quotes them.

    In a log most lines have metrics, or those between them are other output of the program; or they come again and
    again, as where a program prints samples of text. In a document they are between fences, or few among sentences,
    code and markup.
    """
    if form.parser is None or not _may_quote(probe):
        return False
    lines = [line for line in _LINE_END.split(probe.text) if line and not line.isspace()]
    training = _training_lines(lines, form)
    if not training:
        return _is_called_document(str(probe.path))
    if _is_fenced(lines[: min(training)]):
        return True
    share = len(training) / len(lines)
    if _is_called_document(str(probe.path)):
        return share < _SHARE_OF_DOCUMENT
    if share >= _SHARE:
        return False
    end = next((at for at, line in enumerate(lines) if _TRACEBACK in line), len(lines))
    others = [line for at, line in enumerate(lines[:end]) if at not in training]
    if len(others) < _LEAST_OTHERS or 2 * sum(map(_is_of_document, others)) < len(others):
        return False
    return not ({*range(end - _LAST, end)} <= training.keys() or _comes_again(training, share))


def _is_called_document(file: str) -> bool:
    return file.lower().endswith(_DOCUMENTS)


def _may_quote(probe: Probe) -> bool:
    """Whether it is worth while to look at each line."""
    head = probe.head
    if _is_called_document(str(probe.path)) or sum(map(head.count, _WORDS)) > _MOST_WORDS:
        return True
    return _FENCES.search(head) is not None or _TABLES.search(head) is not None


def _training_lines(lines: list[str], form: Format) -> dict[int, float]:
    """The indices of the lines with metrics, and the position that each of them gives."""
    # That of any console would look for the others again and again.
    parser = GenericParser("") if form.name == "console" or form.parser is None else form.parser("")
    positions = {}
    for at, line in enumerate(lines):
        row = next((item for item in parser.feed(f"{line}\n".encode()).items if isinstance(item, Row)), None)
        if row is not None:
            positions[at] = row.x
    return positions


def _is_fenced(before: list[str]) -> bool:
    """Whether the lines before another one open something that quotes it and do not close it."""
    if before and _TABLE.fullmatch(before[-1]):
        return True
    return sum(_FENCE.match(line) is not None for line in before) % 2 == 1


def _is_of_document(line: str) -> bool:
    if _MARKUP.match(line) or _CODE.match(line):
        return True
    return _MESSAGE.match(line) is None and len(set(_FUNCTION_WORD.findall(line))) > 1


def _comes_again(training: dict[int, float], share: float) -> bool:
    """Whether the lines with metrics go on and on, with others between them."""
    starts = [x for at, x in training.items() if at - 1 not in training]
    return len(starts) >= _LEAST_BLOCKS and share >= _LEAST_SHARE and all(a < b for a, b in pairwise(starts))
