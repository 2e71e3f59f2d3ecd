"""One style for all figures, and the parts that they are made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from deepcam import files

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe and Ito's palette, told apart with any colour vision; black is kept for ceilings."""

MARKERS = "osD^vPX"

STYLE = {
    "figure.dpi": 100,
    "font.size": 11,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    # The same table gives the same bytes: no random ids, and text that does not depend on installed fonts.
    "svg.hashsalt": "deepcam",
    "svg.fonttype": "path",
}


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both formats, atomically and without dates."""
    with matplotlib.rc_context(STYLE):
        for path, metadata in ((svg, {"Date": None}), (png, {"Software": None})):
            with files.atomic_path(path) as temporary:
                figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=metadata)


def panels(rows: int, columns: int, share: str = "row") -> tuple[Figure, list[list[Axes]]]:
    """A figure of at least one row and column of panels with the same y axis in each row (or as `share` says)."""
    figure = Figure(figsize=(1.5 + 4.2 * columns, 1.3 + 3.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=share)
    return figure, [list(row) for row in grid]


def nothing(why: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 1.2), layout="constrained")
        figure.text(0.5, 0.5, why, ha="center", va="center")
    return figure


def colour(values: Iterable[str], value: str) -> str:
    """The colour of one of several names: the same in every panel."""
    return COLOURS[sorted(set(values)).index(value) % len(COLOURS)]


def marker(values: Iterable[str | int], value: str | int) -> str:
    """The marker of one of several names or numbers: the same in every panel."""
    return MARKERS[sorted(set(values)).index(value) % len(MARKERS)]


def line(axes: Axes, points: pd.DataFrame, x: str, y: str, **look: str) -> None:
    """Points joined in the order of `x`, with bars from `low` to `high`; hollow where not `valid`."""
    points = points.sort_values(x)
    bars = [points[y] - points["low"], points["high"] - points[y]]
    axes.errorbar(points[x], points[y], yerr=bars, markersize=6, capsize=3, **look)
    hollow = points[~points["valid"].astype(bool)]
    axes.plot(
        hollow[x], hollow[y], linestyle="none", marker=look["marker"], color=look["color"], markerfacecolor="white",
        zorder=3,
    )  # fmt: skip


def doubling(axes: Axes, ticks: Iterable[int]) -> None:
    """An x axis on which each doubling takes the same room, with just these ticks."""
    axes.set_xscale("log", base=2)
    positions = sorted(set(ticks))
    axes.set_xticks(positions, labels=[str(position) for position in positions])
    axes.xaxis.set_minor_locator(NullLocator())


def plain_logarithmic(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers at 1, 2, 5, 10, ..."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def from_zero(row: Iterable[Axes], top: float) -> None:
    """y axes from 0 to a little over `top`. Each panel of a row by itself would cut off what its neighbours show."""
    for axes in row:
        axes.set_ylim(0, 1.05 * top)


def legend(figure: Figure, grid: list[list[Axes]]) -> None:
    """One legend for all panels, below them; and y labels in the first column only."""
    found = {}
    for row in grid:
        for axes in row:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                found.setdefault(label, handle)
        for axes in row[1:]:
            axes.set_ylabel("")
    labels = sorted(found)
    width = 0.7 + 0.085 * max(map(len, labels), default=0)  # inches of an entry at the font size of STYLE
    columns = max(1, min(len(labels), int(figure.get_figwidth() / width)))
    figure.legend([found[label] for label in labels], labels, loc="outside lower center", ncols=columns)
