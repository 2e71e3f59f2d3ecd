"""How well a mask agrees with the truth: pixels per class, and intersection over union. Pure functions."""

from __future__ import annotations

import numpy as np

from deepcam.climate import CLASSES
from deepcam.errors import InputError


def confusion(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pixels by true class (rows) and predicted class (columns), (3, 3) int64; counts of several masks add up.

    Both arrays hold class numbers, in any shape and type. Raises InputError for shapes that differ or another class.
    """
    if prediction.shape != truth.shape:
        raise InputError(f"mask of shape {prediction.shape}, truth of {truth.shape}: compare masks of the same sample")
    count = len(CLASSES)
    for name, mask in (("mask", prediction), ("truth", truth)):
        if mask.size and not 0 <= mask.min() <= mask.max() < count:
            raise InputError(f"{name} holds {mask.min()} to {mask.max()}; classes are 0 to {count - 1}")
    pairs = truth.astype(np.int64).ravel() * count + prediction.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=count**2).reshape(count, count)


def iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class (3,) from `confusion`; NaN for a class that is in neither mask."""
    both = np.diagonal(counts).astype(np.float64)
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)


def mean_iou(counts: np.ndarray) -> float:
    """Mean of `iou` over the classes that occur."""
    return float(np.nanmean(iou(counts)))
