"""The configuration files that other tools write beside their logs: JSON, and the YAML that they dump."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuitrain.files import deeper_than, read_regular

MOST_BYTES = 4 << 20
MOST_LEVELS = 20
MOST_NAMES = 5_000
"""Of flattened settings."""
_KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#&*!|>'"%@`{}\[\],-][^#]*?|-[^\s#][^#]*?)\s*:(?=\s|$)\s*""")
_TAG = re.compile(r"(?:[!&][^\s,\]}]*\s*)+")
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "true": True, "yes": True, "on": True, "false": False, "no": False,
    "off": False, ".nan": float("nan"), ".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"),
}  # fmt: skip


def read_settings(path: Path) -> dict[str, Any]:
    """The mapping in a JSON or YAML file; empty where there is no such file or it can't be read as one."""
    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
        tree = json.loads(text) if text.lstrip().startswith("{") else parse_yaml(text)
    except (OSError, ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) and not deeper_than(MOST_LEVELS, tree) else {}


class SettingsFile:
    """A configuration file beside a log, which may come later than the log or be written again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def changed(self) -> dict[str, Any] | None:
        """Its mapping, where it is new or was written since the last call; else None."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        seen = (status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return None
        self._seen = seen
        return read_settings(self._path)


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings with the names of nested ones joined by dots: `{"optim": {"lr": 1}}` is `{"optim.lr": 1}`.

    Lists stay lists. At most MOST_NAMES.
    """
    result: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            result |= flattened(value, f"{name}.")
        else:
            result[name] = value
        if len(result) > MOST_NAMES:
            break
    return result


def parse_yaml(text: str) -> Any:
    """The value of a YAML document as configuration dumps have it: nested mappings and lists, in block or flow style.

    Tags and anchors are skipped, so an object of a program is what its mapping or list says. A number may also be
    written `1e-4`. Raises ValueError for what is no such document.
    """
    return _Yaml(text).document()


class _Yaml:
    """A parser of one document; `_lines` are (indentation, text without it), blank and comment lines left out."""

    def __init__(self, text: str) -> None:
        lines = text.splitlines()
        begin = next((at + 1 for at, line in enumerate(lines) if line.startswith("---")), 0)
        if begin and lines[begin - 1] != "---":
            begin = 0
        end = next((at for at in range(begin, len(lines)) if lines[at].startswith(("---", "..."))), len(lines))
        self._raw = lines[begin:end]
        self._lines = [
            (len(line) - len(line.lstrip(" ")), line.strip(), at)
            for at, line in enumerate(self._raw)
            if line.strip() and not line.lstrip().startswith(("#", "%"))
        ]
        self._at = 0
        self._level = 0

    def document(self) -> Any:
        if not self._lines:
            return None
        value = self._block(self._lines[0][0])
        if self._at < len(self._lines):
            raise ValueError(f"line {self._lines[self._at][2] + 1} does not belong to what is above it")
        return value

    def _block(self, indent: int) -> Any:
        """The mapping, list or scalar whose lines have this indentation."""
        self._level += 1
        if self._level > MOST_LEVELS * 2:
            raise ValueError("it is nested too deeply")
        _, text, _ = self._lines[self._at]
        if text == "-" or text.startswith("- "):
            value: Any = self._list(indent)
        elif _KEY.match(text):
            value = self._mapping(indent)
        else:
            self._at += 1
            value = self._scalar(text, indent - 1)
        self._level -= 1
        return value

    def _mapping(self, indent: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while self._at < len(self._lines):
            depth, text, number = self._lines[self._at]
            key = _KEY.match(text)
            if depth != indent or key is None:
                if depth > indent or (depth == indent and not text.startswith("-")):
                    raise ValueError(f"line {number + 1} is no KEY: VALUE")
                break
            self._at += 1
            result[str(scalar(key[1])) if key[1][0] in "\"'" else key[1]] = self._value(text[key.end() :], indent)
        return result

    def _list(self, indent: int) -> list[Any]:
        result: list[Any] = []
        while self._at < len(self._lines):
            depth, text, number = self._lines[self._at]
            if depth != indent or not (text == "-" or text.startswith("- ")):
                break
            rest = text[1:].lstrip()
            if _KEY.match(_TAG.sub("", rest, count=1) if rest.startswith(("!", "&")) else rest) or rest.startswith(
                "- "
            ):
                # The first line of a mapping or a list stands behind the dash.
                rest = _TAG.sub("", rest, count=1) if rest.startswith(("!", "&")) else rest
                inner = indent + len(text) - len(rest)
                self._lines[self._at] = (inner, rest, number)
                result.append(self._block(inner))
                continue
            self._at += 1
            result.append(self._value(rest, indent, dash=True))
        return result

    def _value(self, text: str, indent: int, dash: bool = False) -> Any:
        """The value that begins behind a key or a dash, and may go on in the next, more indented lines."""
        text = _without_comment(text)
        if text.startswith(("!", "&")):
            text = _TAG.sub("", text, count=1)
        if text[:1] in ("|", ">"):
            return self._text(folded=text[0] == ">", indent=indent)
        if text:
            return self._scalar(text, indent)
        if self._at < len(self._lines):
            depth, following, _ = self._lines[self._at]
            if depth > indent or (depth == indent and not dash and (following == "-" or following.startswith("- "))):
                return self._block(depth)
        return None

    def _text(self, folded: bool, indent: int) -> str:
        """A literal or folded text."""
        begin = end = self._lines[self._at - 1][2] + 1
        while end < len(self._raw) and (not (line := self._raw[end]).strip() or _indentation(line) > indent):
            end += 1
        lines = self._raw[begin:end]
        margin = min((_indentation(line) for line in lines if line.strip()), default=0)
        while self._at < len(self._lines) and self._lines[self._at][2] < end:
            self._at += 1
        return (" " if folded else "\n").join(line[margin:] for line in lines).strip()

    def _scalar(self, text: str, indent: int) -> Any:
        """A plain or quoted scalar, or a flow collection, with the lines that it goes on in."""
        parts = [text]
        while self._at < len(self._lines) and self._lines[self._at][0] > indent and not _complete(parts):
            parts.append(_without_comment(self._lines[self._at][1]))
            self._at += 1
        text = " ".join(parts)
        if text[0] in "[{":
            value, rest = _flow(text, 0)
            if text[rest:].strip():
                raise ValueError("something stands behind a list or mapping in brackets")
            return value
        return scalar(text)


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _complete(parts: list[str]) -> bool:
    """Whether a scalar that may go on in further lines has its end."""
    text = " ".join(parts)
    if text[0] in "[{":
        bare = re.sub(r""""(?:[^"\\]|\\.)*"|'[^']*'""", "", text)
        return sum(bare.count(each) for each in "[{") <= sum(bare.count(each) for each in "]}")
    if text[0] == '"':
        return re.fullmatch(r'"(?:[^"\\]|\\.)*"', text) is not None
    if text[0] == "'":
        return re.fullmatch(r"'(?:[^']|'')*'", text) is not None
    return False


