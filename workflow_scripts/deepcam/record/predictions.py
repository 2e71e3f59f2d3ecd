"""Predictions of a few samples as they are stored: masks beside the truth, as coarse as they are drawn."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepcam import files


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


def save(predictions: list[Prediction], path: Path) -> None:
    """Write all to one npz file, atomically."""
    fields: dict[str, Any] = {
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
