"""Predicted masks compared with the true ones, on maps of water vapour, and the table of their IoU."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.figure import Figure

from deepcam.climate import CLASSES
from deepcam.record import iou
from deepcam.record.predictions import Prediction
from deepcam.report.figures import style
from deepcam.text import count

OUTCOMES = {"hit": "#009E73", "missed, or taken for the other event": "#E69F00", "false alarm": "#CC79A7"}
"""What a pixel of an event in either mask may be, and its colour."""

COLUMNS = 2
"""Maps side by side."""


def table(predictions: list[Prediction]) -> pd.DataFrame:
    """A row per sample with the IoU of each class and their mean. The IoU of a class in neither mask is empty."""
    return pd.DataFrame(
        {"sample": prediction.name}
        | dict(zip(CLASSES, iou.iou(prediction.counts), strict=True))
        | {"mean IoU": iou.mean_iou(prediction.counts)}
        for prediction in predictions
    )


def title(predictions: list[Prediction], source: str) -> str:
    """The mean IoU of all samples. `source` is that of the dataset; synthetic samples are named as such."""
    mean = np.mean([iou.mean_iou(prediction.counts) for prediction in predictions])
    kind = "synthetic sample" if source == "synthetic" else "sample"
    return f"Predictions for {count(len(predictions), kind)}: the mean IoU is {mean:.2f}"


def outcomes(prediction: Prediction) -> np.ndarray:
    """The place in OUTCOMES of each pixel plus 1, and 0 where both masks have no event."""
    truth, mask = prediction.truth, prediction.mask
    return np.select([(truth == mask) & (truth > 0), truth > 0, mask > 0], [1, 2, 3], 0)


def figure(predictions: list[Prediction], source: str) -> Figure:
    """Draw a map for each sample: hits, misses and false alarms of the engine in colour, over TMQ in grey."""
    brightest = max(float(prediction.moisture.max()) for prediction in predictions)
    columns = min(COLUMNS, len(predictions))
    rows = math.ceil(len(predictions) / columns)
    with matplotlib.rc_context(style.STYLE | {"axes.grid": False, "axes.titlesize": 9}):
        drawn, panels = style.grid(rows, columns, 5.2, 2.9, sharex=True, sharey=True)
        flat = [axes for row in panels for axes in row]
        for axes in flat[len(predictions) :]:
            axes.axis("off")
        for axes, prediction in zip(flat, predictions, strict=False):
            image = _map(axes, prediction, brightest)
            axes.set_title(f"{prediction.name}: {_agreement(prediction)}")
            axes.set_xlabel("longitude (°E)")
            axes.tick_params(labelbottom=True)
        for row in panels:
            row[0].set_ylabel("latitude (°N)")
        drawn.colorbar(image, ax=flat, label="TMQ (kg/m²)", shrink=0.8, pad=0.01)
        handles = [style.patch(label, colour) for label, colour in OUTCOMES.items()]
        what = (
            "Events are tropical cyclones and atmospheric rivers. IoU, intersection over union, is the number of "
            "pixels in both masks, divided by the number of pixels in at least one of them."
        )
        style.finish(drawn, title(predictions, source), what, handles)
    return drawn


def _agreement(prediction: Prediction) -> str:
    """IoU of both events, and the mean over all classes. An event in neither mask has a dash."""
    cyclone, river = ("-" if np.isnan(value) else f"{value:.2f}" for value in iou.iou(prediction.counts)[1:])
    return f"IoU cyclones {cyclone}, rivers {river}, mean {iou.mean_iou(prediction.counts):.2f}"


def _map(axes: Axes, prediction: Prediction, brightest: float) -> matplotlib.image.AxesImage:
    place: dict[str, Any] = {
        "origin": "lower", "extent": (0, 360, -90, 90), "aspect": "equal", "interpolation": "none",
    }  # fmt: skip
    image = axes.imshow(prediction.moisture, cmap="Greys", vmin=0, vmax=brightest, **place)
    colours = ListedColormap([(0, 0, 0, 0), *(to_rgba(colour, 0.85) for colour in OUTCOMES.values())])
    axes.imshow(outcomes(prediction), cmap=colours, vmin=0, vmax=len(OUTCOMES), **place)
    axes.set_xticks(range(0, 361, 60))
    axes.set_yticks(range(-60, 61, 30))
    return image
