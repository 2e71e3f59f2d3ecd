"""The bottleneck: I/O-only, compute-only and end-to-end throughput of configurations with the same settings."""

from __future__ import annotations

import math

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcam.record import bottleneck
from deepcam.record.columns import Bottleneck
from deepcam.report import selection
from deepcam.report.figures import style
from deepcam.report.page.verdict import TITLES
from deepcam.report.page.words import factor, ratio, settings
from deepcam.report.tables import Tables

MARKS = {
    "io_only": ("I/O-only", style.IO, ">", 9),
    "compute_only": ("compute-only", style.COMPUTE, "s", 8),
    "end_to_end": ("end-to-end", style.END_TO_END, "o", 7),
}
"""Label, colour, marker and its size."""

MAX_ROWS = 12
"""Number of rows drawn, the fastest ones of each page cache state. The CSV has all of them."""

COMPUTE_KEYS = ["engine", "ranks", "local_batch_size"]
"""What an end-to-end configuration and its compute-only limit have in common."""

SHORT = 0.2
"""Share of the axis below which the label of the headroom is beside its arrow."""


def data(tables: Tables) -> pd.DataFrame:
    """The fastest end-to-end cell with a verdict of each cache state, engine and reader; cold first, then by speed."""
    table = selection.with_interval(selection.by_place(tables.summary))
    cells = selection.by_speed(table[table["bottleneck"].notna()]).drop_duplicates(["cache", "engine", "reader"])
    cells = cells.sort_values("cache", kind="stable")
    for mode, limit, keys in (
        ("io", "io_only", ["reader", "cache", *selection.SETTINGS]),
        ("compute", "compute_only", COMPUTE_KEYS),
    ):
        ends = table.loc[table["mode"] == mode, [*keys, "low", "high"]]
        cells = cells.merge(ends.rename(columns={end: f"{limit}_{end}" for end in ("low", "high")}), on=keys)
    cells = cells.rename(columns={end: f"end_to_end_{end}" for end in ("low", "high")})
    cells = cells.assign(engine=selection.engine_labels(cells))
    intervals = [f"{name}_{end}" for name in MARKS for end in ("low", "high")]
    return cells[[*selection.CELL, "samples_per_second", *Bottleneck.model_fields, *intervals]]


def title(shown: pd.DataFrame) -> str:
    """The verdict on the fastest row of each cache state, as on the results page."""
    first = shown.drop_duplicates("cache")
    return "; ".join(f"{TITLES[row['bottleneck']]} ({row['cache']}): {_reason(row)}" for _, row in first.iterrows())


def _reason(row: pd.Series) -> str:
    lower, upper = _limits(row)
    reason = f"end-to-end runs at {_overlap(row)} of {MARKS[lower][0]}"
    if row["bottleneck"] not in ("compute", "storage", "reader") or not _has_headroom(row):
        return reason
    return f"{reason}, and {MARKS[upper][0]} is {factor(row['headroom'])} times as fast"


def _limits(row: pd.Series) -> tuple[str, str]:
    """The names of the lower and of the higher limit."""
    io_is_lower = row["io_only_samples_per_second"] < row["compute_only_samples_per_second"]
    return ("io_only", "compute_only") if io_is_lower else ("compute_only", "io_only")


def _overlap(row: pd.Series) -> str:
    return ratio(row["overlap_efficiency"], bottleneck.OVERLAP_LIMITED_BELOW)


def _has_headroom(row: pd.Series) -> bool:
    return bool(row[f"{_limits(row)[1]}_low"] > row["end_to_end_high"])


def draw(shown: pd.DataFrame) -> Figure:
    """A row per cell with its three rates and its headroom, and its verdict beside them."""
    rows = shown[shown.groupby("cache").cumcount() < MAX_ROWS // shown["cache"].nunique()].reset_index(drop=True)
    low = min(rows[f"{name}_low"].min() for name in MARKS)
    high = max(rows[f"{name}_high"].max() for name in MARKS)
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(10, 0.8 + 0.6 * len(rows)), layout="constrained")
        axes, verdicts = figure.subplots(1, 2, width_ratios=(1.75, 1), sharey=True)
        verdicts.axis("off")
        style.logarithmic(axes.xaxis, low, high)
        for place, row in rows.iterrows():
            _draw_row(axes, int(str(place)), row)
            verdicts.text(0, place, TITLES[row["bottleneck"]], fontsize=10.5, fontweight="bold", va="bottom")
            words = f"{_overlap(row)} of {MARKS[_limits(row)[0]][0]}; {row['bottleneck_confidence']} confidence"
            verdicts.text(0, place + 0.04, words, fontsize=9, color=style.SOFT, va="top")
        axes.set_yticks(
            range(len(rows)),
            labels=[f"{row['engine']}\n{row['reader']}, {row['cache']}, {settings(row)}" for _, row in rows.iterrows()],
            fontsize=9,
        )
        axes.set_ylim(len(rows) - 0.45, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("throughput (samples/s, logarithmic scale)")
        handles = [
            *(style.mark(label, colour, marker) for label, colour, marker, _ in MARKS.values()),
            style.patch("90\u2013110 % of the lower limit", style.PALE),
            style.mark("headroom", style.SOFT, ">", "-"),
        ]
        some = "" if len(rows) == len(shown) else f" {len(rows)} of {len(shown)} rows are shown, the fastest ones."
        what = "The fastest configuration of each engine and reader. All measurements of a row have equal settings."
        style.finish(figure, title(shown), f"{what}{some} {style.INTERVALS}", handles)
    return figure


def _draw_row(axes: Axes, place: int, row: pd.Series) -> None:
    lower, upper = (row[f"{limit}_samples_per_second"] for limit in _limits(row))
    end_to_end = row["samples_per_second"]
    low, high = (limit * lower for limit in (bottleneck.OVERLAP_LIMITED_BELOW, bottleneck.CONFLICT_ABOVE))
    axes.barh(place, high - low, left=low, height=0.62, color=style.PALE, alpha=0.6, zorder=1)
    if _has_headroom(row):
        arrow = {"arrowstyle": "->", "color": style.SOFT, "shrinkA": 5, "shrinkB": 6}
        axes.annotate("", (upper, place), (end_to_end, place), arrowprops=arrow, zorder=2)
        left, right = axes.get_xlim()
        is_short = math.log(upper / end_to_end) < SHORT * math.log(right / left)
        at, offset, side = (upper, (9, 0), "left") if is_short else (math.sqrt(upper * end_to_end), (0, 7), "center")
        axes.annotate(
            f"{factor(row['headroom'])}×", (at, place), xytext=offset, textcoords="offset points", ha=side,
            va="center", fontweight="bold", zorder=5,
        )  # fmt: skip
    for name, (_, colour, marker, size) in MARKS.items():
        axes.plot([row[f"{name}_low"], row[f"{name}_high"]], [place, place], color=colour, linewidth=1.8, zorder=3)
        rate = end_to_end if name == "end_to_end" else row[f"{name}_samples_per_second"]
        axes.plot(rate, place, marker, color=colour, markersize=size, markeredgecolor="white", zorder=4)
