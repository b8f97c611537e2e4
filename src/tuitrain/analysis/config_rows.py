"""The configurations of several runs side by side: the keys in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuitrain.analysis import units
from tuitrain.analysis.metrics import NOT_AVAILABLE
from tuitrain.config import flatten
from tuitrain.runs import RunHistory

_VALUES_SHOWN = 4
_RESOLVED = "resolved."


@dataclass(frozen=True)
class ConfigRow:
    """A key whose values differ, one text a run."""

    key: str
    values: list[str]


def resolved_config(history: RunHistory) -> dict[str, Any]:
    """The config of a run by dotted keys, and what `auto` and the machine made of it as far as known."""
    run = history.run
    config = {key: value for key, value in flatten(history.config).items() if key not in ("name", "preset")}
    if run is None:
        return config
    resolved = {
        "device": run.hardware.device if run.hardware else None,
        "processes": run.parallel.world_size if run.parallel else None,
        "strategy": run.parallel.strategy if run.parallel else None,
        "dtype": run.dtype,
        "compile": run.compile,
        "attention": run.attention_backend,
        "torch": run.software.torch if run.software else None,
        "git_commit": run.software.git_commit if run.software else None,
    }
    return config | {f"{_RESOLVED}{key}": value for key, value in resolved.items() if value is not None}


def is_configured(config: Mapping[str, Any]) -> bool:
    """Whether a resolved config has keys that the log's writer was given."""
    return any(not key.startswith(_RESOLVED) for key in config)


def config_rows(columns: Sequence[Sequence[Mapping[str, Any]]]) -> list[ConfigRow]:
    """Keys in which any two runs differ. columns: the configurations of one run, or of a group.

    A run without a configuration differs in no key that its log lacks; its values there are `n/a`.
    """
    configs = [config for column in columns for config in column]
    rows = []
    for key in dict.fromkeys(key for config in configs for key in config):
        values = [config.get(key) for config in configs if _is_known(key, config)]
        # nan is the same as nan here.
        if any(value != values[0] and (value == value or values[0] == values[0]) for value in values[1:]):
            rows.append(ConfigRow(key, [_column_text(key, column) for column in columns]))
    return rows


def _is_known(key: str, config: Mapping[str, Any]) -> bool:
    """Whether the log says what the key is, or that it is unset."""
    return key in config or is_configured(config)


def _column_text(key: str, column: Sequence[Mapping[str, Any]]) -> str:
    return listed_values(list(dict.fromkeys(config_text(key, config) for config in column)))


def config_text(key: str, config: Mapping[str, Any]) -> str:
    """The value of a key in a resolved config, `n/a` where the log holds no configuration."""
    return units.config_value(config.get(key)) if _is_known(key, config) else NOT_AVAILABLE


def listed_values(texts: Sequence[str]) -> str:
    """The first few of these texts, and how many more there are."""
    more = len(texts) - _VALUES_SHOWN
    return ", ".join(texts[:_VALUES_SHOWN]) + (f" and {more} more" if more > 0 else "")
