"""Accuracy against throughput of each engine."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    """The fastest compute-only cell of each engine, with the lowest mean IoU of its devices.

    If nothing was measured compute-only, these are end-to-end cells.
    """
    summary = tables.summary
    cells = summary[summary["mode"].isin(("compute", "inference"))]
    mode = "compute" if "compute" in set(cells["mode"]) else "inference"
    cells = selection.fastest(cells[cells["mode"] == mode], ["engine"])
    worst = selection.worst_devices(tables.accuracy)
    joined = cells.merge(worst[["engine", "mean_iou", "required_mean_iou", "passed"]], on="engine")
    joined = selection.with_interval(joined.assign(engine=selection.engine_labels(joined)))
    return joined[
        ["engine", "mode", "ranks", "local_batch_size", "samples_per_second", "low", "high", "mean_iou",
         "required_mean_iou", "passed", "valid"]
    ]  # fmt: skip


def draw(shown: pd.DataFrame) -> Figure:
    """A point per engine, and the accuracy target as a dashed line. Invalid points are hollow."""
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        for engine in shown.itertuples():
            colour = style.colour(shown["engine"], engine.engine)
            axes.errorbar(
                engine.samples_per_second,
                engine.mean_iou,
                xerr=[[engine.samples_per_second - engine.low], [engine.high - engine.samples_per_second]],
                color=colour,
                marker=style.marker(shown["engine"], engine.engine),
                markersize=9,
                markerfacecolor=colour if engine.valid and engine.passed else "white",
                linestyle="none",
                capsize=3,
                label=f"{engine.engine}, {style.MODE_LABELS[engine.mode]}, batch {engine.local_batch_size}",
            )
        target = shown["required_mean_iou"].max()
        axes.axhline(target, color="black", linestyle="--", label="accuracy target: 99 % of fp32")
        axes.set_xlabel("throughput (samples/s)")
        axes.set_ylabel("mean IoU on the validation samples")
        axes.set_xlim(left=0)
        axes.margins(y=0.4)
        figure.legend(loc="outside lower center")  # in one column: an engine's label is long
    return figure
