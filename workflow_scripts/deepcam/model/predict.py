"""Runs an engine over a few samples and keeps what the figure of predictions shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from deepcam.climate import CHANNELS
from deepcam.model import engine
from deepcam.record import iou
from deepcam.record.predictions import Prediction

PIXELS = 400
"""Rows of a drawn map at most; more would only swell the file."""


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
        made.append(Prediction(data_file.stem, *drawn, iou.confusion(mask, truth)))
    return made
