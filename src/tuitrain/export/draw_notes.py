"""What stands beside the curves of a figure: the legend, and notes in a corner. Neither covers a curve."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox, ScaledTranslation

from tuitrain.export.style import font, grey

_LONGEST_NOTE = 44
_CORNERS: dict[Any, tuple[float, float]] = {
    "upper right": (0.985, 0.97), "upper left": (0.02, 0.97), "lower right": (0.985, 0.03), "lower left": (0.02, 0.03),
    "center right": (0.985, 0.5), "center left": (0.02, 0.5),
}  # fmt: skip
"""Where legend and notes may stand in a panel, the best first, with the anchor of notes as shares of the axes."""
_MOST_ROWS = 4
"""Of a legend in a panel, before it has two columns."""
_GAP = 4.0
"""Points between a panel's label, the legend and the notes below it."""
_LEAST_PANEL = 45.0
"""Points at the usual size of text that a panel keeps: rather than leave it less, something stays in it."""
_CLEARANCE = 1.5
"""Points between them and a curve."""
_ROUNDS = 6


class _Notes(Text):
    """Small text of a panel that is not its own axes', with the sentences that it is made of."""

    def __init__(self, sentences: Sequence[str], **style: Any) -> None:
        super().__init__(
            *_CORNERS["upper right"], "\n".join(textwrap.fill(each, _LONGEST_NOTE) for each in sentences), **style
        )
        self.sentences = "; ".join(sentences)


def write_reason(axes: Axes, reason: str) -> None:
    """Write in the middle of a chart why it is empty."""
    axes.text(0.5, 0.5, textwrap.fill(reason, 40), transform=axes.transAxes, ha="center", va="center",
              color=grey(), fontsize=font(9))  # fmt: skip


