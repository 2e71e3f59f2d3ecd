"""Predicted masks next to the true ones, on maps of water vapour, and the table of their IoU."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from deepcam.climate import CLASSES
from deepcam.record import iou
from deepcam.record.predictions import Prediction
from deepcam.report.figures import style

EVENT_COLOURS = ("#D55E00", "#0072B2")
"""Colours of tropical cyclones and atmospheric rivers, from the palette of Okabe and Ito."""


def table(predictions: list[Prediction]) -> pd.DataFrame:
    """A row per sample with the IoU of each class and their mean. The IoU of a class in neither mask is empty."""
    return pd.DataFrame(
        {"sample": prediction.name}
        | dict(zip(CLASSES, iou.iou(prediction.counts), strict=True))
        | {"mean IoU": iou.mean_iou(prediction.counts)}
        for prediction in predictions
    )


def figure(predictions: list[Prediction]) -> Figure:
    """A row per sample: the true mask on the left and the predicted mask on the right, over TMQ in grey."""
    brightest = max(float(prediction.moisture.max()) for prediction in predictions)
    with matplotlib.rc_context(style.STYLE | {"axes.grid": False, "axes.titlesize": 10}):
        drawn = Figure(figsize=(11, 1.1 + 2.6 * len(predictions)), layout="constrained")
        panels = drawn.subplots(len(predictions), 2, squeeze=False, sharex=True, sharey=True)
        for (left, right), prediction in zip(panels, predictions, strict=True):
            image = _map(left, prediction.moisture, prediction.truth, brightest)
            _map(right, prediction.moisture, prediction.mask, brightest)
            left.set_title(f"{prediction.name}: truth")
            left.set_ylabel("latitude (°N)")
            right.set_title(f"prediction: {_agreement(prediction)}")
        for axes in panels[-1]:
            axes.set_xlabel("longitude (°E)")
        drawn.colorbar(image, ax=panels, label="TMQ (kg/m²)", shrink=0.8, pad=0.01)
        patches = [Patch(color=colour, label=name) for colour, name in zip(EVENT_COLOURS, CLASSES[1:], strict=True)]
        drawn.legend(handles=patches, loc="outside lower center", ncols=len(patches))
    return drawn


def _agreement(prediction: Prediction) -> str:
    """IoU of both events, and the mean over all classes. An event in neither mask has a dash."""
    cyclone, river = ("-" if np.isnan(value) else f"{value:.2f}" for value in iou.iou(prediction.counts)[1:])
    return f"IoU cyclones {cyclone}, rivers {river}, mean {iou.mean_iou(prediction.counts):.2f}"


def _map(axes: Axes, moisture: np.ndarray, mask: np.ndarray, brightest: float) -> matplotlib.image.AxesImage:
    place: dict[str, Any] = {
        "origin": "lower", "extent": (0, 360, -90, 90), "aspect": "equal", "interpolation": "none",
    }  # fmt: skip
    image = axes.imshow(moisture, cmap="Greys", vmin=0, vmax=brightest, **place)
    colours = ListedColormap([(0, 0, 0, 0), *(to_rgba(colour, 0.75) for colour in EVENT_COLOURS)])
    axes.imshow(mask, cmap=colours, vmin=0, vmax=len(CLASSES) - 1, **place)
    axes.set_xticks(range(0, 361, 60))
    axes.set_yticks(range(-60, 61, 30))
    return image
