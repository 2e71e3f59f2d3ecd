"""Throughput and scaling efficiency by number of MPI ranks, from three numbers of ranks on."""

from __future__ import annotations

import math

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcam.grid import NONE
from deepcam.report import selection
from deepcam.report.contents import FEWEST_RANK_COUNTS
from deepcam.report.figures import style
from deepcam.report.page.words import MODES, page_cache, percent
from deepcam.report.tables import Tables
from deepcam.text import capitalized, count

MAX_LINES = 10
"""Lines in a panel, those of the fastest readers and engines. The CSV has all of them."""

SERIES = ["mode", "cache", "reader", "engine"]
FIXED = ["local_batch_size", "inter_threads", "intra_threads"]
ORDER = {name: place for place, name in enumerate(("io", "compute", "inference", "train"))}


def data(tables: Tables) -> pd.DataFrame:
    """The cells of each reader and engine that differ in the number of ranks only, if there are three or more.

    Of several settings, those with the most numbers of ranks are shown, then those that are fastest with the most
    ranks. `efficiency` is the throughput per rank, divided by the throughput per rank with the fewest ranks.
    """
    cells = selection.with_interval(selection.by_place(tables.summary)).sort_values(["ranks", *selection.CELL])
    lines = cells.groupby([*SERIES, *FIXED])
    cells = cells.assign(counts=lines["ranks"].transform("size"), last=lines["samples_per_second"].transform("last"))
    cells = cells[cells["counts"] >= FEWEST_RANK_COUNTS]
    ranked = cells.sort_values(["counts", "last", *FIXED], ascending=False, kind="stable")
    cells = cells.merge(ranked.drop_duplicates(SERIES)[[*SERIES, *FIXED]], on=[*SERIES, *FIXED])
    per_rank = cells["samples_per_second"] / cells["ranks"]
    base = per_rank.groupby([cells[key] for key in SERIES]).transform("first")
    cells = cells.assign(engine=selection.engine_labels(cells), efficiency=per_rank / base)
    cells = cells.sort_values([*SERIES, "ranks"], key=lambda column: column.replace(ORDER), ignore_index=True)
    return cells[[*selection.CELL, "num_nodes", "samples_per_second", "low", "high", "efficiency", "valid"]]


def title(shown: pd.DataFrame) -> str:
    """The efficiency of the fastest valid reader or engine of each panel, with the most ranks."""
    words = []
    for (mode, cache), cells in shown.groupby(["mode", "cache"], sort=False):
        whole = cells[cells.groupby(["reader", "engine"])["valid"].transform("all")]
        whole = whole[whole["reader"] != selection.BASELINE]
        if not whole.empty:
            best = whole.sort_values(["ranks", "samples_per_second"], kind="stable").iloc[-1]
            words.append(
                f"{_name(best)} {percent(best['efficiency'])} at {count(best['ranks'], 'rank')} ({_panel(mode, cache)})"
            )
    return f"Scaling efficiency: {'; '.join(words)}" if words else "No reader or engine is VALID with all ranks"


def _name(row: pd.Series) -> str:
    if row["reader"] == selection.BASELINE:
        return "baseline"
    return " ".join(str(row[key]) for key in ("engine", "reader") if row[key] != "none")


def _panel(mode: str, cache: str) -> str:
    return MODES[mode] if cache == NONE else f"{MODES[mode]}, {cache}"


def draw(shown: pd.DataFrame) -> Figure:
    """A panel per mode and cache state, and a line per reader and engine in it, with its efficiency at the end."""
    panels = [key for key, _ in shown.groupby(["mode", "cache"], sort=False)]
    columns = min(2, len(panels))
    with matplotlib.rc_context(style.STYLE):
        figure, grid = style.grid(math.ceil(len(panels) / columns), columns, 5.2, 3.4)
        flat = [axes for row in grid for axes in row]
        for axes in flat[len(panels) :]:
            axes.axis("off")
        for axes, (mode, cache) in zip(flat, panels, strict=False):
            _draw_panel(axes, shown[(shown["mode"] == mode) & (shown["cache"] == cache)])
            axes.set_title(capitalized(_panel(mode, cache if cache == NONE else page_cache(cache))))
        handles = [style.mark("ideal", style.BASELINE, "", "--"), *style.invalid_mark(shown["valid"])]
        what = (
            "Percentages are scaling efficiencies: the throughput per rank with the most ranks, divided by that with "
            f"the fewest. All points of a line have the same batch size and threads. At most {MAX_LINES} lines are "
            f"shown in a panel, the fastest ones. {style.INTERVALS}"
        )
        style.finish(figure, title(shown), what, handles)
    return figure


def _draw_panel(axes: Axes, here: pd.DataFrame) -> None:
    lines = [points for _, points in here.groupby(["reader", "engine"])]
    lines = sorted(lines, key=lambda points: -points["samples_per_second"].iloc[-1])[:MAX_LINES]
    ranks = sorted(here["ranks"].unique())
    ideal = max(points["samples_per_second"].iloc[0] / points["ranks"].iloc[0] for points in lines)
    low = min(points["low"].min() for points in lines)
    high = max(ideal * ranks[-1], *(points["high"].max() for points in lines))
    style.logarithmic(axes.yaxis, low, high)
    axes.plot(ranks, [ideal * number for number in ranks], color=style.BASELINE, linestyle="--", linewidth=1)
    ends = [math.log(points["samples_per_second"].iloc[-1]) for points in lines]
    heights = style.apart(ends, math.log(1.5625 * high / low) / 15)  # room for 15 labels, one above the other
    for place, (points, height) in enumerate(zip(lines, heights, strict=True)):
        last = points.iloc[-1]
        is_baseline = last["reader"] == selection.BASELINE
        colour = style.BASELINE if is_baseline else style.SERIES[place % len(style.SERIES)]
        style.curve(axes, points, "ranks", "samples_per_second", {"color": colour})
        axes.text(
            last["ranks"] * (ranks[-1] / ranks[0]) ** 0.03, math.exp(height),
            f"{_name(last)}: {percent(last['efficiency'])}", fontsize=8.5, color=colour, va="center",
        )  # fmt: skip
    nodes = here.groupby("ranks")["num_nodes"].max()
    labels = [str(number) for number in ranks]
    if nodes.max() > 1:
        labels = [f"{number}\n{count(nodes[number], 'node')}" for number in ranks]
    style.log2_axis(axes, ranks, labels)
    longest = max(len(_name(points.iloc[-1])) for points in lines)
    room = 0.25 + 0.025 * longest  # for the labels, as a share of the distance from the first to the last point
    axes.set_xlim(ranks[0] * (ranks[0] / ranks[-1]) ** 0.06, ranks[-1] * (ranks[-1] / ranks[0]) ** room)
    axes.set_ylim(top=max(axes.get_ylim()[1], 1.1 * math.exp(max(heights))))
    axes.set_xlabel("MPI ranks")
    axes.set_ylabel("throughput (samples/s, logarithmic scale)")
