"""One clear sentence for every way in which a configuration can be wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tuitrain.files import LONGEST_QUOTE, shortened


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and what to do.

    key: the dotted key or section that the message, or its first line, is about; None where it is about none.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def quoted(value: object) -> str:
    """A value as a sentence repeats it: its repr, shortened."""
    return shortened(repr(value))


_WANTED = {
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a table",
    "string_type": "text",
}
"""What a value should be, for the kinds of errors of which pydantic says how it read the value."""

_COUNTS = {2: "two", 3: "three", 4: "four"}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None when nothing is alike.

    A dotted key is also looked for by its last part, since the right key in the wrong section is the usual slip.
    """
    if len(word) > LONGEST_QUOTE:
        return None
    candidates = list(known)
    tail = word.rsplit(".", 1)[-1]
    tails = {key.rsplit(".", 1)[-1]: key for key in reversed(candidates)}
    if tail in tails:
        return tails[tail]
    matches = difflib.get_close_matches(word, candidates, n=1, cutoff=0.75)
    if not matches and "." in word:
        matches = [tails[match] for match in difflib.get_close_matches(tail, tails, n=1, cutoff=0.6)]
    if not matches and "." not in word:
        matches = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    return matches[0] if matches else None


def suggest(word: str, known: Iterable[str]) -> str:
    """` Did you mean …?`, or nothing when nothing is alike."""
    match = nearest(word, known)
    return f" Did you mean {match!r}?" if match else ""


def known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key below a pydantic model, sections expanded."""
    keys = []
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        keys.extend(known_keys(inner, f"{prefix}{name}.") if inner else [prefix + name])
    return keys


def _section(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def explain(
    error: ValidationError, root: type[BaseModel], origin: str = "", elsewhere: Iterable[str] = ()
) -> ConfigError:
    """Turn pydantic's findings into sentences, one a line, each naming the dotted key.

    Only causes are told, unknown keys first: a default that depends on a wrong key is skipped, and so is what an
    unknown section was meant to hold. origin: the file that the keys are from, but for those of `elsewhere`.
    """
    overridden = list(elsewhere)
    details = [detail for detail in error.errors() if detail["type"] != "default_factory_not_called"]
    details.sort(key=lambda detail: detail["type"] != "extra_forbidden")
    meant = {nearest(str(detail["loc"][0]), root.model_fields) for detail in details if len(detail["loc"]) == 1
             and detail["type"] == "extra_forbidden"}  # fmt: skip
    sentences: dict[str, str] = {}
    for detail in details:
        key = ".".join(str(part) for part in detail["loc"])
        if key in meant:
            continue
        from_elsewhere = any(f"{a}.".startswith(f"{b}.") for each in overridden for a, b in ((each, key), (key, each)))
        where = f"{origin}: " if origin and not from_elsewhere else ""
        text, key = _sentence(detail, key, root)
        sentences.setdefault(where + text, key)
    return ConfigError("\n".join(sentences), next(iter(sentences.values())) or None)


def _sentence(detail: Any, key: str, root: type[BaseModel]) -> tuple[str, str]:
    """What one finding says, and the key that it is about."""
    kind, context, given = detail["type"], detail.get("ctx", {}), detail.get("input")
    whole = ".".join(part for part in detail["loc"] if isinstance(part, str))
    if kind == "missing" and whole != key:
        # An element of a list.
        kind, key = "tuple_type", whole
    match kind:
        case "extra_forbidden":
            return _unknown(key, root), key
        case "literal_error":
            allowed = context.get("expected", "").replace("'", "").replace(" or ", ", ")
            hint = suggest(str(given), allowed.split(", "))
            return f"{key} = {quoted(given)} is not one of {allowed}.{hint}", key
        case "value_error":
            return f"{key}: {context['error']}." if key else f"{context['error']}.", key
        case "model_type":
            return f"{key} is a section: set one of its keys, such as {_example(root, key)}.", key
        case "missing":
            return f"{key} is missing.", key
        case "string_pattern_mismatch":
            return f"{key} = {quoted(given)} is not valid. {_description(root, key)}".rstrip(), key
        case "tuple_type" | "too_long":
            shown = list(given) if isinstance(given, tuple) else given
            return f"{key} = {quoted(shown)} is not valid: it should be {_wanted_list(root, key)}.", key
    if given == "none":
        return f"{key} cannot be unset: give it a value.", key
    message = _WANTED.get(kind) or detail["msg"].removeprefix("Input should be ")
    return f"{key} = {quoted(given)} is not valid: it should be {message}.", key


def _wanted_list(root: type[BaseModel], key: str) -> str:
    """Of a key with a list of fixed length: how many numbers, and its default as an example."""
    field = field_at(root, key.split("."))
    if field is None or not isinstance(field.default, tuple):
        return "a list"
    return f"{_COUNTS.get(len(field.default), len(field.default))} numbers, such as {list(field.default)}"


def field_at(root: type[BaseModel], path: Iterable[str]) -> FieldInfo | None:
    """The field that a path of keys leads to, or None when there is none."""
    field: FieldInfo | None = None
    model: type[BaseModel] | None = root
    for part in path:
        field = model.model_fields.get(part) if model else None
        model = _section(field.annotation) if field else None
    return field


def _description(root: type[BaseModel], key: str) -> str:
    """The docstring of a field, in one line."""
    field = field_at(root, key.split("."))
    return " ".join((field.description or "").split()) if field else ""


def _unknown(key: str, root: type[BaseModel]) -> str:
    keys = known_keys(root)
    match = nearest(key, keys if "." in key else [*root.model_fields, *keys])
    if match:
        return f"{shortened(key)} is not a key of the configuration. Did you mean {match!r}?"
    section = key.split(".", 1)[0]
    inside = [known for known in keys if known.startswith(section + ".")] or [
        known for known in root.model_fields if known not in ("name", "preset")
    ]
    return f"{shortened(key)} is not a key of the configuration. Known: {', '.join(inside)}."


def _example(root: type[BaseModel], key: str) -> str:
    return next((known for known in known_keys(root) if known.startswith(key + ".")), key)
