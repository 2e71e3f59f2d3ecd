"""Inference throughput over batch size: a line per engine and reader, with its two ceilings."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam import text
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    """Inference and compute cells, the fastest split of threads; `io_samples_per_second` is reading alone."""
    summary = tables.summary
    cells = summary[summary["mode"].isin(("inference", "compute"))]
    cells = selection.fastest(cells, ["mode", "reader", "cache", "engine", "ranks", "local_batch_size"])
    cells = selection.with_interval(cells.assign(engine=selection.engine_labels(cells)))
    return cells[[*selection.CELL, "samples_per_second", "low", "high", "io_samples_per_second", "bottleneck", "valid"]]


def draw(shown: pd.DataFrame) -> Figure:
    all_ranks = sorted(shown["ranks"].unique())
    sources = shown["reader"] + " " + shown["cache"]
    with matplotlib.rc_context(style.STYLE):
        figure, panels = style.panels(1, len(all_ranks))
        top = 1.1 * shown["high"].max()
        for axes, ranks in zip(panels[0], all_ranks, strict=True):
            here = shown[shown["ranks"] == ranks]
            for (mode, engine, reader, cache), points in here.groupby(["mode", "engine", "reader", "cache"]):
                ceiling = mode == "compute"
                style.line(
                    axes,
                    points,
                    "local_batch_size",
                    "samples_per_second",
                    color=style.colour(shown["engine"], engine),
                    marker="_" if ceiling else style.marker(sources, f"{reader} {cache}"),
                    linestyle="--" if ceiling else "-",
                    label=f"{engine}, compute only (ceiling)" if ceiling else f"{engine}, {reader} {cache}",
                )
                reading = points.dropna(subset="io_samples_per_second").sort_values("local_batch_size")
                if not reading.empty and reading["io_samples_per_second"].min() < top:
                    axes.plot(
                        reading["local_batch_size"],
                        reading["io_samples_per_second"],
                        color="black",
                        linestyle=":",
                        label=f"{reader} {cache}, reading only (ceiling)",
                    )
            above = here.loc[here["io_samples_per_second"] >= top, "io_samples_per_second"]
            if not above.empty:
                axes.set_title(f"reading only: {_range(above)} samples/s, above this scale", fontsize=9, loc="left")
            axes.set_title(f"inference, {text.count(ranks, 'rank')}\n", loc="center")
            axes.set_xlabel("local batch size (samples)")
            axes.set_ylabel("throughput (samples/s)")
            style.doubling(axes, here["local_batch_size"])
        style.from_zero(panels[0], top)
        style.legend(figure, panels)
    return figure


def _range(values: pd.Series) -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"
