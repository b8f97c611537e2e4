"""Lines to braille: pixels of 2 × 4 a cell, all segments of all curves in a few numpy operations.

A line is stepped in max(|dx|, |dy|) pixels and its other coordinate rounded down, as in plotext; the cells are
the same, except where the floating-point sum in plotext lies just below a whole pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuitrain.plots.axes import Range
from tuitrain.plots.strokes import Stroke, walk
from tuitrain.plots.x_scale import X_DOTS

BLANK = 0x2800
"""The code point of the braille cell without dots; its lowest eight bits are the dots."""
Y_DOTS = 4
"""Rows of dots of a braille character."""
# The bit of each dot, by its row from the top and its column (Unicode, chapter 21.1).
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)


def rasterize(
    strokes: Sequence[Stroke], y_range: Range, columns: int, rows: int
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The dots of each cell and which stroke they belong to, -1 for none; both rows × columns, row 0 on top.

    A cell belongs to the last stroke that passes through it, and shows that stroke alone. A point beyond the range is
    drawn at its edge.
    """
    owner = np.full(rows * columns, -1, dtype=np.intp)
    filled = [(index, stroke) for index, stroke in enumerate(strokes) if len(stroke.x)]
    if not filled:
        return np.zeros((rows, columns), dtype=np.uint8), owner.reshape(rows, columns)
    walked = [walk(stroke, y_range, Y_DOTS * rows) for _, stroke in filled]
    x = np.concatenate([each[0] for each in walked])
    y = Y_DOTS * rows - 1 - np.concatenate([each[1] for each in walked])
    own = np.repeat([index for index, _ in filled], [len(each[0]) for each in walked])
    cells = (y // Y_DOTS) * columns + x // X_DOTS
    owner[cells] = own  # Of several values for one cell the last one stays.
    visible = owner[cells] == own
    dots = np.zeros((rows * Y_DOTS, columns * X_DOTS), dtype=np.uint8)
    dots[y[visible], x[visible]] = 1
    grid = dots.reshape(rows, Y_DOTS, columns, X_DOTS) * _BITS[:, None, :]
    return grid.sum(axis=(1, 3), dtype=np.uint8), owner.reshape(rows, columns)