def _without_comment(text: str) -> str:
    """The text up to a comment; a `#` within quotes is none."""
    if text[:1] in ("#", ""):
        return ""
    if "#" not in text:
        return text.strip()
    quoted = re.match(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""", text)
    start = quoted.end() if quoted else 0
    return (text[:start] + re.split(r"\s#", text[start:], maxsplit=1)[0]).strip()


def scalar(text: str) -> Any:
    """The value of a scalar on one line."""
    text = text.strip()
    if text[:1] == '"' and text[-1:] == '"' and len(text) > 1:
        try:
            return json.loads(text)
        except ValueError:
            return text[1:-1]
    if text[:1] == "'" and text[-1:] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text):
        digits = text.replace("_", "")
        return int(digits) if digits.lstrip("+-").isdigit() and len(digits) < 32 else float(digits)
    return text


def _flow(text: str, at: int, level: int = 0) -> tuple[Any, int]:
    """The list, mapping or scalar in flow style at this place, and where it ends."""
    if level > MOST_LEVELS:
        raise ValueError("it is nested too deeply")
    at = _past_blanks(text, at)
    if text[at : at + 1] not in ("[", "{"):
        plain = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|(?:[^,\[\]{}:]|:(?!\s))*)\s*""").match(text, at)
        assert plain is not None
        return scalar(_TAG.sub("", plain[1], count=1) if plain[1][:1] in ("!", "&") else plain[1]), plain.end()
    closing = "]" if text[at] == "[" else "}"
    items: list[Any] = []
    pairs: dict[str, Any] = {}
    at = _past_blanks(text, at + 1)
    while text[at : at + 1] != closing:
        if at >= len(text):
            raise ValueError(f"a {closing} is missing")
        item, at = _flow(text, at, level + 1)
        if text[at : at + 1] == ":":
            pairs[str(item)], at = _flow(text, at + 1, level + 1)
        elif closing == "}":
            pairs[str(item)] = None
        else:
            items.append(item)
        at = _past_blanks(text, at)
        if text[at : at + 1] == ",":
            at = _past_blanks(text, at + 1)
        elif text[at : at + 1] != closing:
            raise ValueError(f"a comma or {closing} is missing")
    return (pairs if closing == "}" else items), at + 1


def _past_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return at
