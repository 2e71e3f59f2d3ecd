"""What an engine makes of a few samples, beside the truth: masks on maps of moisture."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from deepcam import engine, files, segmentation
from deepcam.climate import CHANNELS, CLASSES
from deepcam.figures import style

EVENT_COLOURS = ("#D55E00", "#0072B2")
"""Of cyclones and rivers: vermilion and blue of Okabe and Ito, on grey."""

PIXELS = 400
"""Rows of a drawn map at most; more would only swell the file."""


@dataclass(frozen=True)
class Prediction:
    """One sample: its name, moisture TMQ (h, w) in kg/m2, true and predicted class numbers (h, w), as coarse as drawn.

    `counts` (3, 3) are all pixels by true class (rows) and predicted class (columns).
    """

    name: str
    moisture: np.ndarray
    truth: np.ndarray
    mask: np.ndarray
    counts: np.ndarray


def predict(engine_path: Path, device: str, samples: Iterable[tuple[Path, Path]]) -> list[Prediction]:
    """Run an engine over samples, each a data file and its label file, one at a time.

    Raises InputError for an engine that does not fit this machine or the samples.
    """
    loaded = engine.load(engine_path, device)
    made = []
    for data_file, label_file in samples:
        data, labels = np.load(data_file), np.load(label_file)
        mask = loaded(torch.from_numpy(data)[None].to(device))[0].cpu().numpy()
        truth = labels[..., 0].astype(np.uint8)
        step = -(-len(mask) // PIXELS)
        # Contiguous copies, so that the whole sample need not stay in memory.
        drawn = (image[::step, ::step].copy() for image in (data[..., CHANNELS.index("TMQ")], truth, mask))
        made.append(Prediction(data_file.stem, *drawn, segmentation.confusion(mask, truth)))
    return made


def save(predictions: list[Prediction], path: Path) -> None:
    """Write all to one npz file, atomically."""
    fields = {
        field.name: np.array([getattr(prediction, field.name) for prediction in predictions])
        for field in dataclasses.fields(Prediction)
    }
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **fields)


def load(path: Path) -> list[Prediction]:
    """What `save` wrote."""
    with np.load(path) as stored:
        fields = [stored[field.name] for field in dataclasses.fields(Prediction)]
    return [Prediction(str(name), *rest) for name, *rest in zip(*fields, strict=True)]


def table(predictions: list[Prediction]) -> pd.DataFrame:
    """IoU of each class and their mean, a row a sample; empty for a class in neither mask."""
    return pd.DataFrame(
        {"sample": prediction.name}
        | dict(zip(CLASSES, segmentation.iou(prediction.counts), strict=True))
        | {"mean IoU": segmentation.mean_iou(prediction.counts)}
        for prediction in predictions
    )


def figure(predictions: list[Prediction]) -> Figure:
    """A row per sample, the true mask on the left and the predicted one on the right, over TMQ in grey."""
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
    """IoU of the events and the mean over all classes; a dash for an event in neither mask."""
    cyclone, river = ("-" if np.isnan(value) else f"{value:.2f}" for value in segmentation.iou(prediction.counts)[1:])
    return f"IoU cyclones {cyclone}, rivers {river}, mean {segmentation.mean_iou(prediction.counts):.2f}"


def _map(axes: Axes, moisture: np.ndarray, mask: np.ndarray, brightest: float) -> matplotlib.image.AxesImage:
    place = {"origin": "lower", "extent": (0, 360, -90, 90), "aspect": "equal", "interpolation": "none"}
    image = axes.imshow(moisture, cmap="Greys", vmin=0, vmax=brightest, **place)
    colours = ListedColormap([(0, 0, 0, 0), *(to_rgba(colour, 0.75) for colour in EVENT_COLOURS)])
    axes.imshow(mask, cmap=colours, vmin=0, vmax=len(CLASSES) - 1, **place)
    axes.set_xticks(range(0, 361, 60))
    axes.set_yticks(range(-60, 61, 30))
    return image
