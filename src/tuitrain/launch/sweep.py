"""Sweeps: overrides with several values of a key, as the configurations of a group of runs."""

from __future__ import annotations

import itertools
import random
import secrets
from collections.abc import Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from tuitrain.config import ConfigError, RunConfig, load_config
from tuitrain.config.errors import quoted
from tuitrain.config.keys import field_at

FREE_TEXT = ("name", "sampling.prompt")
"""Keys whose text may have commas."""
MOST_RUNS = 1000
_PAIRS = {"[": "]", "{": "}", "(": ")"}


def values_of(override: str) -> list[str]:
    """The overrides, one for each value, that `KEY=A,B,C` stands for.

    A comma outside of quotes and brackets divides values. In free text it never does; in a list or a table only
    between brackets: `optim.betas=[0.9,0.95],[0.9,0.99]`. Raises ConfigError for a value that is missing.
    """
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or key in FREE_TEXT:
        return [override]
    parts = [part.strip() for part in _divided(text)]
    if len(parts) == 1 or (_is_collection(key) and not all(part[:1] in _PAIRS for part in parts)):
        return [override]
    if not all(parts):
        raise ConfigError(f"{quoted(override)} lacks a value beside a comma.", key)
    return [f"{key}={part}" for part in parts]


def grid(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each run: every combination of the values, the last key varying fastest. Raises ConfigError."""
    values = [values_of(override) for override in overrides]
    count = 1
    for each in values:
        count *= len(each)
    if count > MOST_RUNS:
        raise ConfigError(f"The sweep has {count:,} runs, more than {MOST_RUNS:,}: leave values out.")
    return [list(each) for each in itertools.product(*values)]


def sample(runs: list[list[str]], count: int) -> list[list[str]]:
    """So many of the runs at random, always the same ones of a grid, in its order."""
    if count >= len(runs):
        return runs
    return [runs[index] for index in sorted(random.Random(0).sample(range(len(runs)), count))]


def sweep_configs(preset: str, runs: Sequence[Sequence[str]], name: str | None) -> tuple[str, list[RunConfig]]:
    """The name of the group, and the configuration of each run, called after it with a number.

    name: of the group; None makes one up after the preset. Raises as `load_config` does, and ConfigError where two
    runs are the same.
    """
    group = name or f"{load_config(preset, runs[0]).name[:50]}-sweep-{secrets.token_hex(2)}"
    digits = len(str(len(runs)))
    stem = group[: 63 - digits]
    configs = [
        load_config(preset, [*overrides, f"name={stem}-{number:0{digits}d}"])
        for number, overrides in enumerate(runs, 1)
    ]
    _refuse_equal(runs, configs)
    return group, configs


def _refuse_equal(runs: Sequence[Sequence[str]], configs: Sequence[RunConfig]) -> None:
    first: dict[str, int] = {}
    for index, config in enumerate(configs):
        same = first.setdefault(config.model_dump_json(exclude={"name"}), index)
        if same != index:
            one, other = (" ".join(run) for run in (runs[same], runs[index]))
            raise ConfigError(
                f"Two runs of the sweep would be the same, {quoted(one)} and {quoted(other)}: leave one value out."
            )


def _divided(text: str) -> list[str]:
    """The text divided at commas outside of quotes and brackets; one that is not closed reaches to the end."""
    parts, closing, quote = [""], list[str](), ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in _PAIRS:
            closing.append(_PAIRS[character])
        elif closing and character == closing[-1]:
            closing.pop()
        if character == "," and not quote and not closing:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _is_collection(key: str) -> bool:
    """Whether the values of a key are lists or tables."""
    field = field_at(RunConfig, key)
    return field is not None and _has_collection(field.annotation)


def _has_collection(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(map(_has_collection, get_args(annotation)))
    return origin in (tuple, list, dict, set, frozenset)
