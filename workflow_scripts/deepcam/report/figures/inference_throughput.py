"""End-to-end throughput by batch size: a line per engine and reader, with its compute-only and I/O-only limits."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam import text
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    """End-to-end and compute-only cells with their fastest split of threads."""
    summary = tables.summary
    cells = summary[summary["mode"].isin(("inference", "compute"))]
    cells = selection.fastest(cells, ["mode", "reader", "cache", "engine", "ranks", "local_batch_size"])
    cells = selection.with_interval(cells.assign(engine=selection.engine_labels(cells)))
    return cells[
        [*selection.CELL, "samples_per_second", "low", "high", "io_only_samples_per_second", "bottleneck", "valid"]
    ]


def draw(shown: pd.DataFrame) -> Figure:
    """A panel per number of ranks. An I/O-only limit above the scale is given as a number above the panel."""
    all_ranks = sorted(shown["ranks"].unique())
    sources = shown["reader"] + " " + shown["cache"]
    with matplotlib.rc_context(style.STYLE):
        figure, panels = style.panels(1, len(all_ranks))
        top = 1.1 * shown["high"].max()
        for axes, ranks in zip(panels[0], all_ranks, strict=True):
            here = shown[shown["ranks"] == ranks]
            for (mode, engine, reader, cache), points in here.groupby(["mode", "engine", "reader", "cache"]):
                compute_only = mode == "compute"
                style.errorbar_line(
                    axes,
                    points,
                    "local_batch_size",
                    "samples_per_second",
                    color=style.colour(shown["engine"], engine),
                    marker="_" if compute_only else style.marker(sources, f"{reader} {cache}"),
                    linestyle="--" if compute_only else "-",
                    label=f"{engine}, compute-only" if compute_only else f"{engine}, {reader} {cache}",
                )
                io_only = points.dropna(subset="io_only_samples_per_second").sort_values("local_batch_size")
                if not io_only.empty and io_only["io_only_samples_per_second"].min() < top:
                    axes.plot(
                        io_only["local_batch_size"],
                        io_only["io_only_samples_per_second"],
                        color="black",
                        linestyle=":",
                        label=f"{reader} {cache}, I/O-only",
                    )
            above = here.loc[here["io_only_samples_per_second"] >= top, "io_only_samples_per_second"]
            if not above.empty:
                axes.set_title(f"I/O-only: {_range(above)} samples/s, above this scale", fontsize=9, loc="left")
            axes.set_title(f"end-to-end, {text.count(ranks, 'rank')}\n", loc="center")
            axes.set_xlabel("local batch size (samples)")
            axes.set_ylabel("throughput (samples/s)")
            style.log2_axis(axes, here["local_batch_size"])
        style.from_zero(panels[0], top)
        style.legend(figure, panels)
    return figure


def _range(values: pd.Series) -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"
