"""The named storages side by side: the ratio of their throughput for each configuration."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcam.record import precision
from deepcam.report.figures import style
from deepcam.report.page.words import MODES, settings
from deepcam.report.tables import Tables

KIND = ["mode", "cache", "a", "b"]
"""What the configurations of a panel have in common."""

MAX_ROWS = 36
"""Configurations drawn in all panels, those with the largest ratios of each. The CSV has all of them."""

COLOURS = {True: style.IO, False: style.SOFT}
"""Colour of a configuration by whether its places differ."""


def data(tables: Tables) -> pd.DataFrame:
    """The configurations that both places of a pair have, in panels: I/O-only first, the largest ratio first."""
    shown = tables.storages
    if shown.empty:
        return shown
    shown = shown[shown["ratio"].notna()]
    shown = shown.assign(valid=shown["a_valid"] & shown["b_valid"], order=shown["mode"] != "io")
    shown = shown.sort_values(["order", *KIND, "ratio"], ascending=[True] * 5 + [False], ignore_index=True)
    return shown.drop(columns="order")


def title(shown: pd.DataFrame) -> str:
    """The mean ratio of each panel."""
    words = [
        f"{_kind(mode, cache)}: {b} is {precision.geometric_mean(list(cells['ratio'])):.2f} times as fast as {a}"
        for (mode, cache, a, b), cells in shown[shown["p"].notna()].groupby(KIND, sort=False)
    ]
    return "; ".join(words) or "Too few VALID starts for a comparison of storages"


def _kind(mode: str, cache: str) -> str:
    return f"{MODES[mode]}, {cache}"


def draw(shown: pd.DataFrame) -> Figure:
    """A panel per mode, state of the page cache and pair of places, and a row per configuration in it."""
    kinds = list(shown.groupby(KIND, sort=False))
    panels = [(key, cells.head(max(1, MAX_ROWS // len(kinds)))) for key, cells in kinds]
    heights = [1 + len(cells) for _, cells in panels]
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(10, 0.5 + 0.24 * sum(heights) + 0.3 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)
        low, high = shown[["ratio", "ci_low"]].min(axis=None), shown[["ratio", "ci_high"]].max(axis=None)
        style.logarithmic(grid[0][0].xaxis, min(low, 1.0), max(high, 1.0))
        for (axes,), ((mode, cache, a, b), cells) in zip(grid, panels, strict=True):
            _draw_rows(axes, cells.reset_index(drop=True))
            axes.set_title(f"{_kind(mode, cache)}: {b} / {a}")
            axes.tick_params(labelbottom=True)
        grid[-1][0].set_xlabel("ratio of throughput (logarithmic scale)")
        handles = [
            style.mark("storages differ", COLOURS[True]),
            style.mark("no difference seen, or too few starts", COLOURS[False]),
            *style.invalid_mark(shown["valid"]),
        ]
        drawn = sum(len(cells) for _, cells in panels)
        some = "" if drawn == len(shown) else f"{drawn} of {len(shown)} configurations are shown, the largest ratios. "
        style.finish(figure, title(shown), f"{some}Thin lines are 95 % confidence intervals.", handles)
    return figure


def _draw_rows(axes: Axes, cells: pd.DataFrame) -> None:
    axes.axvline(1, color=style.BASELINE, linestyle="--", linewidth=1)
    for y, (_, cell) in enumerate(cells.iterrows()):
        colour = COLOURS[cell["verdict"] in ("slower", "faster")]
        axes.plot([cell["ci_low"], cell["ci_high"]], [y, y], color=colour, linewidth=1.3)
        face = colour if cell["valid"] else "white"
        axes.plot(cell["ratio"], y, "o", color=colour, markersize=6, markerfacecolor=face)
    names = [
        ", ".join([*(name for name in (cell["reader"], cell["engine"]) if name != "none"), settings(cell)])
        for _, cell in cells.iterrows()
    ]
    axes.set_yticks(range(len(cells)), labels=names, fontsize=9)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
