"""Steps of earlier attempts that later ones repeated, as pieces to draw."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tuitrain.runs import RunHistory

MOST_PIECES = 24
"""More would not be distinguishable, and a log in disorder has as many as records."""


def superseded_pieces(history: RunHistory) -> tuple[list[slice], int]:
    """The newest pieces, as rows of `superseded_steps` whose steps rise; and how many pieces there are in all."""
    steps = history.superseded_steps["step"]
    if not len(steps):
        return [], 0
    starts = np.concatenate(([0], np.flatnonzero(np.diff(steps) <= 0) + 1, [len(steps)]))
    newest = starts[-MOST_PIECES - 1 :].tolist()
    return [slice(*ends) for ends in pairwise(newest)], len(starts) - 1


def superseded_label(shown: int, pieces: int) -> str:
    """Their name in a legend, with the number of pieces that are left out."""
    return "superseded" if shown == pieces else f"superseded, the newest {shown} of {pieces:,} pieces"
