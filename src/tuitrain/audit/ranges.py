"""Values against what they can be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.metrics import metric
from tuitrain.audit.audited_log import AuditedLog, Segment
from tuitrain.audit.finding import Finding, NotCheckedError, Severity
from tuitrain.runs.columns import BoolArray
from tuitrain.text import shortened


def find_ranges(log: AuditedLog) -> Iterator[Finding]:
    """Values against what they can be: shares, times, norms, memory."""
    if not len(log.history.steps):
        raise NotCheckedError("there are no steps")
    for segment in log.segments:
        exact = segment.claims.is_exact
        for key in ("step_time_ms", "data_time_ms", "tokens_per_sec", "tflops", "grad_norm", "grad_std", "mfu"):
            yield from _outside(segment, key, segment[key] < 0, "it cannot be negative", "impossible")
        share = segment["accuracy"]
        yield from _outside(segment, "accuracy", (share < 0) | (share > 1), "it is a share, from 0 to 1",
                            "impossible" if exact else "suspicious")  # fmt: skip
        yield from _memory(segment)
    tokens = np.diff(log.history.steps.series("tokens")[1])
    if (tokens < 0).any():
        steps = log.history.steps.series("tokens")[0]
        at = int(np.flatnonzero(tokens < 0)[0])
        message = f"The cumulative tokens fall from step {steps[at]:,.0f} to step {steps[at + 1]:,.0f}."
        yield Finding("impossible", message, "", {"change": float(tokens[at])}, (int(steps[at]), int(steps[at + 1])))


def _outside(segment: Segment, key: str, wrong: BoolArray, rule: str, severity: Severity) -> Iterator[Finding]:
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return
    steps = (int(segment["step"][rows[0]]), int(segment["step"][rows[-1]]))
    value = float(segment[key][rows[0]])
    name = shortened(metric(key).title, 60)
    records = "1 record" if len(rows) == 1 else f"{len(rows):,} records"
    message = f"At step {steps[0]:,} {name} is {units.exact(value)}, but {rule} ({records})."
    likelier = "Likelier: it is in per cent." if key == "accuracy" and 1 < value <= 100 else ""
    yield Finding(severity, message, likelier, {key: value}, steps)


def _memory(segment: Segment) -> Iterator[Finding]:
    """Memory in use against its peak, and the peak against what the device has."""
    peaks, limit = segment["mem_peak_gb"], segment.claims.run.hardware.memory_gb if (
        segment.claims.run is not None and segment.claims.run.hardware is not None) else None  # fmt: skip
    rows = np.flatnonzero(segment["mem_allocated_gb"] > peaks * 1.001 + 0.01)
    if len(rows):
        step = int(segment["step"][rows[0]])
        used, peak = float(segment["mem_allocated_gb"][rows[0]]), float(peaks[rows[0]])
        message = (
            f"At step {step:,} {units.gigabytes(used)} are allocated, more than the peak of {units.gigabytes(peak)}."
        )
        yield Finding("impossible", message, "", {"allocated_gb": used, "peak_gb": peak}, (step, step))
    if limit is not None and np.isfinite(peaks).any() and float(np.nanmax(peaks)) > limit * 1.01:
        highest = float(np.nanmax(peaks))
        message = f"Peak memory is {units.gigabytes(highest)}, but the device has {units.gigabytes(limit)}."
        likelier = "Likelier: the wrong device, or the sum over several."
        yield Finding("impossible", message, likelier, {"peak_gb": highest, "device_gb": limit})
