"""The bottleneck: I/O-only, compute-only and end-to-end throughput of configurations with the same settings."""

from __future__ import annotations

from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam import text
from deepcam.record.columns import Bottleneck
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables

MARKS = {
    "io_only_samples_per_second": ("I/O-only", "#0072B2", ">"),
    "compute_only_samples_per_second": ("compute-only", "#D55E00", "s"),
    "samples_per_second": ("end-to-end", "black", "o"),
}
"""Label, colour and marker of each column."""

MAX_ROWS = 20
"""Number of cells drawn, the fastest ones. The CSV has all of them."""


def data(tables: Tables) -> pd.DataFrame:
    """End-to-end cells with a verdict, the fastest one first."""
    cells = tables.summary[tables.summary["bottleneck"].notna()]
    cells = selection.by_speed(cells.assign(engine=selection.engine_labels(cells)))
    return cells[[*selection.CELL, *MARKS, *(name for name in Bottleneck.model_fields if name not in MARKS)]]


def draw(shown: pd.DataFrame) -> Figure:
    """A row per cell with its three rates, and its verdict above them."""
    shown = shown.head(MAX_ROWS).reset_index(drop=True)
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(10, 1.6 + 0.75 * len(shown)), layout="constrained")
        axes = figure.subplots()
        for column, (label, colour, marker) in MARKS.items():
            axes.plot(shown[column], shown.index, marker, color=colour, label=label, markersize=9)
        for row, cell in enumerate(shown.itertuples()):
            rates = [getattr(cell, column) for column in MARKS]
            axes.plot([min(rates), max(rates)], [row, row], color="grey", linewidth=1, zorder=0)
            axes.annotate(_verdict(cell), (min(rates), row), xytext=(0, 9), textcoords="offset points", fontsize=9)
        axes.set_yticks(
            shown.index,
            labels=[
                f"{cell.engine}\n{cell.reader} {cell.cache}, {text.count(cell.ranks, 'rank')}, "
                f"batch {cell.local_batch_size}, {cell.inter_threads} x {cell.intra_threads} threads"
                for cell in shown.itertuples()
            ],
            fontsize=9,
        )
        axes.set_ylim(len(shown) - 0.5, -0.6)
        axes.margins(x=0.1)
        style.log10_axis(axes)  # I/O-only and compute-only rates may lie far apart
        axes.set_xlabel("throughput (samples/s, logarithmic scale)")
        figure.legend(loc="outside lower center", ncols=len(MARKS))
    return figure


def _verdict(cell: Any) -> str:
    """The verdict on a row of `shown`, such as "compute (high confidence): 5.35 samples/s, 96 % of compute-only"."""
    lower = "I/O-only" if cell.io_only_samples_per_second < cell.compute_only_samples_per_second else "compute-only"
    return (
        f"{cell.bottleneck} ({cell.bottleneck_confidence} confidence): {cell.samples_per_second:.3g} samples/s, "
        f"{style.percent(cell.overlap_efficiency)} of {lower}"
    )
