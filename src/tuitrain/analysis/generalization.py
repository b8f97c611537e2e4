"""How well a run generalises: the gap between validation and training loss, and what it says."""

from __future__ import annotations

import math

from tuitrain.accounting.summary import Summary
from tuitrain.analysis import units

GOOD, OVERFITTING = 0.05, 0.15
"""Relative gaps below which a model generalises well, and above which it overfits: rules of thumb of fine-tuning."""
RISING = 0.01
"""By so much of itself the newest validation loss has to exceed the best one to have risen,"""
LONG_BEFORE = 0.8
"""and the best one has to lie before this share of the steps up to the newest: else it is noise of the end."""


def has_risen(summary: Summary) -> bool:
    """Whether the validation loss has risen since its best value, which lies long before the end."""
    final, best = summary.final_val_loss, summary.best_val_loss
    final_step, best_step = summary.final_val_step, summary.best_val_step
    if final is None or best is None or final_step is None or best_step is None or not math.isfinite(final):
        return False
    return final > best * (1 + RISING) and best_step <= LONG_BEFORE * final_step


def generalization_verdict(summary: Summary) -> str | None:
    """A sentence on the gap and on the course of the validation loss; None where neither is known."""
    gap = summary.generalization_gap
    if has_risen(summary):
        after = "" if gap is None else f", which is {_gap_text(gap)} the training loss"
        return (
            f"Overfitting: the validation loss has risen from {summary.best_val_loss:.4f} at step "
            f"{summary.best_val_step:,} to {summary.final_val_loss:.4f} at step {summary.final_val_step:,}{after}."
        )
    if gap is None:
        return None
    where = f"the validation loss is {_gap_text(gap)} the training loss"
    if gap > OVERFITTING:
        return f"Overfitting: {where}, more than {units.percent(OVERFITTING)}."
    if gap >= GOOD:
        return f"Some overfitting, as is usual: {where}."
    if gap > -GOOD:
        return f"Good generalisation: {where}, within {units.percent(GOOD)}."
    return f"{where[0].upper()}{where[1:]}: dropout explains that, or held-out text that is also trained on."


def _gap_text(gap: float) -> str:
    return f"{units.percent(abs(gap))} {'below' if gap < 0 else 'above'}"
