"""Accuracy of each engine: IoU by class, compared with the float32 reference."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepcam.climate import CLASSES
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables

REFERENCE = "reference: eager fp32"


def data(tables: Tables) -> pd.DataFrame:
    """A row for the reference and a row per engine, for the device with its lowest mean IoU: IoU by class and mean."""
    worst = selection.worst_devices(tables.accuracy)
    shown = ["engine", "device", *CLASSES, "mean IoU", "pixel_agreement", "passed"]
    engines = worst.rename(columns={"mean_iou": "mean IoU"})
    reference = worst.nsmallest(1, "mean_iou").drop(columns=[*CLASSES, "mean_iou"])
    reference = reference.rename(columns={f"reference {name}": name for name in CLASSES})
    reference = reference.rename(columns={"reference_mean_iou": "mean IoU"}).assign(
        engine=REFERENCE, pixel_agreement=1.0, passed=True
    )
    return pd.concat([reference[shown], engines[shown]], ignore_index=True)


def draw(shown: pd.DataFrame) -> Figure:
    """A group of bars per class, and a bar per engine in it. Bars of engines that miss the target are hollow."""
    columns = [*CLASSES, "mean IoU"]
    width = 0.8 / len(shown)
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        axes = figure.subplots()
        for number, engine in shown.iterrows():
            reference = engine["engine"] == REFERENCE
            bars = axes.bar(
                np.arange(len(columns)) + (number - (len(shown) - 1) / 2) * width,
                engine[columns].astype(float),
                width=0.92 * width,
                color="black" if reference else style.COLOURS[(number - 1) % len(style.COLOURS)],
                label=engine["engine"] if reference else f"{engine['engine']}: {_verdict(engine)}",
                fill=bool(engine["passed"]),
                edgecolor="black",
            )
            axes.bar_label(bars, fmt="{:.3f}", fontsize=8, rotation=90 if len(shown) > 3 else 0, padding=2)
        axes.set_xticks(range(len(columns)), labels=columns)
        axes.set_ylabel("intersection over union (IoU)")
        axes.set_ylim(0, 1.15)
        axes.grid(axis="x", visible=False)
        figure.legend(loc="outside lower center")  # in one column: a label with a verdict is long
    return figure


def _verdict(engine: pd.Series) -> str:
    agreement = style.percent(engine["pixel_agreement"], digits=2)
    return f"{'PASS' if engine['passed'] else 'FAIL'}, {agreement} of the pixels agree with the reference"
