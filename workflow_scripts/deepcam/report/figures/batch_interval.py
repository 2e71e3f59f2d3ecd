"""Batch intervals, the times from one finished batch to the next: percentiles of each reader with equal settings."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcam.report import selection
from deepcam.report.figures import reading, style
from deepcam.report.page.rows import states
from deepcam.report.page.words import factor, settings
from deepcam.report.tables import Tables

PERCENTILES = {"p50": ("o", 1), "p95": ("s", 20), "p99": ("D", 100), "max": ("|", 1)}
"""Marker, and the smallest number of batches for which the percentile differs from the maximum."""

WORDS = {"p95": "p95 is {}× p50", "p99": "p99 is {}× p50", "max": "longest is {}× p50"}


def data(tables: Tables) -> pd.DataFrame:
    """The I/O-only cells with the settings that most readers share, by cache state and median batch interval."""
    summary = selection.by_place(tables.summary)
    io = summary[summary["mode"] == "io"]
    found = [selection.most_common(cells, selection.SETTINGS, "reader") for _, cells in io.groupby("cache")]
    shown = pd.concat([io.iloc[:0], *found])
    shown = shown.sort_values(["cache", "batch_interval_p50_seconds", "reader"], ignore_index=True)
    return shown[
        ["cache", "reader", *selection.SETTINGS, "num_batches",
         *(f"batch_interval_{name}_seconds" for name in PERCENTILES), "valid"]
    ]  # fmt: skip


def title(shown: pd.DataFrame) -> str:
    """The largest tail of a valid cell, in units of its median."""
    valid = reading.without_baseline(shown[shown["valid"].astype(bool)])
    if valid.empty:
        return reading.NOTHING_VALID
    tail, largest, cell = max(((*_tail(cell), cell) for _, cell in valid.iterrows()), key=lambda found: found[1])
    name = "the longest batch interval" if tail == "max" else f"the {tail} batch interval"
    whose = f"{reading.name(cell['reader'])} ({cell['cache']})"
    return f"Largest tail: {name} of {whose} is {factor(largest)} times the median"


def _known(cell: pd.Series) -> list[str]:
    return [name for name, (_, fewest) in PERCENTILES.items() if cell["num_batches"] >= fewest]


def _tail(cell: pd.Series) -> tuple[str, float]:
    """The largest percentile that differs from the maximum, or the maximum, and how many times the median it is."""
    known = _known(cell)
    tail = known[-2] if len(known) > 2 else "max"
    return tail, _seconds(cell, tail) / _seconds(cell, "p50")


def _seconds(cell: pd.Series, name: str) -> float:
    return max(style.SHORTEST_INTERVAL, float(cell[f"batch_interval_{name}_seconds"]))


def draw(shown: pd.DataFrame) -> Figure:
    """A panel per cache state, and a row per reader in it. Invalid cells are hollow."""
    caches = states(shown)
    counts = [int((shown["cache"] == cache).sum()) for cache in caches]
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(10, 0.5 + 0.33 * sum(counts) + 0.55 * len(caches)), layout="constrained")
        panels = figure.subplots(
            len(caches), 1, squeeze=False, sharex=True, height_ratios=[number + 1 for number in counts]
        )  # fmt: skip
        seconds = shown[[f"batch_interval_{name}_seconds" for name in PERCENTILES]].clip(lower=style.SHORTEST_INTERVAL)
        style.logarithmic(panels[0][0].xaxis, 1000 * seconds.min(axis=None), 1000 * seconds.max(axis=None))
        for (axes,), cache in zip(panels, caches, strict=True):
            here = shown[shown["cache"] == cache].reset_index(drop=True)
            _draw_rows(axes, here)
            axes.set_title(f"{reading.heading(cache)}; all with {settings(here.iloc[0])}")
        panels[-1][0].set_xlabel("batch interval (ms, logarithmic scale)")
        labels = {"p50": "p50", "p95": "p95, from 20 batches on", "p99": "p99, from 100 batches on", "max": "longest"}
        handles = [style.mark(label, style.IO, PERCENTILES[name][0]) for name, label in labels.items()]
        what = (
            "A batch interval is the time from one finished batch of a rank to the next; it is not the latency of a "
            "request. All readers of a panel have the same settings. A long tail makes devices wait even if the mean "
            "throughput is high enough."
        )
        style.finish(figure, title(shown), what, [*handles, *style.invalid_mark(shown["valid"], style.IO)])
    return figure


def _draw_rows(axes: Axes, here: pd.DataFrame) -> None:
    for y, (_, cell) in enumerate(here.iterrows()):
        colour = style.BASELINE if cell["reader"] == selection.BASELINE else style.IO
        known = _known(cell)
        tail, times = _tail(cell)
        ends = [1000 * _seconds(cell, name) for name in ("p50", tail, "max")]
        axes.plot([ends[0], ends[2]], [y, y], color=colour, linewidth=1, alpha=0.5)
        axes.plot(ends[:2], [y, y], color=colour, linewidth=4, alpha=0.5, solid_capstyle="butt")
        for name in known:
            marker = PERCENTILES[name][0]
            face = colour if cell["valid"] else "white"
            size = 10 if marker == "|" else 6
            axes.plot(1000 * _seconds(cell, name), y, marker, color=colour, markersize=size, markerfacecolor=face)
        words = WORDS[tail].format(factor(times)) + ("" if cell["valid"] else ", INVALID")
        colour = style.END_TO_END if cell["valid"] else style.SOFT
        axes.text(1.01, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=colour)
    names = [
        f"{reading.name(cell['reader'])}, {cell['num_batches']:,} batch{'' if cell['num_batches'] == 1 else 'es'}"
        for _, cell in here.iterrows()
    ]
    axes.set_yticks(range(len(here)), labels=names)
    axes.set_ylim(len(here) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.tick_params(labelbottom=True)
