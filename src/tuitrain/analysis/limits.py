"""The numbers that a chart can hold: between these, differences and powers of ten neither overflow nor vanish."""

from __future__ import annotations

import numpy as np

from tuitrain.runs import FloatArray

LARGEST, SMALLEST = 1e150, 1e-150


def drawable(values: FloatArray) -> FloatArray:
    """The values with what is larger than LARGEST as inf, what is smaller than SMALLEST as 0; nan stays.

    A copy is made only where there is such a value, a 0 or an inf.
    """
    if values.dtype != np.float64:
        # Whatever fewer bits can hold, a chart can.
        return values
    sizes = np.abs(values)
    small = sizes < SMALLEST
    if small.any():
        values = np.where(small, 0.0, values)
    # A nan is not larger, and inf stays what it is.
    large = sizes > LARGEST
    return np.where(large, np.copysign(np.inf, values), values) if large.any() else values
