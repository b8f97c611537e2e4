"""Long tables made short without a change of the picture: of each stretch the rows with an extreme value stay."""

from __future__ import annotations

import numpy as np

from tuitrain.analysis.decimate import m4
from tuitrain.runs.columns import BoolArray, Columns


def rows_to_keep(table: Columns, rows: int, budget: int) -> BoolArray:
    """Which of the first `rows` rows stay so that at most `budget` do.

    The steps from the first to the last of them are cut into equal stretches; of each stretch its first and last row
    stay, and for each column the rows of its lowest and highest value (M4, see `decimate`). Thinning what was thinned
    before loses nothing more than doing it at once. Rows whose value is nan or infinite stay as well, within the
    budget.
    """
    keys = [key for key in table.keys if table.has(key)]
    steps = table["step"][:rows]
    stretches = max(1, budget // (4 + 2 * len(keys)))
    span = max(float(steps[-1] - steps[0]), 1.0)
    stretch = np.minimum((steps - steps[0]) / span * stretches, stretches - 1).astype(np.intp)
    keep = np.zeros(rows, dtype=bool)
    keep[[0, rows - 1]] = True
    odd = np.zeros(rows, dtype=bool)
    for key in keys:
        values = table[key][:rows]
        finite = np.isfinite(values)
        odd |= table.present(key)[:rows] & ~finite
        places = np.flatnonzero(finite)
        if len(places):
            keep[places[m4(stretch[places], values[places])]] = True
    spare = np.flatnonzero(odd & ~keep)[: max(0, budget - int(keep.sum()))]
    keep[spare] = True
    return keep
