"""The masks that the accuracy check judged. A benchmark compares the masks that it makes of the same samples with them.

They lie beside the verdict, as an .npz file with one mask (H, W) for each sample, under the name of the sample's file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deepcam import files
from deepcam.errors import InputError
from deepcam.record.schema import AccuracyVerdict

ADVICE = "delete both files and run the workflow again"


def path_of(verdict: Path) -> Path:
    """The file with the masks that a verdict is about."""
    return verdict.with_suffix(".npz")


def write(verdict: AccuracyVerdict, path: Path, samples: Sequence[Path], masks: np.ndarray) -> None:
    """Write a verdict to `path`, and before it the masks (samples, H, W) uint8 that it is about."""
    place = path_of(path)
    with files.atomic_path(place) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **{sample.name: mask for sample, mask in zip(samples, masks, strict=True)})
    described = verdict.model_copy(update={"masks_sha256": files.sha256(place)})
    files.write_json(path, described.model_dump(mode="json"))


def read(verdict: AccuracyVerdict, path: Path) -> Mapping[str, np.ndarray]:
    """The masks (H, W) that the verdict in the file `path` is about, by file name. They are read when they are asked
    for.

    Raises InputError if their file is missing, or is not the one that the verdict is about.
    """
    place = path_of(path)
    if not place.is_file():
        raise InputError(f"{place}: missing; it holds the masks that {path} is about; {ADVICE}")
    if files.sha256(place) != verdict.masks_sha256:
        raise InputError(f"{place}: does not hold the masks that {path} is about; {ADVICE}")
    return np.load(place)
