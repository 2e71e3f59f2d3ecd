"""Samples on which an int8 engine is calibrated. The accuracy of an engine is judged on others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from deepcam.data import npy, synthesis
from deepcam.data.dataset import read_description
from deepcam.errors import InputError

JUDGED_SAMPLES = 64
"""Only the first samples of a dataset judge engines. At full size these have 57 million pixels."""

CALIBRATION_SAMPLES = 16

SEED, FIRST_LINE = 0, 3 * 10**6
"""Of synthetic calibration samples. The lines are beyond any index, and those of training and its evaluation."""


@dataclasses.dataclass(frozen=True)
class CalibrationSet:
    """Functions that return one sample each, (H, W, C) float32, and where the samples come from."""

    source: Literal["dataset", "synthetic"]
    samples: tuple[Callable[[], np.ndarray], ...]


def calibration_set(dataset: Path) -> CalibrationSet:
    """Return CALIBRATION_SAMPLES samples: of the dataset, from those that judge no engine, or else synthetic ones.

    Synthetic samples are taken if the dataset has too few to spare. They have the dataset's shape. Raises InputError if
    `dataset` is not the description of a dataset, or if the file of a sample is missing or has another shape. A
    returned function raises it if values are not finite.
    """
    described = read_description(dataset)
    shape = described.sample_shape
    spare = described.files[JUDGED_SAMPLES:][:CALIBRATION_SAMPLES]
    if len(spare) == CALIBRATION_SAMPLES:
        for path in spare:
            npy.read_data_header(path, shape)
        return CalibrationSet("dataset", tuple(partial(_load, path, shape) for path in spare))
    seeds = (synthesis.sample_seed(SEED, FIRST_LINE + i) for i in range(CALIBRATION_SAMPLES))
    return CalibrationSet("synthetic", tuple(partial(_make, seed, shape) for seed in seeds))


def _load(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    sample = npy.load(path, shape)
    if not np.isfinite(sample).all():
        raise InputError(
            f"{path}: int8 cannot be calibrated on values that are not finite; use other samples or another precision"
        )
    return sample


def _make(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    height, width, _ = shape
    return synthesis.sample(seed, height, width)[0]
