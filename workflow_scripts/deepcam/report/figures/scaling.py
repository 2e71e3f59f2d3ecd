"""Throughput and efficiency over ranks: a column of panels per mode and cache state."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam import text
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    """The fastest cell for each number of ranks of a reader and engine that were measured with several.

    `efficiency` is throughput per rank over that with the fewest ranks: 1 where twice the ranks do twice as much.
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
        [*series, "ranks", "nodes", "local_batch_size", "inter_threads", "intra_threads", "samples_per_second", "low",
         "high", "efficiency", "base", "valid"]
    ]  # fmt: skip


def draw(shown: pd.DataFrame) -> Figure:
    columns = sorted(set(zip(shown["mode"], shown["cache"], strict=True)))
    names = shown["reader"].where(shown["engine"] == "none", shown["engine"] + " " + shown["reader"])
    names = names.where(shown["mode"] != "compute", shown["engine"])
    shown = shown.assign(name=names)
    with matplotlib.rc_context(style.STYLE):
        figure, panels = style.panels(2, len(columns), share="none")
        for (upper, lower), (mode, cache) in zip(zip(*panels, strict=True), columns, strict=True):
            here = shown[(shown["mode"] == mode) & (shown["cache"] == cache)]
            for name, points in here.groupby("name"):
                ceiling = name == "pread-discard"
                look = {
                    "color": "black" if ceiling else style.colour(names[names != "pread-discard"], name),
                    "marker": "o",
                    "linestyle": "--" if ceiling else "-",
                    "label": f"{name} (ceiling)" if ceiling else name,
                }
                style.line(upper, points, "ranks", "samples_per_second", **look)
                rate = points["base"] * points["ranks"]
                shares = points.assign(low=points["low"] / rate, high=points["high"] / rate)
                style.line(lower, shares, "ranks", "efficiency", **look)
            lower.axhline(1, color="grey", linewidth=1)
            upper.set_title(mode if cache == "none" else f"{mode}, {cache} page cache")
            upper.set_ylabel("throughput (samples/s)")
            lower.set_ylabel("efficiency per rank")
            nodes = here.groupby("ranks")["nodes"].max()
            for axes in (upper, lower):
                style.doubling(axes, here["ranks"])
                if nodes.max() > 1:
                    labels = [f"{ranks}\n{text.count(count, 'node')}" for ranks, count in nodes.items()]
                    axes.set_xticks(nodes.index, labels=labels)
            style.from_zero([upper], here["high"].max())
            style.from_zero([lower], max(1.1, (here["high"] / (here["base"] * here["ranks"])).max()))
            lower.set_xlabel("ranks")
        style.legend(figure, panels)
    return figure
