"""Throughput and scaling efficiency by number of MPI ranks."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam import text
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    """The fastest cell of each reader and engine for each number of ranks, if it was measured with several.

    `efficiency` is the throughput per rank, divided by the throughput per rank with the fewest ranks (`base`).
    """
    series = ["mode", "cache", "reader", "engine"]
    cells = selection.fastest(tables.summary, [*series, "ranks"])
    cells = cells[cells.groupby(series)["ranks"].transform("nunique") > 1]
    per_rank = cells["samples_per_second"] / cells["ranks"]
    base = per_rank.groupby([cells[key] for key in series]).transform("first")
    cells = selection.with_interval(
        cells.assign(engine=selection.engine_labels(cells), base=base, efficiency=per_rank / base)
    )
    return cells[
        [*series, "ranks", "num_nodes", "local_batch_size", "inter_threads", "intra_threads", "samples_per_second",
         "low", "high", "efficiency", "base", "valid"]
    ]  # fmt: skip


def draw(shown: pd.DataFrame) -> Figure:
    """A column of panels per mode and cache state: throughput above, efficiency below."""
    columns = sorted(set(zip(shown["mode"], shown["cache"], strict=True)))
    names = shown["reader"].where(shown["engine"] == "none", shown["engine"] + " " + shown["reader"])
    names = names.where(shown["mode"] != "compute", shown["engine"])
    shown = shown.assign(name=names)
    with matplotlib.rc_context(style.STYLE):
        figure, panels = style.panels(2, len(columns), share="none")
        for (upper, lower), (mode, cache) in zip(zip(*panels, strict=True), columns, strict=True):
            here = shown[(shown["mode"] == mode) & (shown["cache"] == cache)]
            for name, points in here.groupby("name"):
                baseline = name == selection.BASELINE
                look = {
                    "color": "black" if baseline else style.colour(names[names != selection.BASELINE], name),
                    "marker": "o",
                    "linestyle": "--" if baseline else "-",
                    "label": f"{name} (baseline)" if baseline else name,
                }
                style.errorbar_line(upper, points, "ranks", "samples_per_second", **look)
                rate = points["base"] * points["ranks"]
                shares = points.assign(low=points["low"] / rate, high=points["high"] / rate)
                style.errorbar_line(lower, shares, "ranks", "efficiency", **look)
            lower.axhline(1, color="grey", linewidth=1)
            title = style.MODE_LABELS[mode]
            upper.set_title(title if cache == "none" else f"{title}, {cache} page cache")
            upper.set_ylabel("throughput (samples/s)")
            lower.set_ylabel("scaling efficiency")
            nodes = here.groupby("ranks")["num_nodes"].max()
            for axes in (upper, lower):
                style.log2_axis(axes, here["ranks"])
                if nodes.max() > 1:
                    labels = [f"{ranks}\n{text.count(count, 'node')}" for ranks, count in nodes.items()]
                    axes.set_xticks(nodes.index, labels=labels)
            style.from_zero([upper], here["high"].max())
            style.from_zero([lower], max(1.1, (here["high"] / (here["base"] * here["ranks"])).max()))
            lower.set_xlabel("MPI ranks")
        style.legend(figure, panels)
    return figure