def add_notes(axes: Axes, notes: Sequence[str]) -> None:
    """Write small grey text, which `arrange` moves to where there is room."""
    if sentences := [note for note in notes if note]:
        box = {"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 1.0}
        style = {"fontsize": font(7.5), "color": grey(), "linespacing": 1.35}
        axes.add_artist(
            _Notes(
                sentences,
                transform=axes.transAxes,
                ha="right",
                va="top",
                zorder=7,
                bbox=box,
                clip_on=False,
                in_layout=False,
                **style,
            )
        )


def add_legend(axes: Axes) -> None:
    """The legend in one line to the right of the title, where it covers no data."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        crowded = len(handles) > 2
        axes.legend(
            handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(handles), borderaxespad=0.1,
            handlelength=1.1 if crowded else 1.6, handletextpad=0.4, columnspacing=0.7 if crowded else 1.1,
            fontsize=font(7.4 if crowded else 8),
        )  # fmt: skip


def arrange(figure: Figure) -> None:
    """Lay a figure out, its legends and notes where they cover nothing: beside the title, in a corner, else below."""
    layout = figure.get_layout_engine()
    if layout is None:
        return
    for axes in figure.axes:
        # A line of names wider than the panel would leave it no room; it is moved after the first round.
        legend = axes.get_legend()
        if legend is not None and legend.get_window_extent().width > axes.get_window_extent().width:
            legend.set_in_layout(False)
    for _ in range(_ROUNDS):
        layout.execute(figure)
        # Not any(): every panel is to be looked at.
        if not sum([_arrange(axes) for axes in figure.axes]):
            break
    # None, not "none": with any engine each save draws the figure once more to lay it out.
    figure.set_layout_engine(None)


def _arrange(axes: Axes) -> bool:
    """Move legend and notes of one panel; returns whether something takes more room below or beside it now."""
    legend = axes.get_legend()
    notes = next((text for text in axes.texts if isinstance(text, _Notes)), None)
    moved = False
    if legend is not None and not _is_below(axes, legend) and _is_too_wide(axes, legend):
        moved = not _move_legend(axes)
    if notes is not None and not _is_below(axes, notes) and not _move_notes(axes, notes):
        moved |= _put_below(axes, notes)
    return moved | _wrap_label(axes)


def _is_below(axes: Axes, part: Legend | Text) -> bool:
    return bool(part.get_window_extent().y1 <= axes.get_window_extent().y0)


def _wrap_label(axes: Axes) -> bool:
    """Break the label of the vertical axis where it is longer than the axis; returns whether it was broken."""
    label, height = axes.yaxis.label, axes.get_window_extent().height
    if label.get_window_extent().height <= height or " " not in label.get_text() or "\n" in label.get_text():
        return False
    words = label.get_text().split()
    at = min(range(1, len(words)), key=lambda at: abs(len(" ".join(words[:at])) - len(" ".join(words[at:]))))
    label.set_text("\n".join((" ".join(words[:at]), " ".join(words[at:]))))
    return True


def _is_too_wide(axes: Axes, legend: Legend) -> bool:
    """Whether the legend beside the title touches it or the edge, or one in the panel covers a curve."""
    extent, frame = legend.get_window_extent(), axes.get_window_extent()
    if extent.y1 <= frame.y1 + 1:
        return _covers(axes, extent)
    title = axes.get_title(loc="left")
    # The label of the vertical axis, which may read the same, is turned.
    titles = [each for each in axes.findobj(Text) if title and each.get_text() == title and not each.get_rotation()]
    return extent.x0 < frame.x0 or any(extent.overlaps(each.get_window_extent()) for each in titles[:1])


def _move_legend(axes: Axes) -> bool:
    """Put the legend into a free corner, and return whether there is one; else below the panel."""
    handles, labels = axes.get_legend_handles_labels()
    size = font(8)
    for columns in (1, 2) if len(labels) > _MOST_ROWS else (1,):
        for corner in _CORNERS:
            legend = axes.legend(handles, labels, loc=corner, fontsize=size, ncols=columns, columnspacing=1.0,
                                 borderaxespad=0.4, frameon=True, framealpha=1.0, borderpad=0.1,
                                 facecolor=axes.get_facecolor(), edgecolor="none")  # fmt: skip
            legend.set_in_layout(False)
            if not _covers(axes, legend.get_window_extent()):
                return True
    width = axes.get_window_extent().width
    if not _has_room_below(axes, legend):
        axes.legend(handles, labels, loc="best", fontsize=size).set_in_layout(False)
        return True
    for columns in range(len(labels), 0, -1):
        legend = axes.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(0, 0), fontsize=size, ncols=columns, columnspacing=1.0,
            borderaxespad=0, borderpad=0,
            bbox_transform=axes.transAxes + _down(axes, _below_labels(axes) + _GAP),
        )  # fmt: skip
        if legend.get_window_extent().width <= width:
            break
    return False


def _move_notes(axes: Axes, notes: Text) -> bool:
    """Put the notes into a corner where they cover nothing; returns whether there is one."""
    legend = axes.get_legend()
    for corner, (x, y) in _CORNERS.items():
        vertical, horizontal = corner.split()
        anchor: Any = {"upper": "top", "lower": "bottom"}.get(vertical, "center")
        notes.set_position((x, y))
        notes.set_horizontalalignment(horizontal)
        notes.set_verticalalignment(anchor)
        extent = notes.get_window_extent()
        if _covers(axes, extent) or (legend is not None and extent.overlaps(legend.get_window_extent())):
            continue
        frame = axes.get_window_extent()
        if frame.x0 <= extent.x0 and extent.x1 <= frame.x1 + 1:
            return True
    return False


def _put_below(axes: Axes, notes: _Notes) -> bool:
    """Write the notes below the panel; returns whether that takes room: a short one is beside the axis' label."""
    frame, label, points = axes.get_window_extent(), axes.xaxis.label.get_window_extent(), 72 / axes.figure.dpi
    legend = axes.get_legend()
    below = legend if legend is not None and _is_below(axes, legend) else None
    if not _has_room_below(axes, notes):
        return False
    if "\n" not in notes.get_text() and below is None:
        notes.set_transform(axes.transAxes + _down(axes, (frame.y0 - label.y0) * points))
        notes.set_position((1, 0))
        notes.set_horizontalalignment("right")
        notes.set_verticalalignment("bottom")
        if notes.get_window_extent().x0 > label.x1 + _GAP / points:
            return False
    longest = max(map(len, notes.get_text().split("\n")))
    characters = int(longest * frame.width / notes.get_window_extent().width)
    notes.set_text(textwrap.fill(notes.sentences, max(characters, 10)))
    depth = _below_labels(axes) + _GAP
    if below is not None:
        depth += below.get_window_extent().height * points + _GAP
    notes.set_in_layout(True)
    notes.set_transform(axes.transAxes + _down(axes, depth))
    notes.set_position((0, 0))
    notes.set_horizontalalignment("left")
    notes.set_verticalalignment("top")
    return True


def _has_room_below(axes: Axes, part: Legend | Text) -> bool:
    left = axes.get_window_extent().height - part.get_window_extent().height
    return bool(left * 72 / axes.figure.dpi >= _LEAST_PANEL * font(1))


def _below_labels(axes: Axes) -> float:
    """How far the labels of the horizontal axis reach below the panel, in points."""
    box = axes.xaxis.get_tightbbox(axes.figure.canvas.get_renderer())  # type: ignore[attr-defined]
    return 0.0 if box is None else float(axes.get_window_extent().y0 - box.y0) * 72 / axes.figure.dpi


def _down(axes: Axes, points: float) -> ScaledTranslation:
    return ScaledTranslation(0, -points / 72, axes.figure.dpi_scale_trans)


def _covers(axes: Axes, box: Bbox) -> bool:
    """Whether anything that is drawn in a panel touches a box."""
    box = box.padded(_CLEARANCE * axes.figure.dpi / 72)
    return any(path.intersects_bbox(box, filled) for path, filled in _drawn(axes))


def _drawn(axes: Axes) -> Iterator[tuple[Path, bool]]:
    """The lines, areas and points of a panel in pixels, and whether each is filled."""
    for line in axes.lines:
        yield line.get_transform().transform_path(line.get_path()).cleaned(remove_nans=True), False
    for drawn in axes.collections:
        if isinstance(drawn, PolyCollection):
            yield from ((drawn.get_transform().transform_path(path), True) for path in drawn.get_paths())
        elif isinstance(drawn, PathCollection):
            points = drawn.get_offset_transform().transform(np.ma.filled(drawn.get_offsets(), np.nan))
            for point in points[np.isfinite(points).all(axis=1)]:
                yield Path([point, point + 0.5]), False
