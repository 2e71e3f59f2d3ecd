"""The best I/O-only result of each reader, beside its result with the settings that most readers share."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcam.report import selection
from deepcam.report.figures import reading, style
from deepcam.report.page.rows import fastest, is_missing, states
from deepcam.report.page.words import digits, percent, settings
from deepcam.report.tables import Tables

EQUAL = ("gigabytes_per_second", "valid", *selection.SETTINGS)
"""What is shown of a result with the common settings, in columns named `equal_`."""


def data(tables: Tables) -> pd.DataFrame:
    """The best cell of each reader, for the cache states with several readers; the fastest valid one first.

    `baseline_share` is its share of the best read-and-discard result. The columns `equal_` are its result with the
    settings at which most readers were measured.
    """
    summary = selection.by_place(tables.summary)
    io = summary[summary["mode"] == "io"]
    io = io[io.groupby("cache")["reader"].transform("nunique") > 1]
    found = [_of_state(io[io["cache"] == cache]) for cache in states(io)]
    return pd.concat(found, ignore_index=True) if found else io


def _of_state(io: pd.DataFrame) -> pd.DataFrame:
    same = selection.most_common(io, selection.SETTINGS, "reader").set_index("reader")[list(EQUAL)].add_prefix("equal_")
    best = selection.valid_first(io).drop_duplicates("reader")
    best = selection.with_interval(best, best["sample_bytes"] / 1e9)
    baseline = fastest(io[io["reader"] == selection.BASELINE])
    shares = best["gigabytes_per_second"] / (float("nan") if baseline is None else baseline["gigabytes_per_second"])
    best = best.assign(baseline_share=shares.where(best["valid"])).join(same, on="reader")
    shown = ["samples_per_second", "gigabytes_per_second", "low", "high", "baseline_share", "valid"]
    return best[[*selection.CELL, *shown, *same.columns]]


def title(shown: pd.DataFrame) -> str:
    """The fastest reader of each cache state."""
    return reading.finding(shown)


def draw(shown: pd.DataFrame) -> Figure:
    """A panel per cache state, and a bar per reader in it."""
    caches = states(shown)
    counts = [int((shown["cache"] == cache).sum()) for cache in caches]
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(10, 0.4 + 0.36 * sum(counts) + 0.45 * len(caches)), layout="constrained")
        grid = figure.subplots(len(caches), 1, squeeze=False, height_ratios=[number + 1 for number in counts])
        for (axes,), cache in zip(grid, caches, strict=True):
            here = shown[shown["cache"] == cache].reset_index(drop=True)
            _draw_state(axes, here, reading.of_all_places(shown, cache))
            axes.set_title(f"{reading.heading(cache)}; diamonds: {_common(here)}")
        grid[-1][0].set_xlabel("throughput (GB/s)")
        handles = [
            style.patch("best configuration of a reader", style.IO),
            style.mark("with the settings that most readers share", style.END_TO_END, "D"),
            style.mark("read-and-discard baseline, best configuration", style.BASELINE, "", "--"),
            *style.invalid_mark(shown["valid"] & shown["equal_valid"].ne(False), marker="s"),
        ]
        what = "Percentages are of the baseline. A bar that is longer than its diamond shows what other settings gain."
        style.finish(figure, title(shown), f"{what} {style.INTERVALS}", handles)
    return figure


def _common(here: pd.DataFrame) -> str:
    """The common settings in words."""
    row = here.dropna(subset="equal_ranks").iloc[0]
    return settings(pd.Series({key: int(row[f"equal_{key}"]) for key in selection.SETTINGS} | {"reader": ""}))


def _draw_state(axes: Axes, here: pd.DataFrame, with_places: pd.DataFrame) -> None:
    top = max(with_places["high"].max(), with_places["equal_gigabytes_per_second"].max())
    for y, (_, cell) in enumerate(here.iterrows()):
        rate, equal, is_valid = cell["gigabytes_per_second"], cell["equal_gigabytes_per_second"], bool(cell["valid"])
        colour = style.BASELINE if cell["reader"] == selection.BASELINE else style.IO
        style.bar(axes, y, rate, cell["low"], cell["high"], colour, is_valid, 0.62)
        has_valid = not is_missing(cell["equal_valid"]) and bool(cell["equal_valid"])
        face = style.END_TO_END if has_valid else "white"
        axes.plot(equal, y, "D", color=style.END_TO_END, markersize=5, markerfacecolor=face, zorder=4)
        if cell["reader"] == selection.BASELINE and is_valid:
            axes.axvline(rate, color=style.BASELINE, linestyle="--", linewidth=1.2, zorder=1)
        share = "" if is_missing(cell["baseline_share"]) else f"{percent(cell['baseline_share'])}, "
        axes.annotate(
            f"{digits(rate)} GB/s, {'' if is_valid else 'INVALID, '}{share}{settings(cell)}",
            (max(cell["high"], rate if is_missing(equal) else equal), y), xytext=(7, 0), textcoords="offset points",
            va="center", fontsize=9, color=style.END_TO_END if is_valid else style.SOFT, zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
    axes.set_yticks(range(len(here)), labels=[reading.name(reader) for reader in here["reader"]])
    axes.set_ylim(len(here) - 0.5, -0.5)
    axes.set_xlim(0, 1.6 * top)
    axes.grid(axis="y", visible=False)
