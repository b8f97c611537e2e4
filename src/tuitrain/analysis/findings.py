"""What a comparison finds, in plain sentences: the best of each metric, and why the speeds differ.

Only what follows from the numbers of the logs is said, with the numbers: factors multiply up to the ratio that they
explain, and parts add up to their whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuitrain.analysis import units
from tuitrain.analysis.metric_rows import MetricRow
from tuitrain.analysis.speed import Account, Named
from tuitrain.analysis.verdict import NOTICEABLE, listed

_MOST_PAIRS = 4
"""Slower runs that are each compared with the fastest; of more only the slowest."""
_MFU_DIFFERS = 0.03
"""Relative difference from which on the MFU of a log is not the one that follows from its other numbers, or two MFU
are worth an explanation."""
_SIZES = {
    "device": "device", "micro_batch": "micro-batch", "layers": "layers", "width": "width", "heads_width": "heads",
    "feed_forward": "feed-forward", "vocabulary": "vocabulary", "seq_len": "sequence",
}  # fmt: skip
"""Fields of an account by what they are called."""
_MORE_ARITHMETIC = "which computes up to a third more than MFU counts"


def best_sentences(names: Sequence[str], rows: Sequence[MetricRow]) -> list[str]:
    """The metrics in which each run is the best, by name. Perplexity ranks as its loss does."""
    rows = [row for row in rows if row.metric.key != "final_perplexity"]
    sentences = []
    for index in sorted({row.best for row in rows if row.best is not None}, key=lambda index: names[index]):
        best = [f"{row.metric.title} ({row.value_text(index)})" for row in rows if row.best == index]
        sentences.append(f"{names[index]} is the best in {'; '.join(best)}.")
    return sentences


def speed_sentences(runs: Sequence[Named]) -> list[str]:
    """Why runs differ in speed, in the cost of a token, the time of a step and MFU. Their order changes nothing."""
    known = sorted((run for run in runs if run.account.tokens_per_sec), key=lambda run: (-_rate(run), run.name))
    if len(known) < 2:
        return []
    slower = [run for run in known[1:] if not _equally_fast(known[0], run)]
    if len(slower) > _MOST_PAIRS:
        slower = slower[-1:]
    return [
        *(_on_pair(known[0], run) for run in slower),
        *_on_cost(known),
        *_on_steps(known),
        *_on_utilisation(known),
        *_on_logged_mfu(known),
    ]


def _rate(run: Named) -> float:
    return run.account.tokens_per_sec or math.nan


def _equally_fast(fast: Named, slow: Named) -> bool:
    return _rate(fast) / _rate(slow) - 1 < max(NOTICEABLE, fast.scatter, slow.scatter)


def _on_pair(fast: Named, slow: Named) -> str:
    """The ratio of two speeds as a product."""
    one, other = fast.account, slow.account
    ratio = f"{fast.name} trains {_times(_rate(fast) / _rate(slow))} times the tokens per second of {slow.name}"
    rates = f"({units.count(_rate(fast))} against {units.count(_rate(slow))})"
    unknown = sorted(run.name for run in (fast, slow) if run.account.flops_per_token is None)
    if one.flops_per_token is None or other.flops_per_token is None:
        return f"{ratio} {rates}; why is not known, since the FLOPs per token of {listed(unknown)} are not."
    factors = [
        (other.flops_per_token / one.flops_per_token,
         f"FLOPs per token: {units.flop(one.flops_per_token)} against {units.flop(other.flops_per_token)}"),
        *_throughput_factors(one, other),
    ]  # fmt: skip
    return f"{ratio} {rates} = {_product(factors)}."


def _throughput_factors(one: Account, other: Account) -> list[tuple[float, str]]:
    """The ratio of the FLOP/s of two runs: by devices, their peak and MFU where all are known."""
    if one.achieved_tflops is None or other.achieved_tflops is None:
        return []
    if not (one.utilisation and other.utilisation and one.devices and other.devices):
        text = f"FLOP/s delivered: {one.achieved_tflops:,.3g} against {other.achieved_tflops:,.3g} TFLOP/s"
        return [(one.achieved_tflops / other.achieved_tflops, text)]
    peaks = one.peak_tflops or math.nan, other.peak_tflops or math.nan
    return [
        (one.devices / other.devices, f"devices: {one.devices:,} against {other.devices:,}"),
        (peaks[0] / peaks[1], f"peak of one: {peaks[0]:,.4g} against {peaks[1]:,.4g} TFLOP/s"),
        (one.utilisation / other.utilisation,
         f"MFU: {_percent(one.utilisation)} against {_percent(other.utilisation)}"),
    ]  # fmt: skip


def _product(factors: Sequence[tuple[float, str]]) -> str:
    """Factors with what they are; those that are 1 are left out."""
    shown = [(value, text) for value, text in factors if _times(value) != "1.00"] or list(factors[:1])
    return " × ".join(f"{_times(value)} ({text})" for value, text in shown)


def _times(ratio: float) -> str:
    return units.exact(ratio, 3)


def _on_cost(runs: Sequence[Named]) -> list[str]:
    """The difference between the dearest and the cheapest token as a sum of its parts."""
    known = [run for run in runs if run.account.blocks is not None and run.account.flops_per_token is not None]
    if len(known) < 2:
        return []
    cheap, dear = (pick(known, key=lambda run: run.account.flops_per_token or 0.0) for pick in (min, max))
    one, other = cheap.account, dear.account
    total = (other.flops_per_token or 0.0) - (one.flops_per_token or 0.0)
    if total <= NOTICEABLE * (one.flops_per_token or 0.0):
        return []
    parts = (
        ("the blocks", other.blocks, one.blocks, ("layers", "width", "heads_width", "feed_forward")),
        ("the output head", other.head, one.head, ("vocabulary", "width")),
        ("attention over the context", other.attention, one.attention, ("layers", "heads_width", "seq_len")),
    )
    texts = [
        f"{_signed_flop(more - less)} in {name}{_shapes(one, other, fields)}"
        for name, more, less, fields in parts
        if more is not None and less is not None and more != less
    ]
    return [f"A token costs {dear.name} {units.flop(total)} more than {cheap.name}: {', '.join(texts)}."]


def _shapes(one: Account, other: Account, fields: Sequence[str]) -> str:
    """The sizes in which two models differ, that of the second first: ` (layers 30 against 18)`."""
    texts = [
        f"{_SIZES[field]} {_size(getattr(other, field))} against {_size(getattr(one, field))}"
        for field in fields
        if getattr(one, field) != getattr(other, field)
    ]
    return f" ({', '.join(texts)})" if texts else ""


def _size(value: float | str | None) -> str:
    return units.UNKNOWN if value is None else value if isinstance(value, str) else f"{value:,}"


def _percent(share: float) -> str:
    """Per cent with three digits, so that ratios can be checked."""
    return f"{units.exact(100 * share, 3)} %"


def _signed_flop(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{units.flop(abs(value))}"


def _on_steps(runs: Sequence[Named]) -> list[str]:
    """The ratio of the longest and the shortest step as a product, where steps have different numbers of tokens."""
    known = [run for run in runs if run.account.step_s and run.account.tokens_per_step and _step_agrees(run.account)]
    if len(known) < 2:
        return []
    short, long = (pick(known, key=lambda run: run.account.step_s or 0.0) for pick in (min, max))
    one, other = long.account, short.account
    tokens = one.tokens_per_step or 0, other.tokens_per_step or 0
    if tokens[0] == tokens[1]:
        return []
    seconds = one.step_s or math.nan, other.step_s or math.nan
    factors = [
        (tokens[0] / tokens[1], f"tokens of a step: {tokens[0]:,} against {tokens[1]:,}"),
        (seconds[0] / seconds[1] * tokens[1] / tokens[0], "time of a token"),
    ]
    head = f"A step of {long.name} takes {_times(seconds[0] / seconds[1])} times as long as one of {short.name}"
    times = f"({units.duration(seconds[0])} against {units.duration(seconds[1])})"
    return [f"{head} {times} = {_product(factors)}{_batch_text(one, other)}."]


def _step_agrees(account: Account) -> bool:
    """Whether the tokens of a step, the time of a step and the tokens per second go together."""
    expected = (account.tokens_per_step or 0) / (account.step_s or math.nan)
    return abs(expected / (account.tokens_per_sec or math.nan) - 1) <= _MFU_DIFFERS


def _batch_text(one: Account, other: Account) -> str:
    """How the batches differ."""
    if one.accumulation is None or other.accumulation is None or one.accumulation == other.accumulation:
        return ""
    batches = f"{one.accumulation:,} micro-batches against {other.accumulation:,}"
    return f"; it accumulates {batches}, which makes a step longer but no token dearer"


def _on_utilisation(runs: Sequence[Named]) -> list[str]:
    """What else differs between the best and the worst user of the hardware: what may, not what does explain it."""
    known = [run for run in runs if run.account.utilisation]
    if len(known) < 2:
        return []
    low, high = (pick(known, key=lambda run: run.account.utilisation or 0.0) for pick in (min, max))
    one, other = high.account, low.account
    best, worst = one.utilisation or 0.0, other.utilisation or 0.0
    if best / worst - 1 < max(_MFU_DIFFERS, low.scatter, high.scatter):
        return []
    differences = [
        f"{name} ({_size(getattr(one, field))} against {_size(getattr(other, field))})"
        for field, name in _SIZES.items()
        if None not in (values := (getattr(one, field), getattr(other, field))) and values[0] != values[1]
    ]
    for name, each in ((high.name, one), (low.name, other)):
        if one.recomputation != other.recomputation and each.recomputation not in (None, "none"):
            differences.append(f"recomputation ({each.recomputation} in {name}, {_MORE_ARITHMETIC})")
    head = f"MFU is {_percent(best)} of {high.name} and {_percent(worst)} of {low.name}"
    if not differences:
        return [f"{head}; nothing that is accounted for explains it."]
    unsaid = "and the logs do not say how much each of these accounts for"
    return [f"{head}; they differ in {listed(differences)}, {unsaid}."]


def _on_logged_mfu(runs: Sequence[Named]) -> list[str]:
    """A caution for each run whose log has another MFU than follows from its tokens per second."""
    sentences = []
    for run in sorted(runs, key=lambda run: run.name):
        logged, follows = run.account.logged_mfu, run.account.utilisation
        if logged and follows and abs(follows / logged - 1) > _MFU_DIFFERS:
            sentences.append(
                f"The MFU in the log of {run.name}, {_percent(logged)}, is not the {_percent(follows)} that "
                "follow from its tokens per second, its FLOPs per token and the peak: see `tuitrain audit`."
            )
    return sentences
