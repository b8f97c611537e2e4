"""TFLOP/s and MFU against tokens per second, FLOPs per token and the peak of a device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuitrain.analysis import units
from tuitrain.audit.arithmetic import Mismatch, comparison, differ, middle, mismatch, rounding, steps_text
from tuitrain.audit.audited_log import AuditedLog, Segment
from tuitrain.audit.conventions import flops_conventions, flops_of, flops_range, shapes_known
from tuitrain.audit.finding import Finding, NotCheckedError, Severity
from tuitrain.audit.gpu_peaks import explain_peak
from tuitrain.runs import FloatArray

HIGHEST_MFU = 0.85
"""A large bf16 matrix product alone reaches about 80 % of the peak."""


def find_tflops(log: AuditedLog) -> Iterator[Finding]:
    """TFLOP/s against tokens per second × FLOPs per token."""
    checked = False
    for segment in log.segments_with("tokens_per_sec", "tflops"):
        flops, devices = flops_range(segment.claims), segment.claims.processes
        if flops is None or devices is None:
            continue
        checked = True
        yield from _tflops(segment, flops, devices)
    if not checked:
        raise NotCheckedError("the FLOPs per token, or the number of devices, are not known")


def _tflops(segment: Segment, flops: tuple[float, float], devices: int) -> Iterator[Finding]:
    rates, stated = segment["tokens_per_sec"], segment["tflops"]
    tolerance = segment.tolerance("tokens_per_sec", "tflops") + rounding(flops[1])
    expected = np.clip(stated, *(rates * each / devices / 1e12 for each in flops))
    wrong = mismatch(segment["step"], stated, expected, tolerance, each=segment.claims.is_exact)
    if wrong is None:
        return
    ratio = wrong.stated / wrong.expected
    if not segment.claims.is_exact and not differ(ratio, devices, tolerance):
        # Of all devices, or tokens per second of one.
        return
    rate = wrong.expected * 1e12 * devices / flops[1]
    message = (
        f"{wrong.where} tflops is {units.exact(wrong.stated, 4)}, but {rate:,.0f} tokens/s × {units.flop(flops[1])} / "
        f"{devices} device{'s' if devices > 1 else ''} = {units.exact(wrong.expected, 4)} TFLOP/s: the first is "
        f"{comparison(wrong.stated, wrong.expected)}."
    )
    values = {"tflops": wrong.stated, "by_tokens_per_sec": wrong.expected}
    yield Finding("impossible", message, _explain_tflops(segment, ratio, devices), values, wrong.steps)


def _explain_tflops(segment: Segment, ratio: float, devices: int) -> str:
    claims = segment.claims
    if devices > 1 and not differ(ratio, devices, 0.02):
        return f"Likelier: the first is of all {devices} devices."
    if claims.flops is not None and shapes_known(claims):
        for name, value in flops_conventions(claims.models[0]).items():
            if name and not differ(ratio, value / claims.flops, 0.01):
                return f"Likelier: the first counts the FLOPs {name}."
    peak = claims.peak
    if peak is not None and segment.has("mfu"):
        share = middle(segment["mfu"])
        same = not differ(middle(segment["tflops"]), share * peak, 0.02)
        return f"The MFU of {units.percent(share)} agrees with the {'TFLOP/s' if same else 'tokens per second'}."
    return ""


def find_mfu(log: AuditedLog) -> Iterator[Finding]:
    """MFU against TFLOP/s and the peak, or tokens per second × FLOPs per token and the peak."""
    checked = False
    for segment in log.segments_with("mfu"):
        for columns in _mfu_comparisons(segment):
            checked = True
            yield from _mfu(segment, *columns)
    if not checked:
        raise NotCheckedError("the peak of a device, or what it achieves, is not known")


_Range = tuple[FloatArray, FloatArray]


def _mfu_comparisons(segment: Segment) -> Iterator[tuple[str, str, _Range]]:
    """Column of an MFU, the column it follows from, and the least and the most that it can be."""
    claims, flops = segment.claims, flops_range(segment.claims)
    if claims.peak is None:
        return
    rate_scale = None if claims.processes is None else 1 / claims.processes / claims.peak / 1e12
    if segment.has("tflops"):
        share = segment["tflops"] / claims.peak
        yield "mfu", "tflops", (share, share)
    if segment.has("tokens_per_sec") and rate_scale is not None:
        rates = segment["tokens_per_sec"] * rate_scale
        if flops is not None and not segment.has("tflops"):
            yield "mfu", "tokens_per_sec", (rates * flops[0], rates * flops[1])
        if claims.flops_causal is not None and segment.has("mfu_causal"):
            yield "mfu_causal", "tokens_per_sec", (rates * claims.flops_causal, rates * claims.flops_causal)


def _mfu(segment: Segment, key: str, source: str, bounds: _Range) -> Iterator[Finding]:
    claims, peak, stated = segment.claims, segment.claims.peak or 0.0, segment[key]
    flops = claims.flops_causal if key == "mfu_causal" else claims.flops
    tolerance = segment.tolerance(key, source) + rounding(flops or 0.0)
    wrong = mismatch(segment["step"], stated, np.clip(stated, *bounds), tolerance, each=claims.is_exact)
    if wrong is None:
        return
    ratio, devices = wrong.expected / wrong.stated, claims.processes or 1
    if (
        not claims.is_exact
        and devices > 1
        and any(not differ(ratio, each, tolerance) for each in (devices, 1 / devices))
    ):
        # TFLOP/s of all devices, or tokens per second of one.
        return
    achieved = wrong.expected * peak
    if source == "tflops":
        origin = f"{units.exact(achieved, 4)} TFLOP/s"
    else:
        per_token = flops or flops_of(claims) or 0.0
        rate = achieved * devices * 1e12 / per_token
        of = f" / {devices} devices" if devices > 1 else ""
        origin = f"{rate:,.0f} tokens/s × {units.flop(per_token)}{of} = {units.exact(achieved, 4)} TFLOP/s"
    message = (
        f"{wrong.where} {key} is {units.percent(wrong.stated)}, but {origin} of a peak of {units.exact(peak, 4)} are "
        f"{units.percent(wrong.expected)}: the first is {comparison(wrong.stated, wrong.expected)}."
    )
    implied = achieved / wrong.stated
    likelier = explain_peak(implied, claims.gpu, "The MFU would be right with a peak of")
    likelier = likelier or _explain_by_step_time(segment, key, wrong)
    yield Finding("impossible", message, likelier, {key: wrong.stated, f"by_{source}": wrong.expected}, wrong.steps)


def _explain_by_step_time(segment: Segment, key: str, wrong: Mismatch) -> str:
    """Whether step time and tokens per step agree with the MFU, or with the speed that contradicts it."""
    claims, per_step = segment.claims, segment.tokens_per_step
    flops = claims.flops_causal if key == "mfu_causal" else flops_of(claims)
    if per_step is None or flops is None or claims.processes is None or not segment.has("step_time_ms"):
        return ""
    share = per_step * 1000 / middle(segment["step_time_ms"]) * flops / claims.processes / (claims.peak or 1) / 1e12
    tolerance = segment.tolerance("step_time_ms")
    if not differ(share, wrong.expected, tolerance):
        return "Likelier: the second, which step time and tokens per step give too."
    if not differ(share, wrong.stated, tolerance):
        return "Likelier: the first, which step time and tokens per step give too."
    return f"Step time and tokens per step give neither, but {units.percent(share)}."


def find_mfu_above_one(log: AuditedLog) -> Iterator[Finding]:
    """MFU as stated, and as it follows from the speed, against what a device can reach."""
    checked = False
    for segment in log.segments:
        for text, steps, shares in _shares(segment):
            checked = True
            finite = np.flatnonzero(np.isfinite(shares))
            over = finite[shares[finite] > 1]
            if len(over):
                yield _above_one(segment, text, steps[over], shares[over], len(finite))
                break
            if middle(shares) > HIGHEST_MFU:
                message = (
                    f"{text[0].upper()}{text[1:]} is an MFU of {units.percent(middle(shares))}; a large matrix "
                    "product alone reaches about 80 %."
                )
                yield Finding("suspicious", message, "", {"mfu": middle(shares)})
                break
    if not checked:
        raise NotCheckedError("there is no MFU, and no speed and peak it would follow from")


def _shares(segment: Segment) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """MFU of the rows: what it is, the steps, and the shares."""
    claims, steps, flops = segment.claims, segment["step"], flops_range(segment.claims)
    if segment.has("mfu"):
        yield "the stated MFU", steps, segment["mfu"]
    if claims.peak is None or claims.processes is None:
        return
    if segment.has("tflops") and claims.is_exact:
        yield "the stated TFLOP/s", steps, segment["tflops"] / claims.peak
    if flops is None:
        return
    scale = flops[0] / claims.processes / claims.peak / 1e12
    if segment.has("tokens_per_sec"):
        yield "what tokens per second and FLOPs per token give", steps, segment["tokens_per_sec"] * scale
    per_step = segment.tokens_per_step
    if segment.has("step_time_ms") and per_step is not None and claims.is_exact:
        rates = per_step * 1000 / segment["step_time_ms"]
        yield "what tokens per step, step time and FLOPs per token give", steps, rates * scale


def _above_one(segment: Segment, text: str, steps: FloatArray, shares: FloatArray, of: int) -> Finding:
    claims, highest = segment.claims, float(shares.max())
    # A single step may be timed wrongly; more than half of them are not.
    severity: Severity = "impossible" if len(shares) > of / 2 or claims.is_exact else "suspicious"
    where = steps_text((int(steps[0]), int(steps[-1])))
    peak = f" of {units.exact(claims.peak, 4)} TFLOP/s a device" if claims.peak is not None else ""
    message = (
        f"{text[0].upper()}{text[1:]} is an MFU of {units.percent(middle(shares))} in {len(shares):,} of {of:,} "
        f"records ({where}), more than the peak{peak} allows."
    )
    likelier = ""
    if claims.peak is not None and text == "the stated MFU":
        likelier = explain_peak(claims.peak, claims.gpu, "The peak is")
    elif segment.has("mfu") and middle(segment["mfu"]) < HIGHEST_MFU:
        share = middle(segment["mfu"])
        slower = units.exact(middle(shares) / share, 3)
        likelier = (
            f"Likelier: the MFU of {units.percent(share)} that the log states; the speed is 1/{slower} of that, or a "
            "step has fewer tokens."
        )
    return Finding(severity, message, likelier, {"mfu": highest}, (int(steps[0]), int(steps[-1])))
