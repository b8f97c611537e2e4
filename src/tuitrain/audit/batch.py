"""The effective batch against its factors, and the cumulative tokens against steps × tokens per step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuitrain.analysis.claims import Claims
from tuitrain.audit.arithmetic import comparison, steps_text
from tuitrain.audit.audited_log import AuditedLog, Segment
from tuitrain.audit.finding import Finding, NotCheckedError, Severity
from tuitrain.runs import FloatArray
from tuitrain.runs.columns import RowArray


def find_batch(log: AuditedLog) -> Iterator[Finding]:
    """The factors of the global batch against it, and the global batch × sequence length against tokens per step."""
    checked = False
    for claims in log.claims:
        sequences = _sequences(claims)
        for stated, expected, text in _comparisons(claims, sequences):
            checked = True
            if stated != expected:
                severity: Severity = "impossible" if claims.is_exact else "suspicious"
                message = f"{text}: {comparison(stated, expected)}."
                likelier = _likelier(claims, stated, expected)
                yield Finding(severity, message, likelier, {"stated": stated, "from_factors": expected})
    if not checked:
        raise NotCheckedError("the global batch, or its factors, are not known")


def _sequences(claims: Claims) -> int | None:
    """Sequences of a step by the factors; None where one is unknown."""
    micro, accumulation, processes = claims.micro_batch, claims.accumulation, claims.processes
    if micro is None or accumulation is None or processes is None:
        return None
    return micro * accumulation * processes


def _comparisons(claims: Claims, sequences: int | None) -> Iterator[tuple[float, float, str]]:
    """Stated number, expected number, and both in words."""
    batch, tokens, length = claims.global_batch, claims.tokens_per_step, claims.seq_len
    factors = f"{claims.micro_batch} × {claims.accumulation} × {claims.processes}"
    if batch is not None and sequences is not None:
        text = (
            f"The global batch is {batch:,} sequences, but micro-batch × accumulation × processes = {factors} = "
            f"{sequences:,}"
        )
        yield batch, sequences, text
    if tokens is not None and length is not None and (batch or sequences):
        known = batch or sequences or 0
        text = (
            f"A step has {tokens:,} tokens, but {known:,} sequences of {length:,} tokens "
            f"{'' if batch else f'({factors}) '}are {known * length:,}"
        )
        yield tokens, known * length, text


def _likelier(claims: Claims, stated: float, expected: float) -> str:
    for name, factor in (("processes", claims.processes), ("accumulation", claims.accumulation)):
        if factor is not None and factor > 1 and stated * factor == expected:
            return f"Likelier: the larger one; the other leaves out the {factor} {name}."
        if factor is not None and factor > 1 and stated == expected * factor:
            return f"Likelier: the smaller one; in the other the {factor} {name} count twice."
    return ""


def find_tokens(log: AuditedLog) -> Iterator[Finding]:
    """The cumulative tokens of steps, evaluations and the end against steps × tokens per step."""
    segments = [each for each in log.segments if each.claims.tokens_per_step is not None]
    if not segments:
        raise NotCheckedError("the tokens of a step are not known")
    checked = False
    for segment in segments:
        rows = np.flatnonzero(np.isfinite(segment["tokens"]))
        if len(rows) > 1 or (len(rows) == 1 and len(log.segments) == 1):
            checked = True
            yield from _counter(log, segment, rows)
    if not checked:
        raise NotCheckedError("the steps have no tokens")
    yield from _other_records(log)


def _counter(log: AuditedLog, segment: Segment, rows: RowArray) -> Iterator[Finding]:
    per_step = float(segment.claims.tokens_per_step or 0)
    steps, tokens = segment["step"][rows], segment["tokens"][rows]
    if len(log.segments) == 1 and steps[0] > 0 and steps[0] <= 2 * max(np.diff(steps[:2]), default=steps[0]):
        # The log has the run from its beginning. Some tools call the first step 0.
        offset = 1.0 if tokens[0] == (steps[0] + 1) * per_step else 0.0
        steps, tokens = np.concatenate(([-offset], steps)), np.concatenate(([0.0], tokens))
    covered, added = np.diff(steps), np.diff(tokens)
    # Tokens are counted, not measured, but some consoles round them.
    slack = 0.5 if segment.claims.is_exact else 0.005 * tokens[1:]
    wrong = np.flatnonzero(np.abs(added - covered * per_step) > slack)
    if not len(wrong):
        return
    at = wrong[0]
    measured = float(added[at] / covered[at])
    where = steps_text((int(steps[wrong[0]]) + 1, int(steps[wrong[-1] + 1])))
    message = (
        f"A step has {per_step:,.0f} tokens, but from step {steps[at]:,.0f} to {steps[at + 1]:,.0f} the tokens grow by "
        f"{added[at]:,.0f}, {measured:,.0f} a step"
        f"{f': {comparison(measured, per_step)}' if measured > 0 else ''} ({len(wrong):,} of {len(added):,} records, "
        f"{where})."
    )
    # Another tool may leave out padding.
    severity: Severity = "impossible" if segment.claims.is_exact or measured > per_step else "suspicious"
    yield Finding(
        severity, message, _likelier_counter(segment.claims, added / covered, len(wrong)),
        {"tokens_per_step": per_step, "measured": measured}, (int(steps[at]), int(steps[wrong[-1] + 1])),
    )  # fmt: skip


def _likelier_counter(claims: Claims, each: FloatArray, wrong: int) -> str:
    per_step = claims.tokens_per_step or 0
    if wrong < len(each) / 2:
        return "Likelier: the tokens of a step, with which the other records agree."
    middle = float(np.median(each))
    factors = {"processes": claims.processes, "accumulation": claims.accumulation}
    for name, factor in factors.items():
        if factor is not None and factor > 1 and round(middle * factor) == per_step:
            return f"Likelier: the tokens of a step; the counter leaves out the {factor} {name}."
    batch, length = claims.global_batch, claims.seq_len
    if batch is not None and length is not None and batch * length == per_step:
        return f"Likelier: the tokens of a step, which are {batch:,} sequences of {length:,}."
    return "Likelier: the counter, which always grows by as much." if np.ptp(each) == 0 else ""


def _other_records(log: AuditedLog) -> Iterator[Finding]:
    """Tokens of evaluations and of the end against those of the steps around them."""
    history = log.history
    x, y = history.steps.series("tokens")
    if len(log.segments) > 1 or not len(x):
        return
    per_step = float(log.segments[0].claims.tokens_per_step or 0)
    others = [("the evaluation", each.step, each.tokens) for split in history.splits
              for each in history.evaluations_of(split)]  # fmt: skip
    if history.end is not None and history.end.step is not None:
        others.append(("the end", history.end.step, history.end.tokens))
    for what, step, tokens in others:
        if tokens is None or not x[0] <= step:
            continue
        expected = float(np.interp(step, x, y)) + max(0.0, step - x[-1]) * per_step
        if abs(tokens - expected) > (0.5 if log.segments[0].claims.is_exact else 0.01 * expected):
            message = f"At step {step:,} the steps count {expected:,.0f} tokens, but the record of {what} {tokens:,}."
            values = {"tokens": float(tokens), "by_steps": expected}
            yield Finding("impossible", message, "Likelier: the steps, which are many.", values, (step, step))
            return
