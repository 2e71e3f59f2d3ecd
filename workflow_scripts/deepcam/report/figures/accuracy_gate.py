"""The accuracy gate: IoU of each engine, class by class, beside the fp32 reference's."""

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
    """A row per engine, of the device where it does worst, and one for the reference; IoU per class and their mean."""
    worst = selection.worst_devices(tables.accuracy)
    shown = ["engine", "device", *CLASSES, "mean IoU", "agreement", "passed"]
    engines = worst.rename(columns={"mean_iou": "mean IoU"})
    reference = worst.nsmallest(1, "mean_iou").drop(columns=[*CLASSES, "mean_iou"])
    reference = reference.rename(columns={f"reference {name}": name for name in CLASSES})
    reference = reference.rename(columns={"reference_mean_iou": "mean IoU"}).assign(
        engine=REFERENCE, agreement=1.0, passed=True
    )
    return pd.concat([reference[shown], engines[shown]], ignore_index=True)


def draw(shown: pd.DataFrame) -> Figure:
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
        axes.set_ylabel("intersection over union")
        axes.set_ylim(0, 1.15)
        axes.grid(axis="x", visible=False)
        figure.legend(loc="outside lower center")  # a verdict is a long line: one below the other
    return figure


def _verdict(engine: pd.Series) -> str:
    return f"{'passed' if engine['passed'] else 'FAILED'}, {engine['agreement']:.2%} of the pixels agree"
