"""Losses: perplexity, the first loss of an untrained model, and evaluations that are better than training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from tuitrain.analysis import units
from tuitrain.audit.arithmetic import comparison, differ, rounding
from tuitrain.audit.audited_log import AuditedLog
from tuitrain.audit.finding import Finding, NotCheckedError, Severity
from tuitrain.events import Eval
from tuitrain.runs import FloatArray

TOLERANCE = 0.005
MEAN_OF_PERPLEXITIES = 0.05
"""A mean of perplexities is larger than the perplexity of the mean loss, by Jensen's inequality."""
_PERPLEXITIES = ("perplexity", "ppl")
LOWEST_FIRST, HIGHEST_FIRST = 0.75, 1.5
"""The loss of an untrained model by ln(vocabulary)."""
EARLY_STEPS, LOWEST_EARLY = 10, 0.5
"""Up to this step a training loss is not below this share of ln(vocabulary)."""
LEAK_SHARE, LEAK_NATS, LEAK_EVALUATIONS = 0.05, 0.05, 4
"""By how much, relative and absolute, evaluations are better than training, and how many there have to be."""


def find_perplexity(log: AuditedLog) -> Iterator[Finding]:
    """Perplexity against exp(loss): of evaluations, and of columns beside the training loss."""
    history = log.history
    tables = [
        (f"of the split {split}", history.evals_of(split), "perplexity")
        for split in history.splits
        if history.evals_of(split).has("perplexity")
    ]
    tables += [
        ("of training", history.steps, key)
        for key in history.steps.keys
        if _is_training_perplexity(key) and history.steps.has("loss")
    ]
    if not tables:
        raise NotCheckedError("there is no perplexity")
    for whose, table, key in tables:
        yield from _perplexity(log, whose, table["step"], table["loss"], table[key])


def _is_training_perplexity(key: str) -> bool:
    *groups, last = key.lower().replace("/", ".").replace(" ", ".").split(".")
    return last in _PERPLEXITIES and all(group.startswith("train") for group in groups)


def _perplexity(
    log: AuditedLog, whose: str, steps: FloatArray, losses: FloatArray, stated: FloatArray
) -> Iterator[Finding]:
    ratios = stated / np.exp(losses)
    in_bits = stated / np.exp2(losses)
    rows = np.flatnonzero(np.isfinite(ratios) & (ratios > 0))
    if not len(rows):
        return
    # The digits of the loss count as they are, those of the perplexity by its size.
    slack = np.array([
        TOLERANCE + rounding(float(stated[row])) + rounding(float(losses[row])) * abs(float(losses[row]))
        for row in rows[np.linspace(0, len(rows) - 1, min(len(rows), 50)).astype(int)]
    ]).max()  # fmt: skip
    wrong = rows[(ratios[rows] > 1 + slack) | (ratios[rows] < 1 / (1 + slack))]
    if not len(wrong):
        return
    at = wrong[np.argmax(np.abs(np.log(ratios[wrong])))]
    loss, right = float(losses[at]), math.exp(losses[at])
    where = (int(steps[wrong[0]]), int(steps[wrong[-1]]))
    message = (
        f"At step {steps[at]:,.0f} the perplexity {whose} is {units.exact(float(stated[at]))}, but exp({loss:g}) is "
        f"{units.exact(right)}: {comparison(float(stated[at]), right)} ({len(wrong):,} of {len(rows):,} records)."
    )
    values = {"perplexity": float(stated[at]), "loss": loss}
    severity: Severity
    if np.all(np.abs(np.log(in_bits[rows])) < slack):
        severity, likelier = "suspicious", "Likelier: the loss is in bits, since the perplexity is 2 to its power."
    elif log.segments and log.segments[-1].claims.is_exact:
        severity, likelier = "impossible", "Likelier: the loss, from which the perplexity follows."
    elif (ratios[wrong] > 1).all():
        # A mean of perplexities, or a loss that is a running mean.
        if (ratios[wrong] < 1 + MEAN_OF_PERPLEXITIES).all():
            return
        severity, likelier = (
            "suspicious",
            "Likelier: the perplexity is a mean, or of a sum that holds more than the loss.",
        )
    else:
        severity, likelier = "impossible", "A mean of perplexities is never below that of the mean loss."
    yield Finding(severity, message, likelier, values, where)


def find_bits_per_byte(log: AuditedLog) -> Iterator[Finding]:
    """Bits per byte × bytes × ln 2 / loss, the targets of an evaluation, against each other and its sequences."""
    evaluations = [
        (each, each.bits_per_byte * each.bytes * math.log(2) / each.loss)
        for split in log.history.splits
        for each in log.history.evaluations_of(split)
        if each.bits_per_byte and each.bytes and each.loss and math.isfinite(each.loss) and each.loss > 0
        and 0 < each.bits_per_byte < math.inf
    ]  # fmt: skip
    if not evaluations:
        raise NotCheckedError("no evaluation has bits per byte and the bytes of its text")
    length = max((claims.seq_len or 0 for claims in log.claims), default=0)
    by_text: dict[object, tuple[Eval, float]] = {}
    for each, targets in evaluations:
        text = f"At step {each.step:,} bits_per_byte × bytes × ln 2 / loss gives {targets:,.0f} targets"
        first, expected = by_text.setdefault((each.split, each.split_fingerprint, each.bytes), (each, targets))
        most = (each.sequences or 0) * length
        if most and targets > most * (1 + TOLERANCE):
            message = f"{text}, but {each.sequences:,} sequences of {length:,} tokens have {most:,} at most."
        elif each.split_fingerprint is not None and differ(targets, expected, TOLERANCE):
            message = f"{text}, but at step {first.step:,} {expected:,.0f} for the same text."
        else:
            continue
        values = {"bits_per_byte": each.bits_per_byte or 0.0, "loss": each.loss or 0.0, "targets": targets}
        yield Finding("impossible", message, "Likelier: the loss.", values, (each.step, each.step))
        return


