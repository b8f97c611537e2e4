"""How figures look: colours, sizes, tick labels. A matplotlib style file is laid over it."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import style as styles
from matplotlib.axis import Axis as MatplotlibAxis
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap, to_hex, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from tuitrain.export.errors import ExportError
from tuitrain.text import clean, clean_lines

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = "o^sDvP"

RC: Any = matplotlib.rc_params_from_file(str(Path(__file__).with_name("figure.mplstyle")), use_default_template=False)
CYCLE: tuple[str, ...] = tuple(RC["axes.prop_cycle"].by_key()["color"])
BLUE, VERMILLION, *_ = CYCLE

# Colours that follow another one where a style sheet sets only that.
_FOLLOWS = {
    "axes.labelcolor": ("text.color",),
    "axes.edgecolor": ("text.color",),
    "xtick.color": ("text.color",),
    "ytick.color": ("text.color",),
    "xtick.labelcolor": ("xtick.color", "text.color"),
    "ytick.labelcolor": ("ytick.color", "text.color"),
}


_FONT_SIZES = tuple(key for key, value in RC.items() if key.endswith("size") and isinstance(value, int | float))
"""Sizes of text in RC, which grow with font.size where a style sheet sets only that."""
_OWN_LAYOUT = {"figure.autolayout": False, "figure.constrained_layout.use": False}
"""Whatever a style sets: `draw_notes.arrange` lays figures out."""
_LINE_WIDTHS = tuple(key for key in RC if key.endswith("linewidth"))

Size = tuple[float, float]
"""Width and height in inches."""


@dataclass(frozen=True)
class Paper:
    """Sizes in inches for a purpose. panel: of one panel; width: of several together, row: the height of a row of them.

    height: of several together where they have a fixed one. font: the size of text in points, with which lines and
    markers grow, too.
    """

    panel: Size = (6.5, 3.9)
    width: float = 13.0
    row: float = 3.26
    height: float | None = None
    font: float = 9.0


SIZES: dict[str, Paper] = {
    # A column and both columns of a paper in two columns.
    "paper": Paper((3.3, 2.4), 7.0, 2.3, None, 7.5),
    # A slide of 16:9, as presentation programs have it.
    "slide": Paper((13.33, 7.5), 13.33, 3.0, 7.5, 12.0),
    # A quarter of an A0 poster across its width.
    "poster": Paper((16.0, 9.6), 33.0, 9.0, None, 24.0),
}
"""The sizes with a name."""


_SETTINGS = threading.RLock()
"""Matplotlib's settings are of the whole process: one thread at a time draws."""


@contextmanager
def figure_style(style: Path | None = None, size: str | Size | None = None) -> Iterator[Paper]:
    """Matplotlib's settings for our figures; outside the block they are as before. Raises ExportError.

    size: a name of SIZES, or inches of a whole figure; it comes before the size that the style sets. A font that the
    style sets comes before that of the size.
    """
    settings: Any = dict(matplotlib.rcParamsDefault.items())
    settings |= RC
    paper = SIZES[size] if isinstance(size, str) else Paper()
    settings |= _scaled(paper.font)
    if isinstance(size, tuple):
        paper = _of_size(size)
    if style is not None:
        given = _read_style(style)
        for key, sources in _FOLLOWS.items():
            if source := next((source for source in sources if source in given), None):
                settings[key] = given[source]
        if "font.size" in given:
            settings |= {key: value for key, value in _scaled(given["font.size"]).items() if key in _FONT_SIZES}
        if given.get("xtick.labeltop"):
            # Matplotlib puts the title above the labels of ticks.
            settings["axes.titley"] = None
        settings |= given
        if "figure.figsize" in given and size is None:
            paper = _of_size(tuple(given["figure.figsize"]))
    del settings["backend"]
    settings |= _OWN_LAYOUT
    with _SETTINGS, matplotlib.rc_context(settings):
        yield paper


def _of_size(size: Size) -> Paper:
    return Paper(size, size[0], size[1], size[1])


def _scaled(font: float) -> dict[str, float]:
    """Sizes of text and lines for a size of the font in points."""
    return {key: RC[key] * font / RC["font.size"] for key in (*_FONT_SIZES, *_LINE_WIDTHS)}


