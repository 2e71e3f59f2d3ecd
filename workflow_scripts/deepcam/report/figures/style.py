"""The style of all figures, and the parts that several of them share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from deepcam import files

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""The palette of Okabe and Ito, which is readable with any colour vision. Black is reserved for the baseline."""

MARKERS = "osD^vPX"

STYLE: dict[RcKeyType, Any] = {
    # All defaults of matplotlib come first, so that a matplotlibrc in the working folder changes nothing.
    **{key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"},
    "figure.dpi": 100,
    "font.size": 11,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    # Names are not formulas, whatever they contain.
    "text.parse_math": False,
    # The same table gives the same bytes: ids are not random, and text does not depend on the installed fonts.
    "svg.hashsalt": "deepcam",
    "svg.fonttype": "path",
}

MODE_LABELS = {"io": "I/O-only", "compute": "compute-only", "inference": "end-to-end", "train": "training"}
"""The standard term for what each mode measures."""


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both formats, atomically and without dates."""
    with matplotlib.rc_context(STYLE):
        for path, metadata in ((svg, {"Date": None}), (png, {"Software": None})):
            with files.atomic_path(path) as temporary:
                figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=metadata)


def panels(rows: int, columns: int, share: Literal["row", "none"] = "row") -> tuple[Figure, list[list[Axes]]]:
    """A figure with a grid of panels. With `share` "row", the panels of a row have the same y axis."""
    figure = Figure(figsize=(1.5 + 4.2 * columns, 1.3 + 3.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=share)
    return figure, [list(row) for row in grid]


def empty_figure(reason: str) -> Figure:
    """A figure that only says why there is nothing to draw."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 1.2), layout="constrained")
        figure.text(0.5, 0.5, reason, ha="center", va="center")
    return figure


def colour(values: Iterable[str], value: str) -> str:
    """The colour of one of several names. It is the same in every panel."""
    return COLOURS[sorted(set(values)).index(value) % len(COLOURS)]


def marker(values: Iterable[str | int], value: str | int) -> str:
    """The marker of one of several names or numbers. It is the same in every panel."""
    return MARKERS[sorted(set(values)).index(value) % len(MARKERS)]


def percent(share: float, digits: int = 0) -> str:
    """Format a share, such as 0.964 as "96 %"."""
    return f"{100 * share:.{digits}f} %"


def errorbar_line(
    axes: Axes, points: pd.DataFrame, x: str, y: str, *, color: str, marker: str, linestyle: str, label: str
) -> None:
    """Draw points in the order of `x`, with error bars from `low` to `high`. Invalid points are hollow."""
    points = points.sort_values(x)
    bars = [points[y] - points["low"], points["high"] - points[y]]
    axes.errorbar(
        points[x], points[y], yerr=bars, markersize=6, capsize=3, color=color, marker=marker, linestyle=linestyle,
        label=label,
    )  # fmt: skip
    invalid = points[~points["valid"].astype(bool)]
    axes.plot(invalid[x], invalid[y], linestyle="none", marker=marker, color=color, markerfacecolor="white", zorder=3)


def log2_axis(axes: Axes, ticks: Iterable[int]) -> None:
    """Make the x axis logarithmic to base 2, with ticks at these numbers only."""
    axes.set_xscale("log", base=2)
    positions = sorted(set(ticks))
    axes.set_xticks(positions, labels=[str(position) for position in positions])
    axes.xaxis.set_minor_locator(NullLocator())


def log10_axis(axes: Axes) -> None:
    """Make the x axis logarithmic, with plain numbers at 1, 2, 5, 10 and so on."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def from_zero(row: Iterable[Axes], top: float) -> None:
    """Let the y axes of a row of panels start at 0 and end a little above `top`, the largest value in the row."""
    for axes in row:
        axes.set_ylim(0, 1.05 * top)


def legend(figure: Figure, grid: list[list[Axes]]) -> None:
    """Draw one legend for all panels below them, and keep the y labels of the first column only."""
    found: dict[str, Any] = {}
    for row in grid:
        for axes in row:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                found.setdefault(str(label), handle)
        for axes in row[1:]:
            axes.set_ylabel("")
    labels = sorted(found)
    width = 0.7 + 0.085 * max(map(len, labels), default=0)  # inches of an entry at the font size of STYLE
    columns = max(1, min(len(labels), int(figure.get_figwidth() / width)))
    figure.legend([found[label] for label in labels], labels, loc="outside lower center", ncols=columns)
