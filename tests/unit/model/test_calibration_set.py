"""int8 engines are calibrated on samples that judge no engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dataset_example import dataset
from deepcam.errors import InputError
from deepcam.model.calibration import CALIBRATION_SAMPLES, JUDGED_SAMPLES, calibration_set

SHAPE = (32, 48, 16)


def describe(folder: Path, samples: int) -> Path:
    """Write dataset.json, and the files of those samples only that judge no engine."""
    dataset(shape=SHAPE, samples=samples).write(folder / "dataset.json")
    for i in range(JUDGED_SAMPLES, samples):
        np.save(folder / f"data-{i}.npy", np.full(SHAPE, i, np.float32))
    return folder / "dataset.json"


def test_samples_after_the_judged_ones_are_taken(tmp_path: Path) -> None:
    found = calibration_set(describe(tmp_path, JUDGED_SAMPLES + CALIBRATION_SAMPLES + 1))
    assert found.source == "dataset"
    values = [np.unique(sample()).tolist() for sample in found.samples]
    assert values == [[i] for i in range(JUDGED_SAMPLES, JUDGED_SAMPLES + CALIBRATION_SAMPLES)]


def test_a_dataset_with_too_few_samples_is_not_touched(tmp_path: Path) -> None:
    found = calibration_set(describe(tmp_path, JUDGED_SAMPLES + CALIBRATION_SAMPLES - 1))
    assert found.source == "synthetic" and len(found.samples) == CALIBRATION_SAMPLES
    made = [sample() for sample in found.samples]
    assert {sample.shape for sample in made} == {SHAPE}
    assert len({sample.tobytes() for sample in made}) == CALIBRATION_SAMPLES
    assert made[0].tobytes() == found.samples[0]().tobytes()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), r"data-70\.npy: No such file"),
        (lambda path: np.save(path, np.zeros((16, 48, 16), np.float32)), r"data-70\.npy: its shape is"),
        (lambda path: np.save(path, np.full(SHAPE, np.nan, np.float32)), r"data-70\.npy: int8 cannot be calibrated"),
    ],
    ids=["missing", "shape", "not finite"],
)
def test_a_sample_that_cannot_be_used_is_refused(spoil: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    path = describe(tmp_path, JUDGED_SAMPLES + CALIBRATION_SAMPLES)
    spoil(tmp_path / "data-70.npy")
    with pytest.raises(InputError, match=message):
        for sample in calibration_set(path).samples:
            sample()
