"""Which options of a command go together, and the sentences that refuse the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import typer


class Rule(NamedTuple):
    """Refuses options in a case.

    sentence: with {} in place of those that were given. where: words that must all hold; unless: words of which none
    may. A word is an option that was given, or one of the command's own, such as `sweep`. most: how many of the options
    may be given.
    """

    options: str
    sentence: str
    where: str = ""
    unless: str = ""
    most: int = 0


DETACH_OR_FOREGROUND = Rule("--detach --foreground", "{} exclude each other.", most=1)
SKIP_NEEDS_RETRIES = Rule("--skip-bad-batch", "{} needs --retries.", unless="--retries")

BY_HAND = (
    Rule("--rendezvous --min-nodes", "{}: only with --node-rank.", unless="--node-rank"),
    Rule("--nodes", "{} needs --node-rank and --rendezvous, on each of the nodes.", unless="--node-rank --slurm"),
    Rule("--node-rank", "{} needs --nodes, how many there are.", unless="--nodes"),
    Rule("--node-rank", "{} needs --rendezvous HOST:PORT, where the nodes meet.", unless="--rendezvous"),
)
"""Several nodes without Slurm."""


def refuse(ctx: typer.Context, rules: Sequence[Rule], words: Collection[str] = ()) -> None:
    """Raise BadParameter with the sentence of the first rule that refuses what was given. words: that hold besides."""
    given = {flag_of(each) for each in ctx.command.params if _is_given(each, ctx.params.get(each.name or ""))}
    holds = given.union(words)
    for rule in rules:
        refused = [option for option in rule.options.split() if option in given]
        if len(refused) > rule.most and holds.issuperset(rule.where.split()) and holds.isdisjoint(rule.unless.split()):
            raise typer.BadParameter(rule.sentence.format(" and ".join(refused)))


def flag_of(parameter: Any) -> str:
    """The long form of an option, such as --detach."""
    return str(max(parameter.opts, key=len))


def _is_given(parameter: Any, value: Any) -> bool:
    return value not in (None, [], (), parameter.default)
