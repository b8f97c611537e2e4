"""Runs that share the value of a configuration key or their tags, as one: mean and standard deviation over them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuitrain.analysis.comparability import held_out, losses_are_comparable
from tuitrain.analysis.compare import Comparison, Outcomes, outcomes, unread_sentences
from tuitrain.analysis.config_rows import config_rows, config_text, is_configured, resolved_config
from tuitrain.analysis.metric_rows import MetricRow, p_text, ranking
from tuitrain.analysis.points import as_point
from tuitrain.analysis.student import welch
from tuitrain.analysis.verdict import diverged_sentences, silent_sentences
from tuitrain.runs import RunHistory

OTHER_TEXT = "They are evaluated on different sequences, so their validation losses are not ranked."
_RANKED_BY = {
    "final_val_loss": "validation loss", "final_bits_per_byte": "bits per byte", "final_loss": "training loss",
}  # fmt: skip
"""What groups are ranked by: the first of these that all have in one unit."""
TAG = "tag"
NOT_COMPARABLE = "Their losses per token are not comparable, since they use different tokenizers or vocabularies."


@dataclass(frozen=True)
class Member:
    """A run that takes part: the name it is shown by, its log, its tags."""

    name: str
    history: RunHistory
    tags: Sequence[str] = ()


def group_runs(
    members: Sequence[Member],
    key: str,
    *,
    baseline: int = 0,
    at: tuple[str, float] | None = None,
    usd_per_gpu_hour: float | None = None,
) -> Comparison:
    """Groups of the runs side by side, the first one first; the baseline is the group of that run.

    key: a configuration key, the end of one if no other ends so (`lr` for `optim.lr`), `preset`, `name` or `tag`.
    Values are means over a group, spreads sample standard deviations, None for fewer than two known values; a loss
    that ended as nan makes the mean nan. Raises ValueError for a key that no run has.
    """
    histories = [member.history for member in members]
    configs = [resolved_config(history) for history in histories]
    named = [_names(history) | config for history, config in zip(histories, configs, strict=True)]
    resolved = _resolve(key, named)
    labels = [_label(resolved, member, config) for member, config in zip(members, named, strict=True)]
    names = list(dict.fromkeys(labels))
    groups = [[index for index, label in enumerate(labels) if label == name] for name in names]
    base, point = names.index(labels[baseline]), None if at is None else as_point(*at)
    found = outcomes(
        [(member.name, member.history) for member in members], point, names, groups, base, usd_per_gpu_hour
    )
    return Comparison(
        names=[f"{name} ({len(group)} run{'s'[: len(group) > 1]})" for name, group in zip(names, groups, strict=True)],
        baseline=base,
        at=point,
        summaries=[],
        metrics=found.rows,
        config=config_rows([[configs[index] for index in group] for group in groups]),
        verdict=[
            *unread_sentences([member.name for member in members], histories),
            *diverged_sentences([member.name for member in members], found.summaries),
            *silent_sentences([member.name for member in members], histories),
            *_verdict(names, histories, found),
        ],
        findings=found.findings,
        speed=found.speed,
        scaling=found.scaling,
        broken_lines=[sum(histories[index].broken_count for index in group) for group in groups],
        unconfigured=[any(not is_configured(configs[index]) for index in group) for group in groups],
        groups=[[members[index].name for index in group] for group in groups],
    )


def _names(history: RunHistory) -> dict[str, Any]:
    """Name and preset, which are no differences of a configuration but may well make groups."""
    return {key: history.config[key] for key in ("name", "preset") if key in history.config}


def _resolve(key: str, configs: Sequence[Mapping[str, Any]]) -> str:
    if key == TAG:
        return key
    keys = list(dict.fromkeys(name for config in configs for name in config))
    if key in keys:
        return key
    matches = [name for name in keys if name.endswith(f".{key}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ValueError(f"{key!r} is the end of {len(matches)} keys: {', '.join(matches)}. Give the whole key.")
    near = difflib.get_close_matches(key, [*keys, TAG], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else " `tuitrain show RUN` lists the keys."
    raise ValueError(f"No run has the key {key!r}.{hint}")


def _label(key: str, member: Member, config: Mapping[str, Any]) -> str:
    if key == TAG:
        return " ".join(sorted(member.tags)) or "no tags"
    return f"{key.rpartition('.')[2]}={config_text(key, config)}"


def _verdict(names: Sequence[str], histories: Sequence[RunHistory], found: Outcomes) -> list[str]:
    """The group with the lowest loss and the fastest one, and whether that is more than chance.

    names: of the groups. The order of the groups changes nothing.
    """
    by_key = {row.metric.key: row for row in found.rows}
    loss = next((row for key in _RANKED_BY if (row := by_key.get(key)) is not None and row.ranked), None)
    sentences = []
    if not losses_are_comparable(histories):
        sentences.append(NOT_COMPARABLE)
    elif held_out(histories) == "different":
        sentences.append(OTHER_TEXT)
    if found.on_target:
        sentences += found.on_target
    elif loss is not None:
        what = f"the {'lower' if len(names) == 2 else 'lowest'} {_RANKED_BY[loss.metric.key]}"
        sentences.append(_on_groups(names, loss, what))
    if (speed := by_key.get("mean_tokens_per_sec")) is not None:
        sentences.append(_on_groups(names, speed, f"the {'higher' if len(names) == 2 else 'highest'} throughput"))
    return [sentence for sentence in sentences if sentence]


def _on_groups(names: Sequence[str], row: MetricRow, what: str) -> str:
    """The best group against the second, with Welch's test; empty where fewer than two are known."""
    order = sorted(range(len(names)), key=lambda index: names[index])
    values = row.ranked_values
    ranked = [order[each] for each in ranking(row.metric, [values[index] for index in order])]
    if len(ranked) < 2:
        return ""
    best, second = ranked[:2]
    texts = [f"{row.value_text(index)} (n = {row.counts[index]})" for index in (best, second)]
    if row.values[best] == row.values[second]:
        return f"{names[best]} and {names[second]} have the same {what.split(' ', 2)[2]}: {texts[0]}."
    sentence = f"{names[best]} has {what}: {texts[0]} against {texts[1]} of {names[second]}"
    if min(row.counts[best], row.counts[second]) < 2:
        return f"{sentence}; a single run does not tell this from chance."
    test = welch(row.sample(best), row.sample(second))
    if test is None:
        return f"{sentence}; no run of either group differs from the others of its group, which allows no test."
    means = "more than chance explains" if test.is_significant else "which chance may explain"
    return (
        f"{sentence}; Welch's t = {abs(test.t):.2f} with {test.df:.1f} degrees of freedom, {p_text(test.p)}: {means}."
    )
