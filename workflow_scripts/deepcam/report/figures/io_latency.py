"""Batch intervals, the times from one finished batch to the next: percentiles of the fastest cell of each reader."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam import text
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables

PERCENTILES = {"p50": ("o", 1), "p90": ("|", 10), "p95": ("s", 20), "p99": ("D", 100), "max": (">", 1)}
"""Marker, and the smallest number of batches for which the percentile differs from the maximum."""


def data(tables: Tables) -> pd.DataFrame:
    """The fastest I/O-only cell of each cache state and reader."""
    summary = tables.summary
    cells = selection.fastest(summary[summary["mode"] == "io"], ["cache", "reader"])
    return cells[
        ["cache", "reader", "ranks", "local_batch_size", "inter_threads", "intra_threads", "num_batches",
         *(f"batch_interval_{name}_seconds" for name in PERCENTILES), "valid"]
    ]  # fmt: skip


def draw(shown: pd.DataFrame) -> Figure:
    """A panel per cache state, and a row per reader in it. Invalid cells are hollow."""
    caches = sorted(shown["cache"].unique())
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(9, 1.6 + 0.36 * len(shown)), layout="constrained")
        heights = [int((shown["cache"] == cache).sum()) for cache in caches]
        panels = figure.subplots(len(caches), 1, squeeze=False, sharex=True, height_ratios=heights)
        for (axes,), cache in zip(panels, caches, strict=True):
            here = shown[shown["cache"] == cache].reset_index(drop=True)
            for row, cell in here.iterrows():
                baseline = cell["reader"] == selection.BASELINE
                colour = "black" if baseline else style.colour(shown["reader"], cell["reader"])
                known = [name for name, (_, fewest) in PERCENTILES.items() if cell["num_batches"] >= fewest]
                milliseconds = [cell[f"batch_interval_{name}_seconds"] * 1000 for name in known]
                axes.plot(milliseconds, [row] * len(milliseconds), color=colour, linewidth=1.5)
                for value, name in zip(milliseconds, known, strict=True):
                    face = colour if cell["valid"] else "white"
                    axes.plot(value, row, PERCENTILES[name][0], color=colour, markerfacecolor=face)
            axes.set_yticks(
                range(len(here)),
                labels=[
                    f"{cell.reader}, {text.count(cell.ranks, 'rank')}, batch {cell.local_batch_size}, "
                    f"{cell.inter_threads} x {cell.intra_threads} threads: {cell.num_batches} batches"
                    for cell in here.itertuples()
                ],
            )
            axes.set_ylim(len(here) - 0.5, -0.5)
            style.log10_axis(axes)
            axes.tick_params(labelbottom=True)
            axes.set_title(f"{cache} page cache")
        axes.set_xlabel("batch interval (ms, logarithmic scale)")
        marks = [axes.plot([], [], marker, color="grey", label=name)[0] for name, (marker, _) in PERCENTILES.items()]
        figure.legend(marks, list(PERCENTILES), loc="outside lower center", ncols=len(marks))
    return figure
