"""How long a batch takes, from one finished batch to the next: percentiles of each reader's fastest cell."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.figures import selection, style
from deepcam.tables import Tables

PERCENTILES = {"p50": "o", "p90": "|", "p95": "s", "p99": "D", "max": ">"}


def data(tables: Tables) -> pd.DataFrame:
    summary = tables.summary
    cells = selection.fastest(summary[summary["mode"] == "io"], ["cache", "reader"])
    return cells[
        ["cache", "reader", "ranks", "local_batch_size", "inter_threads", "intra_threads",
         *(f"{name}_seconds" for name in PERCENTILES), "valid"]
    ]  # fmt: skip


def draw(shown: pd.DataFrame) -> Figure:
    caches = sorted(shown["cache"].unique())
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(9, 1.6 + 0.36 * len(shown)), layout="constrained")
        heights = [int((shown["cache"] == cache).sum()) for cache in caches]
        panels = figure.subplots(len(caches), 1, squeeze=False, sharex=True, height_ratios=heights)
        for (axes,), cache in zip(panels, caches, strict=True):
            here = shown[shown["cache"] == cache].reset_index(drop=True)
            for row, cell in here.iterrows():
                colour = "black" if cell["reader"] == "raw" else style.colour(shown["reader"], cell["reader"])
                milliseconds = [cell[f"{name}_seconds"] * 1000 for name in PERCENTILES]
                axes.plot(milliseconds, [row] * len(milliseconds), color=colour, linewidth=1.5)
                for value, marker in zip(milliseconds, PERCENTILES.values(), strict=True):
                    face = colour if cell["valid"] else "white"
                    axes.plot(value, row, marker, color=colour, markerfacecolor=face)
            axes.set_yticks(
                range(len(here)),
                labels=[
                    f"{cell.reader}, {style.count(cell.ranks, 'rank')}, batch {cell.local_batch_size}, "
                    f"{cell.inter_threads} x {cell.intra_threads} threads"
                    for cell in here.itertuples()
                ],
            )
            axes.set_ylim(len(here) - 0.5, -0.5)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_title(f"{cache} page cache")
        axes.set_xlabel("time from batch to batch (ms)")
        marks = [axes.plot([], [], marker, color="grey", label=name)[0] for name, marker in PERCENTILES.items()]
        figure.legend(marks, PERCENTILES, loc="outside lower center", ncols=len(marks))
    return figure
