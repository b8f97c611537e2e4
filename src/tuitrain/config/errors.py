"""One clear sentence for every way in which a configuration can be wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and what to do."""


LONGEST_QUOTE = 200
"""Characters of a value that a sentence repeats."""


def quoted(value: object) -> str:
    """A value as a sentence repeats it: its repr, the middle left out when it is very long."""
    text = repr(value)
    half = LONGEST_QUOTE // 2
    return text if len(text) <= LONGEST_QUOTE else f"{text[:half]}…{text[-half:]}"


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


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None when nothing is alike.

    A dotted key is also looked for by its last part, since the right key in the wrong section is the usual slip.
    """
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


def explain(error: ValidationError, root: type[BaseModel], origin: str = "") -> ConfigError:
    """Turn pydantic's findings into sentences, one a line, each naming the dotted key.

    A default that depends on another key is skipped while that key is wrong: only causes are told.
    """
    sentences: list[str] = []
    for detail in error.errors():
        kind, context = detail["type"], detail.get("ctx", {})
        if kind == "default_factory_not_called":
            continue
        key = ".".join(str(part) for part in detail["loc"])
        given = detail.get("input")
        if kind == "extra_forbidden":
            text = _unknown(key, root)
        elif kind == "literal_error":
            allowed = context.get("expected", "").replace("'", "").replace(" or ", ", ")
            hint = suggest(str(given), allowed.split(", "))
            text = f"{key} = {given!r} is not one of {allowed}.{hint}"
        elif kind == "value_error":
            text = f"{key}: {context['error']}." if key else f"{context['error']}."
        elif kind == "model_type":
            text = f"{key} is a section: set one of its keys, such as {_example(root, key)}."
        elif kind == "missing":
            text = f"{key} is missing."
        elif kind == "string_pattern_mismatch":
            text = f"{key} = {given!r} is not valid. {_description(root, key)}".rstrip()
        elif kind == "tuple_type":
            text = f"{key} = {given!r} is not valid: it should be a list, such as [0.9, 0.95]."
        elif given == "none":
            text = f"{key} cannot be unset: give it a value."
        else:
            message = _WANTED.get(kind) or detail["msg"].removeprefix("Input should be ")
            text = f"{key} = {given!r} is not valid: it should be {message}."
        if text not in sentences:
            sentences.append(text)
    where = f"{origin}: " if origin else ""
    return ConfigError("\n".join(where + sentence for sentence in sentences))


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
        return f"{key} is not a key of the configuration. Did you mean {match!r}?"
    section = key.split(".", 1)[0]
    inside = [known for known in keys if known.startswith(section + ".")] or [
        known for known in root.model_fields if known not in ("name", "preset")
    ]
    return f"{key} is not a key of the configuration. Known: {', '.join(inside)}."


def _example(root: type[BaseModel], key: str) -> str:
    return next((known for known in known_keys(root) if known.startswith(key + ".")), key)
