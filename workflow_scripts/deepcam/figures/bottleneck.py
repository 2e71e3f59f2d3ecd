"""What limits inference: reading alone, computing alone, and both together, for cells that share their settings."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.figures import selection, style
from deepcam.tables import Tables

BARS = {
    "io_samples_per_second": ("reading only", "#56B4E9"),
    "compute_samples_per_second": ("computing only", "#E69F00"),
    "samples_per_second": ("inference: both", "#000000"),
}

LARGEST = 20
"""Cells drawn, the fastest ones; the CSV has all."""


def data(tables: Tables) -> pd.DataFrame:
    """Inference cells with a verdict, fastest first."""
    cells = tables.summary[tables.summary["bottleneck"].notna()]
    cells = selection.by_speed(cells.assign(engine=selection.engine_labels(cells)))
    return cells[[*selection.CELL, *BARS, "utilisation", "overlap_efficiency", "bottleneck"]]


def draw(shown: pd.DataFrame) -> Figure:
    shown = shown.head(LARGEST).reset_index(drop=True)
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(10, 1.4 + 0.8 * len(shown)), layout="constrained")
        axes = figure.subplots()
        for number, (column, (label, colour)) in enumerate(BARS.items()):
            places = [row + (number - 1) * 0.26 for row in range(len(shown))]
            bars = axes.barh(places, shown[column], height=0.24, color=colour, label=label)
            if column == "samples_per_second":
                verdicts = [
                    f"{cell.samples_per_second:.3g}: {cell.bottleneck} ({cell.overlap_efficiency:.0%} of the lower, "
                    f"{cell.utilisation:.0%} of computing)"
                    for cell in shown.itertuples()
                ]
                axes.bar_label(bars, labels=verdicts, padding=4, fontsize=9)
            else:
                axes.bar_label(bars, fmt="{:.3g}", padding=4, fontsize=9)
        axes.set_yticks(
            range(len(shown)),
            labels=[
                f"{cell.engine}\n{cell.reader} {cell.cache}, {style.count(cell.ranks, 'rank')}, "
                f"batch {cell.local_batch_size}, {cell.inter_threads} x {cell.intra_threads} threads"
                for cell in shown.itertuples()
            ],
            fontsize=9,
        )
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlabel("throughput (samples/s)")
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.35)
        figure.legend(loc="outside lower center", ncols=len(BARS))
    return figure
