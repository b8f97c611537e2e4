"""What stands beside the curves of a panel: notes, legends, and the reason why there is no curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text

from tuitrain.export.style import font, grey
from tuitrain.runs import FloatArray


def say(axes: Axes, text: str) -> None:
    """A panel without data: the reason in its middle, no ticks."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=grey(), fontsize=font(9))
    axes.set_yticks([])
    axes.grid(False)


def absence(title: str, *series: FloatArray) -> str:
    """Why a panel has no curve: nothing is recorded, or nothing that can be drawn."""
    values = np.concatenate(series) if series else np.empty(0)
    if not len(values):
        return f"n/a: no {title} is recorded"
    return f"n/a: every {title} is {'nan' if np.isnan(values).all() else 'nan or inf'}"


def note(axes: Axes, text: str, x: FloatArray, y: FloatArray) -> None:
    """Small grey words in the corner of the panel that the points (x, y) leave most free; limits must be set before."""
    if not text:
        return
    right, top = _free_corner(axes, x, y)
    axes.text(
        0.985 if right else 0.02, 0.97 if top else 0.03, text, transform=axes.transAxes, fontsize=font(7.5),
        color=grey(), ha="right" if right else "left", va="top" if top else "bottom", zorder=7, linespacing=1.35,
        bbox={"facecolor": axes.get_facecolor(), "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def _free_corner(axes: Axes, x: FloatArray, y: FloatArray) -> tuple[bool, bool]:
    """(right, top) of the emptiest corner; of equally empty ones top right, top left, bottom right, bottom left."""
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return False, True
    places = axes.transAxes.inverted().transform(axes.transData.transform(np.column_stack((x[known], y[known]))))
    across, up = places[(places[:, 1] >= 0) & (places[:, 1] <= 1)].T
    counts = {}
    for right, top in ((True, True), (False, True), (True, False), (False, False)):
        beside = across > 0.45 if right else across < 0.55
        counts[right, top] = int((beside & (up > 0.68 if top else up < 0.32)).sum())
    return min(counts, key=lambda corner: counts[corner])


def legend(axes: Axes, handles: Sequence[Any] = (), labels: Sequence[str] = ()) -> None:
    """The legend in one line to the right of the title, where it covers no data: of all that is named, unless given."""
    if not handles:
        handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    crowded = len(handles) > 2
    axes.legend(
        handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(handles), borderaxespad=0.1,
        handlelength=1.1 if crowded else 1.6, handletextpad=0.4, columnspacing=0.8 if crowded else 1.1,
        fontsize=font(8 if not crowded else 7.2 if len(handles) == 3 else 6.5),
    )  # fmt: skip


def place_legend(axes: Axes) -> None:
    """Move the legend into the axes where it would touch the title, and put the note above it where it covers that.

    The layout of the figure must be done.
    """
    legend, title = axes.get_legend(), axes.get_title(loc="left")
    if legend is None:
        return
    # The title of the vertical axis, which may read the same, is turned.
    texts = [each for each in axes.findobj(Text) if title and each.get_text() == title and not each.get_rotation()]
    if any(legend.get_window_extent().overlaps(text.get_window_extent()) for text in texts[:1]):
        legend.set_loc("best")
        legend.set_bbox_to_anchor(None)
        legend.set_ncols(1)
    for text in list(axes.texts):
        if legend.get_window_extent().overlaps(text.get_window_extent()):
            legend.set_title(text.get_text(), prop=text.get_fontproperties())
            legend.get_title().set_color(text.get_color())
            text.remove()


def alone(points: int) -> dict[str, Any]:
    """A marker for a curve of one point, which would not be seen."""
    return {"marker": "o", "markersize": 4} if points == 1 else {}
