"""Commands that run on another machine: what of a command line goes there."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

import typer


def may_ask() -> bool:
    """Whether `ssh` may ask for a password."""
    return sys.stdin.isatty()


def forwarded(ctx: typer.Context, without: Collection[str]) -> list[str]:
    """The options that were given on the command line, as words for the same command elsewhere.

    without: names of parameters that are left out, the arguments among them.
    """
    words = []
    for parameter in ctx.command.params:
        name = parameter.name or ""
        source = ctx.get_parameter_source(name)
        if name in without or source is None or source.name != "COMMANDLINE":
            continue
        words += _words(parameter, ctx.params[name])
    return words


def _words(parameter: Any, value: Any) -> list[str]:
    flag = max(parameter.opts, key=len)
    if isinstance(value, bool):
        return [flag if value else max(parameter.secondary_opts, key=len)]
    return [f"{flag}={each}" for each in (value if isinstance(value, list | tuple) else [value])]
