"""Accuracy against throughput: what an engine gains in speed and gives up in agreement with the labels."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    """An engine's fastest compute cell (inference, where none was measured) beside its worst device's mean IoU."""
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
                label=f"{engine.engine}, {engine.mode}, batch {engine.local_batch_size}",
            )
        axes.axhline(shown["required_mean_iou"].max(), color="black", linestyle="--", label="the gate: 99 % of fp32's")
        axes.set_xlabel("throughput (samples/s)")
        axes.set_ylabel("mean IoU of the validation samples")
        axes.set_xlim(left=0)
        axes.margins(y=0.4)
        figure.legend(loc="outside lower center", ncols=2)
    return figure
