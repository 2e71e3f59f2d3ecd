"""Run an engine over a few samples and keep the maps that the figure of predictions shows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from deepcam.climate import CHANNELS
from deepcam.model import engine
from deepcam.record import iou
from deepcam.record.predictions import Prediction

MAX_ROWS = 400
"""Largest number of rows of a map. More would only enlarge the figure's file."""


def predict(engine_path: Path, device: str, samples: Iterable[tuple[Path, Path]]) -> list[Prediction]:
    """Run an engine over samples, one at a time. A sample is its data file and its label file.

    Raises InputError if the engine does not fit this machine or the samples.
    """
    loaded = engine.load(engine_path, device)
    made = []
    for data_file, label_file in samples:
        data, labels = np.load(data_file), np.load(label_file)
        mask = loaded(torch.from_numpy(data)[None].to(device))[0].cpu().numpy()
        truth = labels[..., 0].astype(np.uint8)
        step = math.ceil(len(mask) / MAX_ROWS)
        # Copies, so that the whole sample does not stay in memory.
        maps = (image[::step, ::step].copy() for image in (data[..., CHANNELS.index("TMQ")], truth, mask))
        made.append(Prediction(data_file.stem, *maps, iou.confusion(mask, truth)))
    return made
