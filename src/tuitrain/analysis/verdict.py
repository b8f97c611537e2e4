"""A comparison of several runs in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.comparability import (
    bits_are_comparable,
    data_key,
    held_out,
    is_silent,
    least_evaluated,
    losses_are_comparable,
    tokenizers,
)
from tuitrain.analysis.points import AxisPoint, Point, as_axis_point, as_target, end_of, position
from tuitrain.analysis.series import validation_curve
from tuitrain.analysis.summary import Summary, value_at
from tuitrain.events import parent_of
from tuitrain.runs import RunHistory

NOTICEABLE = 0.005
"""Relative difference below which two losses or speeds are called equal, and none is the best."""

SINGLE = "Single runs do not tell such a difference from chance."


def verdict(
    names: Sequence[str],
    histories: Sequence[RunHistory],
    summaries: Sequence[Summary],
    at: Point | None,
    on_target: Sequence[str] = (),
) -> list[str]:
    """Sentences on loss, speed and utilisation, cautions first where a comparison would mislead.

    at, on_target: of a target the sentences on who reached it, which replace those on the loss. The order of the runs
    changes nothing: of equals the first by name is named first.
    """
    if len(names) < 2:
        return []
    order = sorted(range(len(names)), key=lambda index: names[index])
    names = [names[index] for index in order]
    histories, summaries = [histories[index] for index in order], [summaries[index] for index in order]
    point = None if at is None or as_target(at) else as_axis_point(at)
    sentences = [
        *_forks(names, histories),
        *diverged_sentences(names, summaries),
        *_not_reached(names, histories, summaries, point),
        *silent_sentences(names, histories),
    ]
    by_token = losses_are_comparable(histories)
    sentences += _on_data(names, histories) if by_token else [_different_tokens(names, histories)]
    if on_target:
        sentences += [*on_target, *[SINGLE] * any(" with the least " in sentence for sentence in on_target)]
    elif kept := [index for index, summary in enumerate(summaries) if not summary.has_diverged]:
        ranked, logs = [names[index] for index in kept], [histories[index] for index in kept]
        on_loss = _on_loss if by_token else _on_bytes
        sentences += on_loss(ranked, logs, [summaries[index] for index in kept], point)
    sentences += _on_speed(names, histories, summaries)
    sentences += _on_utilisation(names, summaries)
    return sentences


def _forks(names: Sequence[str], histories: Sequence[RunHistory]) -> list[str]:
    """Which run goes on from a checkpoint of another."""
    ids = {history.run.run_id: name for name, history in zip(names, histories, strict=True) if history.run}
    parents = ((name, parent_of(history.run)) for name, history in zip(names, histories, strict=True))
    return [f"{name} is a fork of {ids.get(of[0], of[0])} at step {of[1]:,}." for name, of in parents if of is not None]


def diverged_sentences(names: Sequence[str], summaries: Sequence[Summary]) -> list[str]:
    """Which runs have a training loss that is no number, whatever their validation loss was before, by name."""
    return sorted(
        f"{name} diverged, so its losses are not ranked: the training loss is {summary.last_loss} at step "
        f"{summary.step:,}."
        for name, summary in zip(names, summaries, strict=True)
        if summary.has_diverged and summary.step is not None
    )


def _not_reached(
    names: Sequence[str], histories: Sequence[RunHistory], summaries: Sequence[Summary], at: AxisPoint | None
) -> list[str]:
    """Which runs have no values at a point: it is before their first record, past their end, or on an unknown axis."""
    if at is None:
        return []
    begin_later, unknown, short = list[str](), list[str](), list[str]()
    for name, history, summary in zip(names, histories, summaries, strict=True):
        if summary.step is None:
            end = end_of(history, at[0])
            group = short if not len(history.steps) else unknown if end is None else begin_later
            (short if end is not None and end < at[1] else group).append(name)
    where = position(*at)
    return [
        *([f"{listed(short)} did not reach {where}."] if short else []),
        *([f"{listed(begin_later)} {_have(begin_later)} no record up to {where}."] if begin_later else []),
        *([f"Whether {listed(unknown)} reached {where} is unknown."] if unknown else []),
    ]


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _different_tokens(names: Sequence[str], histories: Sequence[RunHistory]) -> str:
    known, sizes = tokenizers(histories)
    which = [
        f"{name} {tokenizer or 'an unknown tokenizer'}" + (f" ({size:,} tokens)" if size else "")
        for name, tokenizer, size in zip(names, known, sizes, strict=True)
    ]
    return (
        f"Their losses per token are not comparable, since they use different tokenizers or vocabularies: "
        f"{', '.join(which)}."
    )


def _on_bytes(
    names: Sequence[str], histories: Sequence[RunHistory], summaries: Sequence[Summary], at: AxisPoint | None
) -> list[str]:
    """The fewest bits per byte where all runs have them of one text, else why they are not ranked."""
    if not bits_are_comparable(histories):
        return _why_no_bits(names, histories)
    where = f" at {position(*at)}" if at else " at the end of each run"
    bits = [summary.final_bits_per_byte for summary in summaries]
    return [*_on_samples(histories), *_on_lowest(names, bits, "bits per byte", where)]


def _why_no_bits(names: Sequence[str], histories: Sequence[RunHistory]) -> list[str]:
    """Why runs that have bits per byte are not ranked by them; nothing where none or only one has them."""
    bits = [each is not None and each.bits_per_byte is not None for each in (one.evaluation for one in histories)]
    if sum(bits) < 2:
        return []
    if all(bits):
        return ["Their bits per byte are not ranked either, since they are not known to be of the same held-out text."]
    lacking = [name for name, known in zip(names, bits, strict=True) if not known]
    return [f"They are not ranked by bits per byte, which {listed(lacking)} {_have(lacking)} not."]


def _on_samples(histories: Sequence[RunHistory]) -> list[str]:
    """The caution that sequences differ where each run was evaluated on a part of the same text."""
    least = least_evaluated(histories)
    if least is None:
        return []
    return [
        "They are evaluated on different samples of the same held-out text, of as little as "
        f"{units.percent(least)} of it, so small differences mean nothing."
    ]


def silent_sentences(names: Sequence[str], histories: Sequence[RunHistory]) -> list[str]:
    """The caution that logs, as many of other tools, do not say what their losses are of."""
    silent = [name for name, history in zip(names, histories, strict=True) if is_silent(history)]
    if not silent:
        return []
    name = "names" if len(silent) == 1 else "name"
    logs = f"the log{'s'[: len(silent) > 1]} of {listed(silent)} {name} neither a tokenizer nor a text"
    return [f"Whether their losses measure the same is unknown: {logs}."]


def _on_data(names: Sequence[str], histories: Sequence[RunHistory]) -> list[str]:
    """The caution where training or held-out data differ."""
    sources, measured = [data_key(history, "source") for history in histories], held_out(histories)
    unranked = "their validation losses are not ranked"
    if len({source for source in sources if source is not None}) < 2:
        if measured == "different":
            return [f"They are evaluated on different sequences, so {unranked}."]
        return _on_samples(histories) if measured == "samples" else []
    which = ", ".join(f"{name} {source or 'unknown'}" for name, source in zip(names, sources, strict=True))
    if measured == "different":
        return [f"They are trained and evaluated on different data, so {unranked}: {which}."]
    return [f"They are trained and evaluated on different data, so read their losses with care: {which}."]


def _on_loss(
    names: Sequence[str], histories: Sequence[RunHistory], summaries: Sequence[Summary], at: AxisPoint | None
) -> list[str]:
    """The lowest validation loss, at the same number of tokens where the runs differ in it."""
    where = f" at {position(*at)}" if at else ""
    losses = [summary.final_val_loss for summary in summaries]
    if at is None and (common := _common_tokens(histories)) is not None:
        where = f" at the same {units.count(common)} tokens"
        losses = [value_at(*validation_curve(history, "tokens"), common) for history in histories]
    kind = "validation loss"
    if sum(loss is not None for loss in losses) < 2 or held_out(histories) == "different":
        losses, kind, where = [summary.final_loss for summary in summaries], "training loss", where if at else ""
    return _on_lowest(names, losses, kind, where)


def _on_lowest(names: Sequence[str], losses: Sequence[float | None], kind: str, where: str) -> list[str]:
    """Which loss is the lowest, and that one run of each kind does not tell whether it is so by chance."""
    word = "lower" if len(names) == 2 else "lowest"
    said = _ranked(names, losses, lower=True, sentence=_loss_sentence(f"the {word} {kind}{where}", f"{kind}{where}"))
    return [*said, SINGLE] if said and " practically " not in said[0] else said


def _loss_sentence(lowest: str, same: str) -> Callable[[str, float, str, float], str]:
    def sentence(best: str, value: float, second: str, other: float) -> str:
        share = (other - value) / other
        if share < NOTICEABLE:
            return f"{best} and {second} have practically the same {same}: {value:.4f} and {other:.4f}."
        return f"{best} has {lowest}: {value:.4f}, {units.percent(share)} below {second} ({other:.4f})."

    return sentence


def _common_tokens(histories: Sequence[RunHistory]) -> float | None:
    """The largest token count that every run with evaluations has evaluated up to; None when all ends are equal."""
    ends = []
    for history in histories:
        x, losses = validation_curve(history, "tokens")
        x = x[np.isfinite(x) & np.isfinite(losses)]
        if len(x):
            ends.append(float(x[-1]))
    if len(ends) < 2 or max(ends) - min(ends) <= 1e-6 * max(ends):
        return None
    return min(ends)


def _on_speed(names: Sequence[str], histories: Sequence[RunHistory], summaries: Sequence[Summary]) -> list[str]:
    devices = {_hardware(history) for history in histories} - {None}
    other = " (on different hardware)" if len(devices) > 1 else ""
    fastest = "faster" if len(names) == 2 else "the fastest"

    scatter = step_time_scatter(names, summaries)

    def sentence(best: str, value: float, second: str, slower: float) -> str:
        ratio = value / slower
        rates = f"{units.rate(value)} and {units.rate(slower)}"
        if ratio - 1 < NOTICEABLE:
            return f"{best} and {second} are equally fast{other}: {rates}."
        if ratio - 1 < (noise := max(scatter[best], scatter[second])):
            return (
                f"The speeds of {best} and {second} cannot be told apart{other}: {rates}, "
                f"and step times scatter by ±{units.percent(noise)}."
            )
        times = f"{ratio:.2f}×" if ratio < 10 else f"{ratio:,.0f}×"
        return f"{best} is {fastest}{other}: {units.rate(value)}, {times} {second} ({units.rate(slower)})."

    return _ranked(names, [summary.mean_tokens_per_sec for summary in summaries], lower=False, sentence=sentence)


def step_time_scatter(names: Sequence[str], summaries: Sequence[Summary]) -> dict[str, float]:
    """The relative scatter of each run's step times: speeds that differ by less are not ranked. 0 where unknown."""
    return {name: summary.step_time_scatter or 0.0 for name, summary in zip(names, summaries, strict=True)}


