"""Levels that a run must stay below: the memory of its device, the norm at which it clips."""

from __future__ import annotations

import math

from tuitrain.runs import RunHistory


def capacity_gb(history: RunHistory) -> float | None:
    """Memory of one device, GB."""
    return history.run.hardware.memory_gb if history.run and history.run.hardware else None


def clip_level(history: RunHistory) -> float | None:
    """The gradient norm above which the run clips; None when it does not clip or does not say."""
    train = history.run.config.get("train") if history.run else None
    level = train.get("grad_clip") if isinstance(train, dict) else None
    return float(level) if isinstance(level, int | float) and 0 < level < math.inf else None
