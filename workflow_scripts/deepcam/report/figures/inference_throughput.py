"""Compute-only and end-to-end throughput by batch size: bars for few batch sizes, a panel per engine for more."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcam.grid import NONE
from deepcam.report import selection
from deepcam.report.figures import style
from deepcam.report.page.rows import fastest, of_mode, states
from deepcam.report.page.words import digits
from deepcam.report.tables import Tables

FEW_BATCHES = 2
"""Batch sizes up to which bars are drawn."""

MAX_ENGINES = 6
"""Number of engines drawn, the fastest ones. The CSV has all of them."""

LOOKS = {NONE: (style.COMPUTE, "--"), "cold": (style.END_TO_END, "-"), "warm": ("#98a2ad", ":")}
"""Colour of bars and line by the page cache: none for compute-only, the others for end-to-end."""


def data(tables: Tables) -> pd.DataFrame:
    """Compute-only and end-to-end cells with their fastest ranks and threads, the engine with the fastest first.

    With few batch sizes, this is the fastest reader, too.
    """
    summary = selection.by_place(tables.summary)
    cells = summary[summary["mode"].isin(("inference", "compute"))]
    reader = [] if cells["local_batch_size"].nunique() <= FEW_BATCHES else ["reader"]
    cells = selection.fastest(cells, ["mode", "cache", "engine", *reader, "local_batch_size"])
    cells = selection.with_interval(cells.assign(engine=selection.engine_labels(cells)))
    order = {engine: place for place, engine in enumerate(selection.valid_first(cells)["engine"].unique())}
    cells = cells.sort_values("engine", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    return cells[[*selection.CELL, "samples_per_second", "low", "high", "valid"]]


def title(shown: pd.DataFrame) -> str:
    """The fastest valid end-to-end and compute-only results."""
    names = {"inference": "end-to-end", "compute": "compute-only"}
    found = {name: fastest(of_mode(shown, mode)) for mode, name in names.items()}
    words = [
        f"{name} {digits(cell['samples_per_second'])} samples/s with {cell['engine']}"
        for name, cell in found.items()
        if cell is not None
    ]
    return f"Fastest: {'; '.join(words)}" if words else "No VALID compute-only or end-to-end result"


def draw(shown: pd.DataFrame) -> Figure:
    """Bars for few batch sizes, else lines."""
    engines = list(shown["engine"].unique())
    drawn = shown[shown["engine"].isin(engines[:MAX_ENGINES])]
    more = f" The {MAX_ENGINES} fastest of {len(engines)} engines are shown." if len(engines) > MAX_ENGINES else ""
    with matplotlib.rc_context(style.STYLE):
        if shown["local_batch_size"].nunique() <= FEW_BATCHES:
            figure, what, handles = *_bars(drawn), style.invalid_bar(drawn["valid"])
        else:
            figure, what, handles = _lines(drawn)
        style.finish(figure, title(shown), f"{what}{more} {style.INTERVALS}", handles)
    return figure


def _bars(shown: pd.DataFrame) -> tuple[Figure, str]:
    """A group of bars per engine."""
    engines = list(shown["engine"].unique())
    figure = Figure(figsize=(9, 0.6 + 0.27 * len(shown) + 0.32 * len(engines)), layout="constrained")
    axes = figure.subplots()
    y, ticks = 0.0, {}
    for engine in engines:
        axes.text(0, y, engine, fontweight="bold", va="center")
        for cache in [NONE, *states(shown)]:
            cells = shown[(shown["engine"] == engine) & (shown["cache"] == cache)]
            label = "compute-only" if cache == NONE else f"end-to-end, {cache}"
            colour, _ = LOOKS[cache.split()[0]]
            for _, cell in cells.sort_values("local_batch_size").iterrows():
                y += 0.8
                rate, is_valid = cell["samples_per_second"], bool(cell["valid"])
                style.bar(axes, y, rate, cell["low"], cell["high"], colour, is_valid, 0.64)
                words = digits(rate) + ("" if is_valid else "  INVALID")
                axes.annotate(
                    words, (cell["high"], y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9
                )  # fmt: skip
                ticks[y] = f"{label}, batch {cell['local_batch_size']}"
        y += 1.0
    axes.set_yticks(list(ticks), labels=list(ticks.values()), fontsize=9)
    axes.set_ylim(y - 0.4, -0.6)
    axes.set_xlim(0, 1.15 * shown["high"].max())
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("throughput (samples/s)")
    return figure, "Each bar has the fastest ranks, reader and threads."


def _lines(shown: pd.DataFrame) -> tuple[Figure, str, list[matplotlib.artist.Artist]]:
    """A panel per engine, and a line for compute-only and for each reader in it, at each place that is named."""
    places = shown["cache"].str.partition(" ")
    shown = shown.assign(cache=places[0], reader=(shown["reader"] + " " + places[2]).str.strip())
    engines, batches = list(shown["engine"].unique()), shown["local_batch_size"].unique()
    readers = selection.valid_first(of_mode(shown, "inference"))["reader"].unique()
    colours = (style.END_TO_END, *style.SERIES)
    looks = {
        reader: {"color": colours[place % len(colours)], "marker": style.MARKERS[place % len(style.MARKERS)]}
        for place, reader in enumerate(readers)
    } | {"none": {"color": style.COMPUTE, "marker": "s"}}
    figure, (panels,) = style.grid(1, len(engines), 3.0, 3.2, sharey=True)
    style.logarithmic(panels[0].yaxis, shown["low"].min(), shown["high"].max())
    for axes, engine in zip(panels, engines, strict=True):
        _draw_engine(axes, shown[shown["engine"] == engine], looks)
        axes.set_title(engine, fontsize=9.5)
        style.log2_axis(axes, batches)
        axes.set_xlabel("local batch size (samples)")
    panels[0].set_ylabel("throughput (samples/s, logarithmic scale)")
    handles: list[matplotlib.artist.Artist] = [
        style.mark("compute-only" if reader == "none" else f"end-to-end, {reader}", look["color"], look["marker"], "-")
        for reader, look in looks.items()
        if reader in set(shown["reader"])
    ]
    what = "Each mark has the fastest ranks and threads. Lines are dashed for compute-only, solid for a cold page cache"
    return figure, f"{what}, and dotted for a warm one.", [*handles, *style.invalid_mark(shown["valid"])]


def _draw_engine(axes: Axes, here: pd.DataFrame, looks: dict[str, dict[str, str]]) -> None:
    for cache, (_, line) in LOOKS.items():
        for reader, points in here[here["cache"] == cache].groupby("reader"):
            style.curve(axes, points, "local_batch_size", "samples_per_second", looks[reader] | {"linestyle": line})
