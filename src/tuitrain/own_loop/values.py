"""What a training loop logs, as numbers by name and as configuration that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MOST_LEVELS = 20
"""Of nested dicts."""
_LARGEST = 2**63 - 1


def number(value: Any) -> int | float | None:
    """The number that a scalar of Python, numpy, torch, JAX or the like is; None for anything else.

    A tensor on a GPU is waited for.
    """
    kind = type(value)
    if kind is float:
        return value  # type: ignore[no-any-return]
    if kind is int or kind is bool:
        return int(value) if -_LARGEST <= value <= _LARGEST else _real(value)
    try:
        value = value.item() if hasattr(value, "item") else value
    except (TypeError, ValueError, RuntimeError):  # of several elements
        return None
    if type(value) is int:
        return number(value)
    return _real(value)


def _real(value: Any) -> float | None:
    try:
        return None if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def step_number(value: Any) -> int | None:
    """The step that a value is: a whole number from 0; None for anything else."""
    if type(value) is int and 0 <= value <= _LARGEST:
        return value
    given = number(value)
    if given is None or not 0 <= given <= _LARGEST or given != int(given):
        return None
    return int(given)


def flattened(data: Mapping[Any, Any], prefix: str = "", levels: int = MOST_LEVELS) -> dict[str, Any]:
    """The values of nested dicts by their names joined with dots, as W&B does."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and levels:
            flat.update(flattened(value, f"{name}.", levels - 1))
        else:
            flat[name] = value
    return flat


def readable_name(name: Any) -> str:
    """A name as text that UTF-8 can hold."""
    return str(name).encode("utf-8", "replace").decode()


def plain(value: Any, levels: int = MOST_LEVELS) -> Any:
    """A configuration value as JSON can hold it: what is no number, text, list or dict becomes its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return readable_name(value)
    if isinstance(value, Mapping) and levels:
        return {readable_name(key): plain(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and levels:
        return [plain(item, levels - 1) for item in value]
    given = number(value)
    return readable_name(value) if given is None else given


def settings_of(config: Any) -> dict[str, Any]:
    """A configuration as a dict: a mapping, an argparse namespace, a dataclass, or an object with attributes.

    Raises TypeError with a sentence for anything else.
    """
    if config is None:
        return {}
    if isinstance(config, Mapping):
        return {str(key): value for key, value in config.items()}
    for name in ("to_dict", "model_dump", "as_dict"):
        method = getattr(config, name, None)
        if callable(method) and isinstance(values := method(), Mapping):
            return {str(key): value for key, value in values.items()}
    if hasattr(config, "__dict__"):
        return {key: value for key, value in vars(config).items() if not key.startswith("_")}
    raise TypeError(f"config should be a dict or a namespace, not {type(config).__name__}.")
