"""I/O-only throughput by threads per rank."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam import text
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    """The fastest split of each number of threads. `gigabytes_per_second` has the interval `low` to `high`."""
    summary = tables.summary
    cells = selection.with_threads(summary[summary["mode"] == "io"])
    cells = selection.fastest(cells, ["cache", "ranks", "reader", "local_batch_size", "threads"])
    cells = selection.with_interval(cells, cells["sample_bytes"] / 1e9)
    return cells[
        ["cache", "ranks", "reader", "local_batch_size", "threads", "inter_threads", "intra_threads",
         "gigabytes_per_second", "low", "high", "valid"]
    ]  # fmt: skip


def draw(shown: pd.DataFrame) -> Figure:
    """A panel per cache state and number of ranks, and a line per reader and batch size in it."""
    caches, all_ranks = sorted(shown["cache"].unique()), sorted(shown["ranks"].unique())
    batches = sorted(shown["local_batch_size"].unique())
    readers = shown.loc[shown["reader"] != selection.BASELINE, "reader"]
    with matplotlib.rc_context(style.STYLE):
        figure, panels = style.panels(len(caches), len(all_ranks))
        for row, cache in zip(panels, caches, strict=True):
            for axes, ranks in zip(row, all_ranks, strict=True):
                here = shown[(shown["cache"] == cache) & (shown["ranks"] == ranks)]
                for (reader, batch), points in here.groupby(["reader", "local_batch_size"]):
                    baseline = reader == selection.BASELINE
                    name = f"{reader} (baseline)" if baseline else reader
                    style.errorbar_line(
                        axes,
                        points,
                        "threads",
                        "gigabytes_per_second",
                        color="black" if baseline else style.colour(readers, reader),
                        marker=style.marker(batches, batch),
                        linestyle="--" if baseline else "-",
                        label=f"{name}, batch {batch}" if len(batches) > 1 else name,
                    )
                axes.set_title(f"{cache} page cache, {text.count(ranks, 'rank')}")
                axes.set_xlabel("threads per rank")
                axes.set_ylabel("throughput (GB/s)")
                style.log2_axis(axes, here["threads"])
            style.from_zero(row, shown.loc[shown["cache"] == cache, "high"].max())
        style.legend(figure, panels)
    return figure