def _read_style(style: Path) -> Mapping[str, Any]:
    if not style.is_file():
        if str(style) in styles.library:
            return _plain(styles.library[str(style)])
        raise ExportError(f"{style} is neither a matplotlib style file nor the name of a matplotlib style.")
    # Matplotlib leaves out settings that it does not take, and only logs them.
    logger = logging.getLogger("matplotlib")
    logger.addFilter(_drop)
    try:
        settings = matplotlib.rc_params_from_file(str(style), use_default_template=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise ExportError(f"{style} is not a matplotlib style file: {error}.") from None
    finally:
        logger.removeFilter(_drop)
    for number, line in enumerate(style.read_text(encoding="utf-8").splitlines(), start=1):
        key = line.partition("#")[0].partition(":")[0].strip()
        if key and key not in settings:
            raise ExportError(
                f"{style}, line {number}: matplotlib has no setting {key}, or it does not take this value."
            )
    return _plain(settings)


def _drop(record: logging.LogRecord) -> bool:
    return False


def _plain(settings: Any) -> dict[str, Any]:
    """Settings as a dict; a style does not choose how figures reach a screen."""
    return {key: value for key, value in settings.items() if key != "backend"}


def font(points: float) -> float:
    """A text size of the house style in points, larger or smaller where a style sheet sets another font.size."""
    return float(points * matplotlib.rcParams["font.size"] / RC["font.size"])


def thick(points: float) -> float:
    """The width of a line in points, which grows with lines.linewidth."""
    return float(points * matplotlib.rcParams["lines.linewidth"] / RC["lines.linewidth"])


def area(points: float) -> float:
    """The area of a marker in square points, which grows with lines.linewidth."""
    return points * thick(1.0) ** 2


_MEASURE = Figure(dpi=72)
FigureCanvasAgg(_MEASURE)


def inches_of(text: str, points: float, *, bold: bool = False) -> float:
    """The width of a line of text at a size of the house style."""
    drawn = _MEASURE.text(0, 0, clean(text), fontsize=font(points), fontweight="bold" if bold else "normal",
                          parse_math=False)  # fmt: skip
    with warnings.catch_warnings():
        # A sign that the font lacks is as wide as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        width = float(drawn.get_window_extent().width / 72)
    drawn.remove()
    return width


def new_figure(width: float, height: float, head: float) -> Figure:
    """An empty figure in inches whose upper `head` inches stay free for a title."""
    layout = ConstrainedLayoutEngine(
        w_pad=0.10 * font(1),
        h_pad=0.09 * font(1),
        wspace=0.02,
        hspace=0.03,
        rect=(0, 0, 1, 1 - min(head / height, 0.9)),
    )
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def make_inert(figure: Figure) -> None:
    """Draw every text of a figure as it is, without mathematics and control characters; labels of ticks are our own."""
    ticks = {id(label) for tick in figure.findobj(Tick) for label in (tick.label1, tick.label2)}
    ticks |= {id(axis.get_offset_text()) for axis in figure.findobj(MatplotlibAxis)}
    for text in figure.findobj(Text):
        if id(text) not in ticks:
            text.set_text(clean_lines(text.get_text()))
            text.set_parse_math(False)


def tick_text(text: str) -> str:
    """A text from elsewhere as the label of a tick, in which a dollar sign is one."""
    return clean(text).replace("$", r"\$")


def page() -> str:
    """The background colour of the figure; white where it is transparent."""
    face = matplotlib.rcParams["figure.facecolor"]
    return to_hex(face) if to_rgba(face)[3] > 0 else "#FFFFFF"


def ink() -> str:
    """The colour of text."""
    return to_hex(matplotlib.rcParams["text.color"])


def grey() -> str:
    """The colour of secondary text: a third of the way from the ink to the page."""
    return tint(ink(), 0.33)


def pale() -> str:
    """The colour of lines in the background."""
    return tint(ink(), 0.7)


def tint(colour: str, share: float) -> str:
    """A colour part of the way towards the page."""
    red, green, blue = (1 - share) * np.array(to_rgb(colour)) + share * np.array(to_rgb(page()))
    return to_hex((red, green, blue))


def shades() -> Colormap:
    """Colours for numbers, whose lightness rises with them also in grey; on a dark page without those that it hides."""
    dark = sum(to_rgb(page())) < 1.5
    return ListedColormap(matplotlib.colormaps["cividis"](np.linspace(0.3 if dark else 0.0, 1.0, 256)))


def curve_colour(index: int) -> str:
    """The index-th colour of the cycle of curves, which a style sheet may set."""
    colours = matplotlib.rcParams["axes.prop_cycle"].by_key().get("color", CYCLE)
    colour = to_hex(colours[index % len(colours)])
    return ink() if colour == CYCLE[-1].lower() else colour


def run_style(index: int) -> dict[str, Any]:
    """Colour and line style of the index-th run of a figure, so that curves differ in grey, too.

    With our colours they repeat after 28 runs. A style sheet may set the line styles with the colours.
    """
    dashes = matplotlib.rcParams["axes.prop_cycle"].by_key().get("linestyle", DASHES)
    return {"color": curve_colour(index), "linestyle": dashes[index % len(dashes)]}


def run_marker(index: int) -> str:
    """The marker of the index-th run where single points are drawn."""
    return MARKERS[index % len(MARKERS)]


_SUFFIXED, _POWER = re.compile(r"(−?[\d.]+)([kMBTsmhd])"), re.compile(r"(−?[\d.]+)e(-?\d+)")


def tick_label(text: str) -> str:
    """The label of a tick as it is printed: `2.5k` with a space, `3e-4` as 3·10⁻⁴ in mathematical type."""
    if match := _SUFFIXED.fullmatch(text):
        return f"{match[1]} {match[2]}"
    if match := _POWER.fullmatch(text):
        power = f"10^{{{int(match[2])}}}"
        return f"${power}$" if match[1] == "1" else rf"${match[1]}\cdot{power}$"
    return text
