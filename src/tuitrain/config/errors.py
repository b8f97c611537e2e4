"""Errors of a configuration: a sentence for each problem, and the key it is about."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from tuitrain.config.keys import docstring, field_at, known_keys
from tuitrain.files import LONGEST_QUOTE, shortened

MOST_PROBLEMS = 30
"""That are explained: looking for the nearest key takes milliseconds."""


class Problem(NamedTuple):
    """A sentence that says what is wrong and what to do, and the dotted key or section it is about, if any."""

    message: str
    key: str | None = None


class ConfigError(ValueError):
    """A configuration that cannot be used, for one or several problems; the text has one sentence a line."""

    def __init__(self, message: str = "", key: str | None = None, *, problems: Iterable[Problem] = ()) -> None:
        self.problems = tuple(problems) or (Problem(message, key),)
        super().__init__("\n".join(problem.message for problem in self.problems))

    @property
    def key(self) -> str | None:
        """The key of the first problem."""
        return self.problems[0].key


class SectionError(ValueError):
    """Raised by the validator of a section: the key within the section, and what is wrong, written after the key."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(problem)
        self.key = key


def quoted(value: object) -> str:
    """A value for an error message: its repr, shortened."""
    return shortened(repr(value))


_EXPECTED = {
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
"""What a value should be, by pydantic's type of error, where pydantic's own message describes how it parsed it."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most similar to `word`, or None.

    A dotted key is also compared by its last part: the right key in the wrong section is the most frequent mistake.
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
    """` Did you mean …?` with the most similar known word, or an empty text."""
    match = nearest(word, known)
    return f" Did you mean {match!r}?" if match else ""


def explain(
    error: ValidationError, root: type[BaseModel], origin: str = "", elsewhere: Iterable[str] = ()
) -> ConfigError:
    """The ConfigError for pydantic's errors: a sentence for each, unknown keys first.

    Consequences are left out: a default that depends on a wrong key, and the keys of a section that was misspelled.
    origin: the file that the keys are from, except those of `elsewhere`.
    """
    overridden = list(elsewhere)
    details = [detail for detail in error.errors() if detail["type"] != "default_factory_not_called"]
    details.sort(key=lambda detail: detail["type"] != "extra_forbidden")
    details, further = details[:MOST_PROBLEMS], max(len(details) - MOST_PROBLEMS, 0)
    misspelled = {nearest(str(detail["loc"][0]), root.model_fields) for detail in details if len(detail["loc"]) == 1
                  and detail["type"] == "extra_forbidden"}  # fmt: skip
    problems: dict[str, Problem] = {}
    for detail in details:
        key = ".".join(str(part) for part in detail["loc"])
        if key in misspelled:
            continue
        from_elsewhere = any(f"{a}.".startswith(f"{b}.") for each in overridden for a, b in ((each, key), (key, each)))
        where = f"{origin}: " if origin and not from_elsewhere else ""
        text, key = _sentence(detail, key, root)
        problems.setdefault(text, Problem(where + text, key or None))
    if further:
        problems[""] = Problem(f"{further:,} more of its values are not valid.")
    return ConfigError(problems=problems.values())


def _sentence(detail: Any, key: str, root: type[BaseModel]) -> tuple[str, str]:
    """The sentence for one of pydantic's errors, and the key it is about."""
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
        case "value_error" if isinstance(error := context["error"], SectionError):
            key = f"{key}.{error.key}"
            return f"{key} {error}.", key
        case "value_error":
            return f"{key}: {context['error']}." if key else f"{context['error']}.", key
        case "model_type":
            return f"{key} is a section: set one of its keys, such as {_example(root, key)}.", key
        case "missing":
            return f"{key} is missing.", key
        case "string_pattern_mismatch":
            return f"{key} = {quoted(given)} is not valid. {docstring(root, key)}".rstrip(), key
        case "tuple_type" | "too_long":
            shown = list(given) if isinstance(given, tuple) else given
            return f"{key} = {quoted(shown)} is not valid: it should be {_expected_list(root, key)}.", key
    if given == "none":
        return f"{key} cannot be unset: give it a value.", key
    message = _EXPECTED.get(kind) or detail["msg"].removeprefix("Input should be ")
    return f"{key} = {quoted(given)} is not valid: it should be {message}.", key


def _expected_list(root: type[BaseModel], key: str) -> str:
    """The length of a key's list, with its default as an example."""
    field = field_at(root, key)
    if field is None or not isinstance(field.default, tuple):
        return "a list"
    return f"{len(field.default)} numbers, such as {list(field.default)}"


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