def find_first_loss(log: AuditedLog) -> Iterator[Finding]:
    """The loss before or in the first steps against ln(vocabulary)."""
    claims = log.claims[0]
    if claims.vocab_size is None:
        raise NotCheckedError("the size of the vocabulary is not known")
    if claims.is_pretrained:
        raise NotCheckedError("the run starts from trained weights")
    uniform = math.log(claims.vocab_size)
    first = _untrained(log)
    steps, losses = log.history.steps.series("loss")
    early = steps[np.isfinite(losses)][:1].tolist()
    if first is not None:
        what, loss, step = first
        low, high = LOWEST_FIRST, HIGHEST_FIRST
    elif early and early[0] <= EARLY_STEPS:
        step = int(early[0])
        what, loss, low, high = (
            f"the training loss of step {step}",
            float(losses[np.isfinite(losses)][0]),
            LOWEST_EARLY,
            math.inf,
        )
    else:
        raise NotCheckedError("there is no loss of the untrained model")
    if low * uniform <= loss <= high * uniform:
        return
    message = (
        f"{what[0].upper()}{what[1:]} is {units.exact(loss)}, but a model that knows nothing has "
        f"ln({claims.vocab_size:,}) = {units.exact(uniform)}: {comparison(loss, uniform) if loss > 0 else 'negative'}."
    )
    likelier = (
        "Likelier: trained weights, another vocabulary, or targets that the model sees."
        if loss < uniform
        else "Likelier: an initialisation that is too large, or a sum instead of a mean."
    )
    yield Finding("suspicious", message, likelier, {"loss": loss, "ln_vocabulary": uniform}, (step, step))


def _untrained(log: AuditedLog) -> tuple[str, float, int] | None:
    """A loss before the first update: what it is, its value, its step."""
    for split in log.history.splits:
        first = log.history.evaluations_of(split)[0]
        if first.step == 0 and first.loss is not None and math.isfinite(first.loss):
            return f"the loss of the split {split} before training", first.loss, 0
    steps, losses = log.history.steps.series("loss")
    # The loss of the first step is that before its update.
    if len(steps) and steps[0] <= 1 and math.isfinite(losses[0]):
        return f"the training loss of step {steps[0]:.0f}", float(losses[0]), int(steps[0])
    return None


def find_leak(log: AuditedLog) -> Iterator[Finding]:
    """Evaluations against the training loss around them: better from the start hints at held-out text in training.

    The training loss of the steps after an evaluation counts: one before it lags, also as a running mean.
    """
    history = log.history
    evaluations = [each for each in history.evaluations_of(history.validation_split) if each.step > 0]
    steps, losses = history.steps.series("loss")
    usable = np.isfinite(losses)
    steps, losses = steps[usable], losses[usable]
    if history.validation_split == "train" or len(evaluations) < LEAK_EVALUATIONS or not len(steps):
        raise NotCheckedError(f"there are fewer than {LEAK_EVALUATIONS} evaluations, or no training loss")
    if any((claims.dropout or 0) > 0 for claims in log.claims):
        raise NotCheckedError("training has dropout, evaluation has not")
    gaps = _gaps(evaluations, steps, losses)
    if len(gaps) < LEAK_EVALUATIONS - 1:
        raise NotCheckedError("too few steps follow the evaluations")
    after = np.array([train for _, train in gaps])
    held_out = np.array([loss for loss, _ in gaps])
    better = held_out < np.minimum(after * (1 - LEAK_SHARE), after - LEAK_NATS)
    if better[0] and better.mean() >= 0.9:
        gap = float(np.median(after - held_out))
        message = (
            f"From the first evaluation on the loss of held-out text is below that of training: by {gap:.3f} in the "
            f"middle, {units.percent(float(np.median(1 - held_out / after)))}, in {int(better.sum())} of {len(gaps)} evaluations, though "  # noqa: E501
            "training went on after each of them."
        )
        likelier = (
            "Likelier: the held-out text is easier, was trained on, or training measures another loss, as with label "
            "smoothing or dropout."
        )
        yield Finding("suspicious", message, likelier, {"gap": gap})


def _gaps(evaluations: Sequence[Eval], steps: FloatArray, losses: FloatArray) -> list[tuple[float, float]]:
    """The loss of each evaluation, and the mean training loss until the next."""
    ends = [*(each.step for each in evaluations[1:]), math.inf]
    pairs = []
    for each, end in zip(evaluations, ends, strict=True):
        rows = (steps > each.step) & (steps <= end)
        if each.loss is not None and math.isfinite(each.loss) and rows.any():
            pairs.append((each.loss, float(losses[rows].mean())))
    return pairs
