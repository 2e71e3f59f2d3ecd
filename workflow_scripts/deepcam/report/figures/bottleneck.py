"""What limits inference: reading alone, computing alone, and both together, for cells that share their settings."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam import text
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables

MARKS = {
    "io_samples_per_second": ("reading only", "#0072B2", ">"),
    "compute_samples_per_second": ("computing only", "#D55E00", "s"),
    "samples_per_second": ("inference: both", "black", "o"),
}

LARGEST = 20
"""Cells drawn, the fastest ones; the CSV has all."""


def data(tables: Tables) -> pd.DataFrame:
    """Inference cells with a verdict, fastest first."""
    cells = tables.summary[tables.summary["bottleneck"].notna()]
    cells = selection.by_speed(cells.assign(engine=selection.engine_labels(cells)))
    efficiency = [f"overlap_efficiency{end}" for end in ("", "_low", "_high")]
    return cells[[*selection.CELL, *MARKS, "utilisation", *efficiency, "bottleneck", "bottleneck_certain"]]


def draw(shown: pd.DataFrame) -> Figure:
    shown = shown.head(LARGEST).reset_index(drop=True)
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(10, 1.6 + 0.75 * len(shown)), layout="constrained")
        axes = figure.subplots()
        for column, (label, colour, marker) in MARKS.items():
            axes.plot(shown[column], shown.index, marker, color=colour, label=label, markersize=9)
        for row, cell in enumerate(shown.itertuples()):
            rates = [getattr(cell, column) for column in MARKS]
            axes.plot([min(rates), max(rates)], [row, row], color="grey", linewidth=1, zorder=0)
            verdict = cell.bottleneck if cell.bottleneck_certain else f"{cell.bottleneck}, not certain"
            lower = "reading" if cell.io_samples_per_second < cell.compute_samples_per_second else "computing"
            axes.annotate(
                f"{verdict}: {cell.samples_per_second:.3g} samples/s, {cell.overlap_efficiency:.0%} of {lower} only "
                f"({cell.overlap_efficiency_low:.0%} to {cell.overlap_efficiency_high:.0%})",
                (min(rates), row),
                xytext=(0, 9),
                textcoords="offset points",
                fontsize=9,
            )
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
        style.plain_logarithmic(axes)  # reading and computing may lie far apart
        axes.set_xlabel("throughput (samples/s, logarithmic)")
        figure.legend(loc="outside lower center", ncols=len(MARKS))
    return figure
