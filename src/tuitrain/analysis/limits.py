"""The numbers that a chart can hold: between these, differences and powers of ten neither overflow nor vanish."""

from __future__ import annotations

import numpy as np

from tuitrain.runs import FloatArray

LARGEST, SMALLEST = 1e150, 1e-150


def drawable(values: FloatArray) -> FloatArray:
    """The values with what is larger than LARGEST as inf, what is smaller than SMALLEST as 0; nan stays.

    A copy is made only where there is such a value.
    """
    sizes = np.abs(values)
    large, small = (sizes > LARGEST) & (sizes < np.inf), (sizes < SMALLEST) & (sizes > 0)
    if not large.any() and not small.any():
        return values
    bounded = np.where(large, np.copysign(np.inf, values), values)
    return np.where(small, 0.0, bounded)
