"""I/O-only throughput by threads per rank: bars for few numbers of threads, and a panel per reader for more."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from deepcam.report import selection
from deepcam.report.figures import reading, style
from deepcam.report.page.rows import fastest, states
from deepcam.report.page.words import digits
from deepcam.report.tables import Tables
from deepcam.text import count

FEW_THREADS = 2
"""Numbers of threads up to which bars are drawn."""

FEW_RANKS = 3
"""Numbers of ranks up to which bars are drawn for each of them."""

MAX_COLUMNS = 5
"""Panels side by side."""

SHADES = {False: ("#9cc7e3", style.IO), True: (style.PALE, style.BASELINE)}
"""Colours of few and of more threads; the baseline is grey."""


def data(tables: Tables) -> pd.DataFrame:
    """The fastest split of each number of threads. `gigabytes_per_second` has the interval `low` to `high`.

    With few numbers of threads, this is the fastest batch size, too. With more numbers of threads or many of ranks, it
    is only the number of ranks with the most configurations.
    """
    summary = selection.by_place(tables.summary)
    cells = selection.with_threads(summary[summary["mode"] == "io"])
    few = cells["threads"].nunique() <= FEW_THREADS
    if not few or cells["ranks"].nunique() > FEW_RANKS:
        ranks = cells["ranks"].value_counts().sort_index().iloc[::-1].idxmax() if len(cells) else 0
        cells = cells[cells["ranks"] == ranks]
    batch = [] if few else ["local_batch_size"]
    cells = selection.fastest(cells, ["cache", "ranks", "reader", *batch, "threads"])
    cells = selection.with_interval(cells, cells["sample_bytes"] / 1e9)
    return cells[[*selection.CELL, "threads", "samples_per_second", "gigabytes_per_second", "low", "high", "valid"]]


def title(shown: pd.DataFrame) -> str:
    """The fastest readers, and the number of ranks if only one is shown."""
    ranks = shown["ranks"].unique()
    return reading.finding(shown, f" with {count(ranks[0], 'rank')}" if len(ranks) == 1 else "")


def draw(shown: pd.DataFrame) -> Figure:
    """Bars for few numbers of threads, else lines."""
    with matplotlib.rc_context(style.STYLE):
        return _bars(shown) if shown["threads"].nunique() <= FEW_THREADS else _lines(shown)


def _bars(shown: pd.DataFrame) -> Figure:
    """A panel per cache state and number of ranks, and a bar per reader and number of threads."""
    caches, all_ranks = states(shown), sorted(shown["ranks"].unique())
    threads = sorted(shown["threads"].unique())
    readers = {cache: _ranked(shown[shown["cache"] == cache]) for cache in caches}
    heights = [0.6 + len(readers[cache]) * (0.12 + 0.24 * len(threads)) for cache in caches]
    figure = Figure(figsize=(max(8.5, 1.5 + 4 * len(all_ranks)), 0.3 + sum(heights)), layout="constrained")
    grid = figure.subplots(
        len(caches), len(all_ranks), squeeze=False, sharey="row", sharex="row", height_ratios=heights
    )  # fmt: skip
    width = 0.84 / len(threads)
    for row, cache in zip(grid, caches, strict=True):
        here = shown[shown["cache"] == cache]
        for axes, ranks in zip(row, all_ranks, strict=True):
            for _, cell in here[here["ranks"] == ranks].iterrows():
                shade = threads.index(cell["threads"])
                baseline = cell["reader"] == selection.BASELINE
                y = readers[cache].index(cell["reader"]) + (shade - (len(threads) - 1) / 2) * width
                rate, low, high = cell["gigabytes_per_second"], cell["low"], cell["high"]
                colour = SHADES[baseline][shade - len(threads)]
                style.bar(axes, y, rate, low, high, colour, bool(cell["valid"]), 0.9 * width)
                axes.annotate(
                    digits(rate), (max(rate, high), y), xytext=(4, 0), textcoords="offset points", va="center",
                    fontsize=8, color=style.END_TO_END if cell["valid"] else style.SOFT,
                )  # fmt: skip
            axes.set_title(f"{reading.heading(cache)}, {count(ranks, 'rank')}")
            axes.grid(axis="y", visible=False)
        row[0].set_yticks(range(len(readers[cache])), labels=[reading.name(reader) for reader in readers[cache]])
        row[0].set_ylim(len(readers[cache]) - 0.5, -0.5)
        row[0].set_xlim(0, 1.14 * reading.of_all_places(shown, cache)["high"].max())
    for axes in grid[-1]:
        axes.set_xlabel("throughput (GB/s)")
    handles = [
        *(
            style.patch(f"{count(number, 'thread')} per rank", shade)
            for number, shade in zip(threads, SHADES[False][-len(threads) :], strict=True)
        ),
        style.patch("read-and-discard baseline", style.BASELINE),
        *style.invalid_bar(shown["valid"]),
    ]
    what = "Each bar has the fastest batch size and split of the threads. The scales of the page cache states differ."
    style.finish(figure, title(shown), f"{what} {style.INTERVALS}", handles)
    return figure


def _ranked(cells: pd.DataFrame) -> list[str]:
    """The readers, those with valid results first, then the fastest; the baseline precedes them."""
    ordered = list(dict.fromkeys(selection.valid_first(cells)["reader"]))
    return sorted(ordered, key=lambda reader: reader != selection.BASELINE)


def _lines(shown: pd.DataFrame) -> Figure:
    """A panel per reader, the fastest first, a line per batch size, and the baseline of these batch sizes behind."""
    caches, batches = states(shown), sorted(shown["local_batch_size"].unique())
    blues = matplotlib.colormaps["Blues"](np.linspace(0.45, 1, len(batches))) if len(batches) > 1 else [style.IO]
    shades = {batch: to_hex(blue) for batch, blue in zip(batches, blues, strict=True)}
    readers = {cache: _panels(shown[shown["cache"] == cache]) for cache in caches}
    columns = min(MAX_COLUMNS, max(map(len, readers.values())))
    rows = [
        (cache, readers[cache][first : first + columns])
        for cache in caches
        for first in range(0, len(readers[cache]), columns)
    ]
    figure, grid = style.grid(len(rows), columns, 2.2, 1.9)
    for number, (panels, (cache, names)) in enumerate(zip(grid, rows, strict=True)):
        here = shown[shown["cache"] == cache]
        for axes in panels[len(names) :]:
            axes.axis("off")
        for axes, reader in zip(panels, names, strict=False):
            cells = here[here["reader"] == reader]
            for batch, colour in shades.items():
                baseline = here[(here["reader"] == selection.BASELINE) & (here["local_batch_size"] == batch)]
                baseline = baseline.sort_values("threads")
                axes.plot(baseline["threads"], baseline["gigabytes_per_second"], color=style.PALE, linewidth=1)
                points = cells[cells["local_batch_size"] == batch]
                style.curve(axes, points, "threads", "gigabytes_per_second", {"color": colour})
            best = fastest(cells)
            rate = "no VALID result" if best is None else f"{digits(best['gigabytes_per_second'])} GB/s"
            axes.set_title(f"{reading.name(reader)}: {rate}", fontsize=9)
            style.log2_axis(axes, here["threads"])
            axes.set_ylim(0, 1.08 * reading.of_all_places(shown, cache)["high"].max())
            axes.tick_params(labelleft=axes is panels[0])
            if number == len(rows) - 1 or len(rows[number + 1][1]) <= panels.index(axes):
                axes.set_xlabel("threads per rank")
        panels[0].set_ylabel(f"{cache} (GB/s)")
    handles = [
        *(style.mark(f"batch {batch}", colour, line="-") for batch, colour in shades.items()),
        style.mark("baseline, same batch sizes", style.PALE, "", "-"),
        *style.invalid_mark(shown["valid"], style.IO),
    ]
    what = "Each panel is a reader with its fastest VALID rate, the fastest first. The scales of the page cache states"
    style.finish(figure, title(shown), f"{what} differ. {style.INTERVALS}", handles)
    return figure


def _panels(cells: pd.DataFrame) -> list[str]:
    """The readers that get a panel. The baseline gets one only if it is the only reader."""
    ranked = _ranked(cells)
    return [reader for reader in ranked if reader != selection.BASELINE] or ranked
