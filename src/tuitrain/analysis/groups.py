"""Runs that share the value of a configuration key or their tags, as one: mean and standard deviation over them."""

from __future__ import annotations

import difflib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuitrain.analysis import units
from tuitrain.analysis.compare import (
    LOSS_KEYS,
    Comparison,
    ConfigRow,
    MetricRow,
    best_of,
    described,
    metrics_at,
    unread_sentences,
)  # fmt: skip
from tuitrain.analysis.metrics import Metric
from tuitrain.analysis.series import Axis
from tuitrain.analysis.summary import Summary, summarize
from tuitrain.analysis.verdict import losses_are_comparable
from tuitrain.runs import RunHistory

TAG = "tag"
_VALUES_SHOWN = 4
_APART = 2.0
"""Standard errors between two means from which on they are called different."""


@dataclass(frozen=True)
class Member:
    """A run that takes part: the name it is shown by, its log, its tags."""

    name: str
    history: RunHistory
    tags: Sequence[str] = ()


def group_runs(
    members: Sequence[Member], key: str, *, baseline: int = 0, at: tuple[Axis, float] | None = None
) -> Comparison:
    """Groups of the runs side by side, the first seen first; the baseline is the group of that run.

    key: a configuration key, the end of one if no other ends so (`lr` for `optim.lr`), `preset`, `name` or `tag`.
    Values are means over a group, spreads sample standard deviations, None for fewer than two known values; a loss
    that ended as nan makes the mean nan. Raises ValueError for a key that no run has.
    """
    facts = [described(member.history.run) for member in members]
    named = [known | _names(member.history) for member, known in zip(members, facts, strict=True)]
    resolved = _resolve(key, named)
    labels = [_label(resolved, member, known) for member, known in zip(members, named, strict=True)]
    names = list(dict.fromkeys(labels))
    places = [[place for place, label in enumerate(labels) if label == name] for name in names]
    summaries = [summarize(member.history, at) for member in members]
    base = names.index(labels[baseline])
    histories = [member.history for member in members]
    comparable = losses_are_comparable(histories)
    rows = [
        _row(about, [[summaries[place] for place in group] for group in places], base,
             ranked=comparable or about.key not in LOSS_KEYS)
        for about in metrics_at(histories, at)
    ]  # fmt: skip
    rows = [row for row in rows if any(value is not None for value in row.values)]
    return Comparison(
        names=[f"{name} ({len(group)} run{'s'[: len(group) > 1]})" for name, group in zip(names, places, strict=True)],
        baseline=base,
        at=at,
        summaries=[],
        metrics=rows,
        config=_differing([[facts[place] for place in group] for group in places]),
        verdict=[*unread_sentences([member.name for member in members], histories), *_verdict(names, rows)],
        broken_lines=[sum(histories[place].broken_count for place in group) for group in places],
        groups=[[members[place].name for place in group] for group in places],
    )


def _names(history: RunHistory) -> dict[str, Any]:
    """Name and preset, which are no differences of a configuration but may well make groups."""
    config = history.run.config if history.run is not None else {}
    return {key: config[key] for key in ("name", "preset") if key in config}


def _resolve(key: str, facts: Sequence[Mapping[str, Any]]) -> str:
    if key == TAG:
        return key
    known = list(dict.fromkeys(name for each in facts for name in each))
    if key in known:
        return key
    ends = [name for name in known if name.endswith(f".{key}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ValueError(f"{key!r} is the end of {len(ends)} keys: {', '.join(ends)}. Give the whole key.")
    near = difflib.get_close_matches(key, [*known, TAG], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else " `tuitrain show RUN` lists the keys."
    raise ValueError(f"No run has the key {key!r}.{hint}")


def _label(key: str, member: Member, facts: Mapping[str, Any]) -> str:
    if key == TAG:
        return " ".join(sorted(member.tags)) or "no tags"
    return f"{key.rpartition('.')[2]}={units.config_value(facts.get(key))}"


def _row(about: Metric, groups: Sequence[Sequence[Summary]], baseline: int, *, ranked: bool) -> MetricRow:
    values: list[float | None] = []
    spreads: list[float | None] = []
    counts: list[int] = []
    for group in groups:
        raw = (getattr(summary, about.key) for summary in group)
        known = [float(value) for value in raw if value is not None]
        values.append(sum(known) / len(known) if known else None)
        spreads.append(_spread(known))
        counts.append(len(known))
    reference = values[baseline]
    deltas = [
        value / reference - 1
        if ranked and index != baseline and value is not None and reference and math.isfinite(value / reference)
        else None
        for index, value in enumerate(values)
    ]
    return MetricRow(about, values, deltas, best_of(about, values) if ranked else None, baseline, spreads, counts)


def _spread(known: Sequence[float]) -> float | None:
    """Sample standard deviation."""
    if len(known) < 2 or not all(map(math.isfinite, known)):
        return None
    return statistics.stdev(known)


def _differing(groups: Sequence[Sequence[Mapping[str, Any]]]) -> list[ConfigRow]:
    """Keys in which any two runs differ, with the values of each group."""
    keys = dict.fromkeys(key for group in groups for facts in group for key in facts)
    rows = []
    for key in keys:
        texts = [list(dict.fromkeys(units.config_value(facts.get(key)) for facts in group)) for group in groups]
        if len({text for group in texts for text in group}) > 1:
            rows.append(ConfigRow(key, [_some(group) for group in texts]))
    return rows


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - _VALUES_SHOWN
    return ", ".join(texts[:_VALUES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _verdict(names: Sequence[str], rows: Sequence[MetricRow]) -> list[str]:
    """The group with the lowest loss, and whether its distance to the second is more than chance."""
    by_key = {row.metric.key: row for row in rows}
    row = by_key.get("final_val_loss") or by_key.get("final_loss")
    if row is None or row.best is None:
        return []
    ranked = sorted(
        (value, index) for index, value in enumerate(row.values) if value is not None and math.isfinite(value)
    )
    (value, best), (other, second) = ranked[:2]
    what = "validation loss" if row.metric.key == "final_val_loss" else "training loss"
    lowest = "lower" if len(names) == 2 else "lowest"
    values = f"{row.value_text(best)} against {row.value_text(second)} of {names[second]}"
    sentence = f"{names[best]} has the {lowest} {what}: {values}"
    error = _standard_error(row, best, second)
    if error is None:
        return [f"{sentence}; with single runs nothing tells this from chance."]
    apart = (other - value) / error if error else math.inf
    means = "more than chance explains" if apart >= _APART else "which chance may explain"
    return [f"{sentence}; the means are {apart:.1f} standard errors apart, {means}."]


def _standard_error(row: MetricRow, one: int, other: int) -> float | None:
    """Of the difference of two means, as in Welch's test: sqrt(s₁²/n₁ + s₂²/n₂)."""
    parts = []
    for index in (one, other):
        spread = row.spreads[index]
        if spread is None:
            return None
        parts.append(spread**2 / row.counts[index])
    return math.sqrt(sum(parts))
