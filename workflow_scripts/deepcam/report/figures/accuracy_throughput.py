"""Accuracy against throughput of each engine, if engines differ in precision or accuracy."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.report import selection
from deepcam.report.figures import style
from deepcam.report.page.rows import of_mode
from deepcam.report.page.words import MODES, digits, factor, joined, percent
from deepcam.report.tables import Tables
from deepcam.text import count

EMPTY = "All engines have the same precision and the same accuracy. The results page has both in its table of engines."
"""Why the figure may have no data although several engines were measured."""


def data(tables: Tables) -> pd.DataFrame:
    """The fastest compute-only cell of each engine, with the lowest mean IoU of its devices, by throughput.

    If nothing was measured compute-only, these are end-to-end cells. There is no row if all engines have the same
    precision and mean IoU. `accuracy` is the mean IoU divided by that of the FP32 reference.
    """
    cells = tables.summary[tables.summary["mode"].isin(("compute", "inference"))]
    mode = "compute" if "compute" in set(cells["mode"]) else "inference"
    cells = selection.fastest(of_mode(cells, mode), ["engine"])
    worst = selection.worst_devices(tables.accuracy)
    shown = cells.merge(worst[["engine", "mean_iou", "reference_mean_iou", "required_mean_iou", "passed"]], on="engine")
    if shown["precision"].nunique() < 2 and shown["mean_iou"].nunique() < 2:
        shown = shown.iloc[:0]
    shown = selection.with_interval(shown).sort_values(["samples_per_second", "engine"], ignore_index=True)
    return shown.assign(accuracy=shown["mean_iou"] / shown["reference_mean_iou"])[
        ["engine", "precision", "mode", *selection.SETTINGS, "samples_per_second", "low", "high", "mean_iou",
         "reference_mean_iou", "required_mean_iou", "accuracy", "passed", "valid"]
    ]  # fmt: skip


def title(shown: pd.DataFrame) -> str:
    """State how fast and accurate the fastest valid engine is, and which engines miss the accuracy target."""
    valid = shown[shown["valid"].astype(bool) & shown["passed"].astype(bool)]
    missed = shown.loc[~shown["passed"].astype(bool), "engine"]
    words = [f"{joined(list(missed))} miss{'es' if len(missed) == 1 else ''} the accuracy target"] * (len(missed) > 0)
    if not valid.empty:
        slowest, fastest = valid.iloc[0], valid.iloc[-1]
        lead = factor(fastest["samples_per_second"] / slowest["samples_per_second"])
        compared = f"is {lead} times as fast as {slowest['engine']} and " if len(valid) > 1 else ""
        words.insert(0, f"{fastest['engine']} {compared}keeps {_share(fastest)} of FP32 accuracy")
    return "; ".join(words) or "No VALID compute-only result"


def _share(row: pd.Series) -> str:
    return percent(row["accuracy"], 2)


def draw(shown: pd.DataFrame) -> Figure:
    """A point per engine with its name, and the accuracy target. Points of invalid engines are hollow."""
    shown = shown.reset_index(drop=True)
    shares = 100 * shown["accuracy"]
    target = 100 * (shown["required_mean_iou"] / shown["reference_mean_iou"]).max()
    top, lowest = max(100.3, shares.max() + 0.1), min(target - 0.3, shares.min() - 0.1)
    height = 0.8 + 0.42 * max(6, len(shown))
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(9, height), layout="constrained")
        axes = figure.subplots()
        # A label has two lines of 9 points and some space: as a share of the axis.
        heights = style.apart(list(shares), (top - lowest) * 0.42 / (height - 0.5))
        for place, row in shown.iterrows():
            rate, share = row["samples_per_second"], shares[place]
            face = style.COMPUTE if row["valid"] and row["passed"] else "white"
            axes.plot([row["low"], row["high"]], [share] * 2, color=style.COMPUTE, linewidth=2)
            axes.plot(rate, share, "s", color=style.COMPUTE, markersize=8, markerfacecolor=face)
            axes.annotate(
                f"{row['engine']}\n{row['precision'].upper()}, {count(row['ranks'], 'rank')}, batch "
                f"{row['local_batch_size']}: {digits(rate)} samples/s, {_share(row)}",
                (rate, share), xytext=(row["high"] + 0.03 * shown["high"].max(), heights[int(str(place))]),
                fontsize=9, va="center", arrowprops={"arrowstyle": "-", "color": style.BASELINE},
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # fmt: skip
        axes.axhline(target, color=style.END_TO_END, linestyle="--", linewidth=1)
        axes.set_ylim(lowest, max(top, *heights) + 0.1 * (top - lowest))
        axes.set_xlim(0, 1.75 * shown["high"].max())
        axes.set_xlabel(f"{MODES[shown['mode'].iloc[0]]} throughput (samples/s)")
        axes.set_ylabel("mean IoU (% of the FP32 reference)")
        handles = [
            style.mark("engine", style.COMPUTE, "s"),
            *style.invalid_mark(shown["valid"] & shown["passed"], style.COMPUTE, "s"),
            style.mark(f"accuracy target: {target:.4g} % of FP32", style.END_TO_END, "", "--"),
        ]
        what = "The fastest configuration of each engine, and the lowest accuracy of its devices."
        style.finish(figure, title(shown), f"{what} {style.INTERVALS}", handles)
    return figure
