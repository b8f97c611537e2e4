"""How well a run generalises: the gap between validation and training loss, and what it says."""

from __future__ import annotations

import math

from tuitrain.analysis import units

GOOD, OVERFITTING = 0.05, 0.15
"""Relative gaps below which a model generalises well, and above which it overfits: rules of thumb of fine-tuning."""
RISING = 0.01
"""By so much of itself the newest validation loss has to exceed the best one to have risen,"""
LONG_BEFORE = 0.8
"""and the best one has to lie before this share of the steps up to the newest: else it is noise of the end."""


def generalization_gap(training: float | None, validation: float | None) -> float | None:
    """(validation − training) / training, of losses in the same unit; None where one is unknown or not above 0."""
    if training is None or validation is None or not (0 < training < math.inf and math.isfinite(validation)):
        return None
    return (validation - training) / training


def has_risen(final: float | None, final_step: int | None, best: float | None, best_step: int | None) -> bool:
    """Whether the validation loss has risen since its best value, which lies long before the end."""
    if final is None or best is None or final_step is None or best_step is None or not math.isfinite(final):
        return False
    return final > best * (1 + RISING) and best_step <= LONG_BEFORE * final_step


def generalization_verdict(
    gap: float | None,
    final: float | None = None,
    final_step: int | None = None,
    best: float | None = None,
    best_step: int | None = None,
) -> str | None:
    """A sentence on the gap and on the course of the validation loss; None where neither is known.

    final, best: the newest and the lowest validation loss, with their steps.
    """
    if has_risen(final, final_step, best, best_step):
        assert final is not None and best is not None
        after = "" if gap is None else f", which is {_gap_text(gap)} the training loss"
        return (
            f"Overfitting: the validation loss has risen from {best:.4f} at step {best_step:,} to {final:.4f} at step "
            f"{final_step:,}{after}."
        )
    if gap is None:
        return None
    where = f"the validation loss is {_gap_text(gap)} the training loss"
    if gap > OVERFITTING:
        return f"Overfitting: {where}, and more than {units.percent(OVERFITTING)} is memorised."
    if gap >= GOOD:
        return f"Some overfitting, as is usual: {where}."
    if gap > -GOOD:
        return f"Good generalisation: {where}."
    return f"{where[0].upper()}{where[1:]}: dropout explains that, or held-out text that is also trained on."


def _gap_text(gap: float) -> str:
    return f"{units.percent(abs(gap))} {'below' if gap < 0 else 'above'}"
