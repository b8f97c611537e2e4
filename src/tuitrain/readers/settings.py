"""The configuration files that other tools write beside their logs: JSON and YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from tuitrain.files import read_regular

MOST_BYTES = 4 << 20
MOST_LEVELS = 20
MOST_NAMES = 5_000
"""Of flattened settings."""
_MOST_VALUES = 100_000
"""Of a tree, each alias counted as what it stands for."""
_MOST_INDENTATION = 400
_MOST_BRACKETS = 500
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
    return tree if isinstance(tree, dict) and _is_bounded(tree) else {}


class SettingsFile:
    """A configuration file beside a log, which may come later than the log or be written again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, int] | None = None

    def changed(self) -> dict[str, Any] | None:
        """Its mapping, where it is new or was written since the last call; else None."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        mark = (status.st_mtime_ns, status.st_size)
        if mark == self._read:
            return None
        self._read = mark
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
    """The value of a YAML document. Tags are skipped, so an object of a program is what its mapping or list says.

    A number may also be written `1e-4`; times and dates are text. Raises ValueError for what is no such document.
    """
    import yaml

    if any(len(line) - len(line.lstrip(" -?:")) > _MOST_INDENTATION for line in text.splitlines()):
        raise ValueError("it is indented too far")
    if text.count("[") + text.count("{") > _MOST_BRACKETS and not _closes(text):
        raise ValueError("its brackets are nested too deeply")
    try:
        # Never an object: all tags go through one constructor that makes dicts, lists and scalars.
        tree = yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    if not _is_bounded({"": tree}):
        raise ValueError("it is nested too deeply or too large")
    return tree


def scalar(text: str) -> Any:
    """The value of a word: a number, true, false, null, or the text itself."""
    word = _WORDS.get(text.lower(), text)
    if word is not text or not _NUMBER.fullmatch(text):
        return word
    digits = text.replace("_", "")
    return int(digits) if digits.lstrip("+-").isdigit() and len(digits) < 32 else float(digits)


@cache
def _loader() -> type[Any]:
    """The class that loads YAML. Imported late: few logs have such a file beside them."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}
        yaml_constructors: ClassVar[dict[str, Any]] = {}
        yaml_multi_constructors: ClassVar[dict[str, Any]] = {"": lambda loader, tag, node: construct(loader, node)}

    def construct(loader: Any, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.style else scalar(node.value)
        if isinstance(node, yaml.SequenceNode):
            return [loader.construct_object(each, deep=True) for each in node.value]
        return {
            key.value if isinstance(key, yaml.ScalarNode) else str(loader.construct_object(key, deep=True)):
            loader.construct_object(value, deep=True)
            for key, value in node.value
        }  # fmt: skip

    return Loader


def _closes(text: str) -> bool:
    """Whether brackets are nested at most MOST_LEVELS deep."""
    level = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        level += 1 if bracket in "[{" else -1
        if level > MOST_LEVELS:
            return False
    return True


def _is_bounded(tree: dict[str, Any]) -> bool:
    """Whether a tree has at most MOST_LEVELS levels and _MOST_VALUES values; it may share parts, as by aliases."""
    level: list[Any] = [tree]
    count = 0
    for _ in range(MOST_LEVELS + 1):
        inside = (value.values() if isinstance(value, dict) else value for value in level)
        below: list[Any] = []
        for values in inside:
            count += len(values)
            if count > _MOST_VALUES:
                return False
            below += [part for part in values if isinstance(part, dict | list)]
        level = below
        if not level:
            return True
    return False
