"""The style of all figures, and the parts that several of them share."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from deepcam import files

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""The palette of Okabe and Ito, which is readable with any colour vision."""

IO, COMPUTE, END_TO_END, BASELINE = *COLOURS[:2], "#1b1f24", "#6b7480"
"""Colours of what is measured, and of the read-and-discard baseline."""

PALE = "#c3c9cf"
"""The baseline behind other lines, and the band in which end-to-end is expected."""

SOFT = "#57606a"
"""Colour of text that explains."""

SERIES = (*COLOURS[2:6], "#8a5a00", "#5d3fd3")
"""Colours of lines of one kind: the others of the palette that are dark enough, and two more."""

MARKERS = "osD^vPX"

STYLE: dict[RcKeyType, Any] = {
    # All defaults of matplotlib come first, so that a matplotlibrc in the working folder changes nothing.
    **{key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"},
    "figure.dpi": 100,
    "font.size": 10,
    "axes.axisbelow": True,
    "axes.edgecolor": "#9aa4ae",
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "grid.color": "#e3e7eb",
    "legend.frameon": False,
    # Names are not formulas, whatever they contain.
    "text.parse_math": False,
    # The same table gives the same bytes: ids are not random, and text does not depend on the installed fonts.
    "svg.hashsalt": "deepcam",
    "svg.fonttype": "path",
}

SHORTEST_INTERVAL = 1e-6
"""Shortest batch interval on a logarithmic scale, seconds. Shorter ones, such as those of batches that a reader hands
over together, are drawn as this."""

INTERVALS = "Thin lines are 95 % confidence intervals, or the slowest and fastest start if there are only two."
"""What the lines through marks and bars mean."""


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both formats, atomically and without dates."""
    with matplotlib.rc_context(STYLE):
        for path, metadata in ((svg, {"Date": None}), (png, {"Software": None})):
            with files.atomic_path(path) as temporary:
                figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=metadata)


def empty_figure(reason: str) -> Figure:
    """A figure that only says why there is nothing to draw."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 1.2), layout="constrained")
        figure.text(0.5, 0.5, textwrap.fill(reason, 90), ha="center", va="center")
    return figure


def grid(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a grid of panels, each of this size in inches. `shared` goes to Figure.subplots."""
    figure = Figure(figsize=(max(7.0, 1 + width * columns), 0.5 + height * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, **shared)
    return figure, [list(row) for row in panels]


def finish(figure: Figure, title: str, shown: str, handles: Sequence[Artist] = ()) -> None:
    """Add the finding as title, the legend below it, and at the foot what is shown.

    The figure grows by what these need, so that panels keep their size.
    """
    width, height = figure.get_size_inches()
    titles = textwrap.wrap(title, int(width / 0.108), break_on_hyphens=False)
    feet = textwrap.wrap(shown, int(width / 0.067), break_on_hyphens=False)
    columns = _legend_columns([len(str(handle.get_label())) for handle in handles], width)
    legend_top = 0.06 + 0.23 * len(titles)
    top = legend_top + 0.06 + 0.2 * math.ceil(len(handles) / columns)
    bottom = 0.12 + 0.165 * len(feet)
    total = height + top + bottom
    figure.set_figheight(total)
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine), "all figures are made with this layout"
    layout.set(rect=(0, bottom / total, 1, height / total))
    place: dict[str, Any] = {"x": 0.08 / width, "ha": "left", "in_layout": False}
    figure.text(y=1 - 0.06 / total, s="\n".join(titles), va="top", fontsize=13, fontweight="bold", **place)
    figure.text(y=0.06 / total, s="\n".join(feet), va="bottom", fontsize=9, color=SOFT, **place)
    if handles:
        legend = figure.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0, 1 - legend_top / total), ncols=columns, fontsize=9,
            borderaxespad=0, borderpad=0.3, columnspacing=1.4, handletextpad=0.5, labelspacing=0.3,
        )  # fmt: skip
        legend.set_in_layout(False)


def _legend_columns(lengths: Sequence[int], width: float) -> int:
    """The most columns into which legend entries with these numbers of letters fit, in a figure of this many inches."""
    for columns in range(len(lengths), 1, -1):
        parts = np.array_split([0.62 + 0.068 * length for length in lengths], columns)
        if sum(part.max() for part in parts) <= width:
            return columns
    return 1


def mark(
    label: str, colour: str, marker: str = "o", line: Literal["none", "-", "--"] = "none", filled: bool = True
) -> Line2D:
    """A mark, a line or both for the legend."""
    face = colour if filled else "white"
    return Line2D([], [], color=colour, marker=marker, markersize=6, markerfacecolor=face, linestyle=line, label=label)


def patch(label: str, colour: str) -> Patch:
    """A filled area for the legend."""
    return Patch(facecolor=colour, label=label)


def invalid_mark(valid: pd.Series, colour: str = SOFT, marker: str = "o") -> list[Artist]:
    """What the legend says about hollow marks, if there are any."""
    return [] if valid.all() else [mark("INVALID", colour, marker, filled=False)]


def invalid_bar(valid: pd.Series) -> list[Artist]:
    """What the legend says about hollow bars, if there are any."""
    return [] if valid.all() else [Patch(facecolor="white", edgecolor=SOFT, linestyle="--", label="INVALID")]


def bar(axes: Axes, y: float, value: float, low: float, high: float, colour: str, valid: bool, width: float) -> None:
    """Draw a horizontal bar from 0 with its interval. An invalid one is hollow."""
    axes.barh(
        y, value, width, color=colour if valid else "white", edgecolor=colour, linestyle="-" if valid else "--"
    )  # fmt: skip
    for shade, thickness in (("white", 3.0), (END_TO_END, 1.3)):  # visible on a bar of any colour
        axes.plot([low, high], [y, y], color=shade, linewidth=thickness, solid_capstyle="butt", zorder=3)


def curve(axes: Axes, points: pd.DataFrame, x: str, y: str, look: Mapping[str, Any]) -> None:
    """Draw points in the order of `x`, with lines from `low` to `high` and joined by a line. Invalid points are hollow.

    `look` is the colour, and the marker and line if they are not the usual ones.
    """
    points = points.sort_values(x)
    invalid = points[~points["valid"].astype(bool)]
    look = {"marker": "o", "markersize": 4.5, "linewidth": 1.6, **look}
    axes.vlines(points[x], points["low"], points["high"], color=look["color"], linewidth=1)
    axes.plot(points[x], points[y], **look)
    axes.plot(invalid[x], invalid[y], **look | {"linestyle": "none", "markerfacecolor": "white", "zorder": 3})


def log2_axis(axes: Axes, ticks: Iterable[int], labels: Sequence[str] | None = None) -> None:
    """Make the x axis logarithmic to base 2, with ticks at these numbers only."""
    positions = sorted(set(ticks))
    axes.set_xscale("log", base=2)
    axes.set_xticks(positions, labels=labels or [str(position) for position in positions], fontsize=8)
    axes.xaxis.set_minor_locator(NullLocator())


def logarithmic(axis: Axis, low: float, high: float) -> None:
    """Make an axis logarithmic, from a little below `low` to a little above `high`, with plain numbers at ticks."""
    low, high = low / 1.25, high * 1.25
    steps: Sequence[float] = (1, 2, 3, 4, 5, 6, 8) if high / low < 5 else (1, 1.5, 2, 3, 5, 7)
    if high / low >= 30:
        steps = (1, 2, 5) if high / low < 300 else (1,)
    axes = axis.axes
    if axis is axes.xaxis:
        axes.set(xscale="log", xlim=(low, high))
    else:
        axes.set(yscale="log", ylim=(low, high))
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def apart(positions: Sequence[float], gap: float) -> list[float]:
    """Positions of labels in the same order, moved up as little as needed to be at least `gap` apart."""
    placed: dict[int, float] = {}
    lowest = -math.inf
    for index in sorted(range(len(positions)), key=positions.__getitem__):
        placed[index] = max(positions[index], lowest)
        lowest = placed[index] + gap
    return [placed[index] for index in range(len(positions))]
