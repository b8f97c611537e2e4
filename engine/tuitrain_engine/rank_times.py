"""Step times of every process, passed from the loop to the thread that writes them."""

from __future__ import annotations

import threading
from collections.abc import Sequence


class RankTimes:
    """Sums over steps; `pop_means` returns their means and resets them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps = 0
        self._step_ms: list[float] = []
        self._busy_ms: list[float] = []

    def add(self, step_ms: Sequence[float], busy_ms: Sequence[float]) -> None:
        """One step: milliseconds by rank, and of those until the process waited for the others."""
        with self._lock:
            if not self._steps:
                self._step_ms, self._busy_ms = [0.0] * len(step_ms), [0.0] * len(busy_ms)
            self._steps += 1
            for rank, (step, busy) in enumerate(zip(step_ms, busy_ms, strict=True)):
                self._step_ms[rank] += step
                self._busy_ms[rank] += busy

    def pop_means(self) -> tuple[list[float], list[float]] | None:
        """Means by rank over the steps since the last call, step time and busy time; None where there were none."""
        with self._lock:
            steps, self._steps = self._steps, 0
            if not steps:
                return None
            return [each / steps for each in self._step_ms], [each / steps for each in self._busy_ms]
