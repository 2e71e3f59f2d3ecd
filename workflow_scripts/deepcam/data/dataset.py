"""The samples that a benchmark reads: from dataset.json, or from folders of npy files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepcam.errors import InputError


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Data files in order, their label files (which may be missing) and the shape (H, W, C) of every sample."""

    source: str
    files: tuple[Path, ...]
    labels: tuple[Path, ...]
    sample_shape: tuple[int, int, int]
    total_bytes: int
    ranges: tuple[tuple[float, float], ...] | None
    """Minimum and maximum of each channel, where they are known."""


def from_description(path: Path) -> Dataset:
    """What dataset.json describes. InputError for a file that is gone or has another size."""
    try:
        described = json.loads(path.read_text())
        samples = described["samples"]
        files = tuple(path.parent / sample["data"] for sample in samples)
        labels = tuple(path.parent / sample["label"] for sample in samples)
        source, shape, total = described["source"], tuple(described["sample_shape"]), described["total_bytes"]
        ranges = tuple((channel["minimum"], channel["maximum"]) for channel in described["channels"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a dataset description ({error!r}); run the workflow's target data") from None
    for file, sample in zip(files, samples, strict=True):
        actual = file.stat().st_size if file.exists() else None
        if actual != sample["bytes"]:
            found = "is missing" if actual is None else f"has {actual} bytes instead of {sample['bytes']}"
            raise InputError(f"{file}: {found}; delete {file.parent / 'manifest.tsv'} and run the workflow again")
    return Dataset(source, files, labels, shape, total, ranges)


def from_folders(folders: Sequence[Path]) -> Dataset:
    """All data-*.npy in `folders`, in sorted order. InputError for none, or one that is not like the first."""
    files = tuple(path for folder in folders for path in sorted(folder.glob("data-*.npy")))
    if not files:
        names = " ".join(map(str, folders))
        raise InputError(f"--data-dirs {names}: no data-*.npy in there; give the folders of shards")
    shape = _shape(files[0])
    for file in files[1:]:
        if (other := _shape(file)) != shape:
            raise InputError(f"{file}: shape {other}, but {files[0]} has {shape}; a dataset has one shape")
    labels = tuple(file.with_name(f"label-{file.name.removeprefix('data-')}") for file in files)
    return Dataset("folders", files, labels, shape, sum(file.stat().st_size for file in files), None)


def _shape(path: Path) -> tuple[int, int, int]:
    """Of an npy file of format version 1 with float32 (H, W, C) in C order, as long as it says."""
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            end = file.tell() + int(np.prod(shape)) * dtype.itemsize
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not an npy file ({error}); make it again") from None
    if version != (1, 0) or fortran or dtype != np.float32 or len(shape) != 3:
        raise InputError(
            f"{path}: {dtype} {shape} in format {version}; samples are float32 (H, W, C) in C order, format (1, 0)"
        )
    if path.stat().st_size != end:
        raise InputError(f"{path}: has {path.stat().st_size} bytes, its header says {end}; make it again")
    return shape