def _on_utilisation(names: Sequence[str], summaries: Sequence[Summary]) -> list[str]:
    """Which run has the higher MFU; nothing where the shown digits are the same or the scatter is larger."""
    better = "better" if len(names) == 2 else "best"
    scatter = step_time_scatter(names, summaries)

    def sentence(best: str, value: float, second: str, other: float) -> str:
        if value / other - 1 < NOTICEABLE:
            return f"{best} and {second} use the hardware equally well: {units.percent(value)} MFU."
        noise = max(scatter[best], scatter[second])
        if value / other - 1 < noise or units.percent(value) == units.percent(other):
            return ""
        return (
            f"{best} uses the hardware {better}: {units.percent(value)} MFU against {units.percent(other)} of {second}."
        )

    return _ranked(names, [summary.mean_mfu for summary in summaries], lower=False, sentence=sentence)


def _ranked(
    names: Sequence[str],
    values: Sequence[float | None],
    *,
    lower: bool,
    sentence: Callable[[str, float, str, float], str],
) -> list[str]:
    """A sentence on the best and the second best; none when fewer than two values are known or it is empty."""
    finite = [
        (value, name)
        for name, value in zip(names, values, strict=True)
        if value is not None and math.isfinite(value) and value > 0
    ]
    if len(finite) < 2:
        return []
    (best, first), (other, second) = sorted(finite, key=lambda pair: pair[0], reverse=not lower)[:2]
    return [text] if (text := sentence(first, best, second, other)) else []


def _hardware(history: RunHistory) -> tuple[str, int] | None:
    run = history.run
    return (run.hardware.device, run.hardware.count) if run and run.hardware else None


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
