"""The peak of a device against the table of peaks: the wrong GPU, or the figure of another precision."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tuitrain.accounting import GPUS, Gpu
from tuitrain.analysis import units
from tuitrain.audit.arithmetic import comparison, differ, nearest
from tuitrain.audit.audited_log import AuditedLog, Segment
from tuitrain.audit.finding import Finding, NotCheckedError

SAME_PEAK = 0.012
"""Two data sheets of one GPU differ by up to so much: 1,979 is twice 989, 330.3 twice 165.2."""
_GEFORCE = re.compile(r"RTX \d{4}")
"""Their products with fp16 accumulation are twice as fast, those of other cards are not."""
IMPLIED = 0.02
"""Tolerance for a peak that TFLOP/s and MFU imply."""


def _other(gpu: Gpu) -> dict[float, str]:
    """Figures of data sheets that are not the dense bf16 peak with fp32 accumulation, by what they are."""
    peak = gpu.bf16_tflops
    accumulated = "with fp16 accumulation, or " if _GEFORCE.fullmatch(gpu.name) else ""
    return {
        2 * peak: f"{accumulated}with sparsity, or of 8-bit numbers",
        4 * peak: f"{accumulated and 'with fp16 accumulation and sparsity, or '}of 8-bit numbers with sparsity",
        peak / 2: "of TF32",
    }


def named(peak: float, tolerance: float = SAME_PEAK) -> tuple[list[str], list[str]]:
    """GPUs whose dense peak this is, and GPUs of which it is twice the peak, the figure with sparsity."""
    dense = [gpu.name for gpu in GPUS if not differ(peak, gpu.bf16_tflops, tolerance)]
    return dense, [gpu.name for gpu in GPUS if not differ(peak, 2 * gpu.bf16_tflops, tolerance)]


def explain_peak(peak: float, gpu: Gpu | None, beginning: str) -> str:
    """A sentence on what a peak is, where the table knows; else empty. gpu: the one that is used, if known."""
    figure = f"{beginning} {units.exact(peak, 4)} TFLOP/s"
    if gpu is not None:
        if not differ(peak, gpu.bf16_tflops, IMPLIED):
            return f"{figure}, that of the {gpu.name}."
        for value, what in _other(gpu).items():
            if not differ(peak, value, IMPLIED):
                return f"{figure}, the figure of the {gpu.name} {what}."
    dense, sparse = named(peak, IMPLIED)
    if dense:
        return f"{figure}, that of {_listed(dense)}."
    if sparse:
        return f"{figure}, the figure of {_listed(sparse)} with sparsity."
    return ""


def _listed(names: list[str]) -> str:
    return " or ".join(f"the {name}" for name in names)


def find_peak(log: AuditedLog) -> Iterator[Finding]:
    """The peak that is stated, or that MFU and TFLOP/s imply, against the table."""
    checked = False
    for segment in log.segments:
        claims = segment.claims
        if not claims.has_known_peaks:
            continue
        stated = claims.peak_stated or _implied(segment)
        if stated is None:
            continue
        tolerance = SAME_PEAK if claims.peak_stated is not None else IMPLIED
        how = "" if claims.peak_stated is not None else ", which MFU and TFLOP/s imply,"
        checked = checked or claims.gpu is not None or any(named(stated, tolerance))
        yield from _peak(segment, stated, tolerance, how)
    if not checked:
        raise NotCheckedError("no peak of a device in the table of peaks is stated or implied")


def _implied(segment: Segment) -> float | None:
    """TFLOP/s by MFU, where it is the same at most steps."""
    ratios = segment["tflops"] / segment["mfu"]
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    if not len(ratios):
        return None
    low, middle, high = np.quantile(ratios, (0.1, 0.5, 0.9))
    return float(middle) if high - low < IMPLIED * middle else None


def _peak(segment: Segment, stated: float, tolerance: float, how: str) -> Iterator[Finding]:
    gpu, text = segment.claims.gpu, f"A peak of {units.exact(stated, 4)} TFLOP/s{how}"
    dense, sparse = named(stated, tolerance)
    if gpu is None:
        if sparse and not dense:
            message = f"{text} is not the dense peak of any GPU; it is the figure of {_listed(sparse)} with sparsity."
            yield Finding("suspicious", message, "Likelier: half of it.", {"peak_tflops": stated})
        return
    peak = gpu.bf16_tflops
    if not differ(stated, peak, tolerance):
        return
    values = {"peak_tflops": stated, "table": peak}
    doubled = not differ(stated, 2 * peak, tolerance)
    config = segment.claims.config
    if doubled and config is not None and config.train.float8:
        return
    message = f"{text} is not that of the {gpu.name}, {units.exact(peak, 4)}: {comparison(stated, peak)}."
    figures = {value: f"{units.exact(peak, 4)}; the other is the figure {what}" for value, what in _other(gpu).items()}
    once, twice = ({each.bf16_tflops * times: each.name for each in GPUS} for times in (1, 2))
    wrong_gpu = "the wrong GPU; this is the figure of"
    figures |= {
        value: f"{wrong_gpu} {_listed(named(value)[1])} with sparsity" for value in twice if value not in figures
    }
    figures |= {value: f"{wrong_gpu} {_listed(named(value)[0])}" for value in once}
    value = nearest(stated, figures)
    if not differ(stated, value, tolerance):
        yield Finding("impossible", message, f"Likelier: {figures[value]}.", values)
    elif stated > peak:
        # A lower one may have been measured, or be that of a lower power limit.
        yield Finding("suspicious", message, f"Likelier: {units.exact(peak, 4)}.", values)
