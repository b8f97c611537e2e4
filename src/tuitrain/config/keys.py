"""The keys of a configuration by their dotted names: fields, docstrings and values."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key of a pydantic model, sections expanded."""
    keys = []
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        keys.extend(known_keys(inner, f"{prefix}{name}.") if inner else [prefix + name])
    return keys


def field_at(root: type[BaseModel], key: str) -> FieldInfo | None:
    """The field of a dotted key, or None."""
    field: FieldInfo | None = None
    model: type[BaseModel] | None = root
    for part in key.split("."):
        field = model.model_fields.get(part) if model else None
        model = _section(field.annotation) if field else None
    return field


def _section(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def accepts(root: type[BaseModel], key: str, kind: type) -> bool:
    """Whether values of a type, such as str or NoneType (unset), suit a key."""
    field = field_at(root, key)
    return field is not None and kind in (field.annotation, *get_args(field.annotation))


def docstring(root: type[BaseModel], key: str) -> str:
    """The docstring of a key, in one line; empty for a key without one."""
    field = field_at(root, key)
    return " ".join((field.description or "").split()) if field else ""


def words(annotation: Any) -> list[str]:
    """The words that a type lists: those of its Literals, and true and false of a bool."""
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return list(dict.fromkeys(word for part in get_args(annotation) for word in words(part)))
