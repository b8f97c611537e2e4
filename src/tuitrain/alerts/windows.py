"""Statistics of the newest values of a metric that are the same however the values are divided into batches.

They change only where a block of values is complete, so that the thresholds of many blocks are computed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tuitrain.runs.columns import FloatArray, RowArray

MAD = 1.4826
"""Standard deviations in a median absolute deviation, of normal values."""


@dataclass(frozen=True)
class Points:
    """Values of a metric in the order of the log: where in it each stands, its step, its time and the value."""

    index: RowArray
    step: FloatArray
    time: FloatArray
    value: FloatArray

    def __len__(self) -> int:
        return len(self.value)

    def position(self, at: int) -> tuple[int, float, float]:
        """Index, step and time of one of them."""
        return int(self.index[at]), float(self.step[at]), float(self.time[at])

    def where(self, chosen: FloatArray | RowArray | np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Points:
        """Those that a mask or indices choose."""
        return Points(self.index[chosen], self.step[chosen], self.time[chosen], self.value[chosen])

    def finite(self) -> Points:
        """Those that are numbers."""
        finite = np.isfinite(self.value)
        return self if finite.all() else self.where(finite)


def row_medians(rows: FloatArray) -> FloatArray:
    """The median of each row (n, k) of finite values: as np.median has it, which takes thirty times as long."""
    ordered, width = np.sort(rows, axis=1), rows.shape[1]
    middle = ordered[:, width // 2]
    return middle if width % 2 else (ordered[:, width // 2 - 1] + middle) / 2


class Window:
    """Statistics of the `size` values before the block that a value is in; unknown before `least` values.

    statistics: of windows (n, k) the columns (n, width).
    """

    def __init__(
        self, size: int, block: int, least: int, width: int, statistics: Callable[[FloatArray], FloatArray]
    ) -> None:
        self._size, self._block, self._least = size, block, least
        self._width, self._statistics = width, statistics
        self.restart()

    def restart(self) -> None:
        """Forget all values."""
        self._kept: FloatArray = np.empty(0)
        self._count = 0
        self._current: FloatArray = np.full(self._width, np.nan)
        """Of the block that is not complete."""

    def before(self, values: FloatArray) -> FloatArray:
        """Add finite values; returns of each the statistics (n, width) of the window before its block."""
        if not len(values):
            return np.empty((0, self._width))
        count, block = self._count, self._block
        data = np.concatenate((self._kept, values))
        offset = count - len(self._kept)
        blocks = (count + np.arange(len(values))) // block
        first, last = int(blocks[0]), int(blocks[-1])
        table = np.full((last - first + 1, self._width), np.nan)
        begin = first
        if count % block:
            table[0] = self._current
            begin += 1
        ends = np.arange(begin, last + 1) * block
        partial = ends[(ends >= self._least) & (ends < self._size)]
        for end in partial.tolist():
            table[end // block - first] = self._statistics(data[-offset : end - offset][None])[0]
        full = ends[ends >= self._size]
        if len(full):
            start = int(full[0]) - self._size - offset
            windows = sliding_window_view(data, self._size)[start::block][: len(full)]
            table[full // block - first] = self._statistics(windows)
        self._current = table[-1]
        self._count += len(values)
        # What is left of the values is what the window of the next block may hold.
        self._kept = data[-(self._size + block) :]
        return table[blocks - first]


class Levels:
    """Medians of consecutive blocks of a metric, and the median absolute deviations in them."""

    def __init__(self, block: int = 16) -> None:
        self._block = block
        self.restart()

    def restart(self) -> None:
        """Forget the block that is not complete."""
        self._rest: FloatArray = np.empty(0)

    def add(self, values: FloatArray) -> tuple[FloatArray, FloatArray, RowArray]:
        """Add finite values; returns of each block that they complete the level, the deviation, and its last value."""
        rest = len(self._rest)
        data = np.concatenate((self._rest, values))
        complete = len(data) // self._block
        blocks = data[: complete * self._block].reshape(complete, self._block)
        self._rest = data[complete * self._block :]
        ends = np.arange(1, complete + 1) * self._block - 1 - rest
        if not complete:
            return np.empty(0), np.empty(0), ends
        medians = row_medians(blocks)
        return medians, row_medians(np.abs(blocks - medians[:, None])), ends


def trend(windows: FloatArray) -> FloatArray:
    """Of windows (n, k): where the next values are expected, the deviation, and the largest residual of the newer half.

    The trend is the line through the medians of the two halves (as in Tukey's resistant line). A falling one is not
    continued: a curve that becomes flat lies above it.
    """
    half = windows.shape[1] // 2
    early, late = row_medians(windows[:, :half]), row_medians(windows[:, -half:])
    slope = (late - early) / (windows.shape[1] - half)
    positions = np.arange(windows.shape[1]) - (half - 1) / 2
    residuals = windows - (early[:, None] + slope[:, None] * positions)
    deviation = MAD * row_medians(np.abs(residuals))
    expected = late + np.maximum(slope, 0) * half
    return np.stack((expected, deviation, residuals[:, -half:].max(axis=1)), axis=1)
