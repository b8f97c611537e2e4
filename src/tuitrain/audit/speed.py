"""Tokens per second against tokens per step and step time."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tuitrain.analysis import units
from tuitrain.audit.arithmetic import Mismatch, comparison, differ, middle, mismatch, nearest
from tuitrain.audit.audited_log import BETWEEN_MEANS, AuditedLog, Segment
from tuitrain.audit.conventions import flops_of
from tuitrain.audit.finding import Finding, NotCheckedError, Severity
from tuitrain.audit.utilisation import HIGHEST_MFU


def find_throughput(log: AuditedLog) -> Iterator[Finding]:
    """Tokens per second against the tokens of a step by its time."""
    checked = False
    for segment in log.segments_with("tokens_per_sec", "step_time_ms"):
        per_step, micro, length = segment.tokens_per_step, segment.claims.micro_batch, segment.claims.seq_len
        if per_step is not None:
            checked = True
            yield from _throughput(segment, per_step)
        elif micro is not None and length is not None:
            checked = True
            yield from _less_than_a_micro_batch(segment, micro, length)
    if not checked:
        raise NotCheckedError("the tokens of a step are not known")


def _throughput(segment: Segment, per_step: float) -> Iterator[Finding]:
    claims, stated = segment.claims, segment["tokens_per_sec"]
    expected = per_step * 1000 / segment["step_time_ms"]
    tolerance = segment.tolerance("tokens_per_sec", "step_time_ms")
    wrong = mismatch(segment["step"], stated, expected, tolerance, each=claims.is_exact)
    if wrong is None or _is_of_one_device(segment, wrong):
        return
    step_time = units.milliseconds(per_step * 1000 / wrong.expected)
    message = (
        f"{wrong.where} tokens_per_sec is {wrong.stated:,.0f}, but {per_step:,.0f} tokens in a step of {step_time} are "
        f"{wrong.expected:,.0f} a second: the first is {comparison(wrong.stated, wrong.expected)}."
    )
    severity: Severity = "impossible" if claims.is_exact or claims.tokens_per_step is not None else "suspicious"
    values = {"tokens_per_sec": wrong.stated, "by_step_time": wrong.expected}
    likelier = _of_devices(segment, wrong.stated / wrong.expected) or _likelier_rate(segment, wrong)
    yield Finding(severity, message, likelier, values, wrong.steps)


def _less_than_a_micro_batch(segment: Segment, micro: int, length: int) -> Iterator[Finding]:
    """Where the other factors of a step are unknown: it has one micro-batch at least."""
    tokens = segment["tokens_per_sec"] * segment["step_time_ms"] / 1000
    each = middle(tokens)
    if each * (1 + segment.tolerance("tokens_per_sec", "step_time_ms")) < micro * length:
        message = (
            f"tokens_per_sec and step_time_ms give {each:,.0f} tokens a step, but one micro-batch of {micro:,} "
            f"sequences of {length:,} has {micro * length:,}: {comparison(each, micro * length)}."
        )
        likelier = "Likelier: the batch is another one, or padding is not counted."
        values = {"tokens": each, "micro_batch": float(micro * length)}
        yield Finding("suspicious", message, likelier, values)


def _is_of_one_device(segment: Segment, wrong: Mismatch) -> bool:
    """Whether another tool's rate may be that of one of several devices."""
    claims = segment.claims
    if claims.is_exact or wrong.stated > wrong.expected:
        return False
    return claims.processes is None or not differ(wrong.stated * claims.processes, wrong.expected, BETWEEN_MEANS)


def _of_devices(segment: Segment, ratio: float) -> str:
    count = segment.claims.processes
    if count is None or count < 2:
        return ""
    if not differ(ratio * count, 1, 0.05):
        return f"Likelier: the first is of one of {count} devices."
    return f"Likelier: the {count} devices count twice in the first." if not differ(ratio, count, 0.05) else ""


def _likelier_rate(segment: Segment, wrong: Mismatch) -> str:
    """Which of two throughputs the MFU and the TFLOP/s of the log agree with, and which the hardware allows."""
    claims = segment.claims
    flops = flops_of(claims)
    if flops is None or claims.processes is None:
        return ""
    all_devices = claims.processes * 1e12 / flops
    parts = []
    if claims.peak is not None:
        for rate in (wrong.stated, wrong.expected):
            share = rate / all_devices / claims.peak
            if share > HIGHEST_MFU:
                parts.append(f"{rate:,.0f} tokens a second would be an MFU of {units.percent(share)}")
    if claims.peak is not None and segment.has("mfu"):
        share = middle(segment["mfu"])
        text, implied = f"an MFU of {units.percent(share)}", share * claims.peak * all_devices
    elif segment.has("tflops"):
        tflops = middle(segment["tflops"])
        text, implied = f"{units.exact(tflops, 3)} TFLOP/s", tflops * all_devices
    elif parts:
        return f"Likelier: the lower one; {parts[0]}."
    else:
        return ""
    parts.insert(0, f"{text} implies {implied:,.0f}")
    if not 0 < implied < math.inf:
        return ""
    nearer = nearest(implied, (wrong.stated, wrong.expected))
    return f"Likelier: {nearer:,.0f}, since {'; '.join(parts)}."
