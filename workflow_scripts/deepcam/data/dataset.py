"""A dataset of npy samples: the contents of dataset.json, and the files that a benchmark reads.

`describe_dataset` writes dataset.json; `read_description` is the only function that parses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from deepcam import files
from deepcam.data.manifest import MANIFEST
from deepcam.errors import InputError


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Channel(_Model):
    """Statistics of one channel over all samples, in the channel's own unit."""

    name: str
    minimum: float
    maximum: float
    mean: float
    mean_square: float
    nonfinite: int | None = None
    """Number of values that are not finite; None if nobody counted them, as in the archive's own statistics."""


class Sample(_Model):
    """The two files of one sample; `bytes` and `sha256` are those of the data file."""

    data: Path
    label: Path
    bytes: int
    sha256: str | None
    """In hexadecimal; None if the samples were taken from folders, without a manifest."""


class Dataset(_Model):
    """All samples in their order, and what is known about their values. The fields are those of dataset.json.

    In dataset.json the paths of samples are relative to its folder.
    """

    source: str
    sample_shape: tuple[int, int, int]
    """(H, W, C) of every sample."""
    dtype: Literal["float32"] = "float32"
    num_samples: int
    total_bytes: int
    """Size of all data files."""
    samples: tuple[Sample, ...]
    statistics: Literal["computed", "archive"] | None
    """Where the statistics of `channels` come from; None if there are none."""
    channels: tuple[Channel, ...] | None
    class_fractions: tuple[float, ...] | None
    """Share of the pixels that each class has; None if the labels were not counted."""

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        if self.channels is not None and len(self.channels) != self.sample_shape[2]:
            raise ValueError(f"{len(self.channels)} channels, but sample_shape is {list(self.sample_shape)}")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """The data files, in order."""
        return tuple(sample.data for sample in self.samples)

    @property
    def labels(self) -> tuple[Path, ...]:
        """The label files, in order. They may be missing if the dataset was made by `from_folders`."""
        return tuple(sample.label for sample in self.samples)

    @property
    def ranges(self) -> tuple[tuple[float, float], ...] | None:
        """Minimum and maximum of each channel; None if there are no statistics."""
        if self.channels is None:
            return None
        return tuple((channel.minimum, channel.maximum) for channel in self.channels)

    def write(self, path: Path) -> None:
        """Write dataset.json, atomically."""
        files.write_json(path, self.model_dump(mode="json"))


def read_description(path: Path) -> Dataset:
    """Read dataset.json. The paths of samples are joined to its folder; the samples themselves are not looked at.

    Raises InputError if the file is missing or is not the description of a dataset.
    """
    try:
        described = Dataset.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{path}: not a dataset description ({_reason(error)}); run the workflow's target data"
        ) from None
    samples = tuple(
        sample.model_copy(update={"data": path.parent / sample.data, "label": path.parent / sample.label})
        for sample in described.samples
    )
    return described.model_copy(update={"samples": samples})


def from_description(path: Path) -> Dataset:
    """Read dataset.json and check that every data file has the described size; InputError names one that has not."""
    described = read_description(path)
    for sample in described.samples:
        actual = sample.data.stat().st_size if sample.data.exists() else None
        if actual != sample.bytes:
            found = "is missing" if actual is None else f"has {actual} bytes instead of {sample.bytes}"
            raise InputError(
                f"{sample.data}: {found}; delete {sample.data.parent / MANIFEST} and run the workflow again"
            )
    return described


def from_folders(folders: Sequence[Path]) -> Dataset:
    """A dataset of all data-*.npy files in `folders`, sorted within each folder, without statistics.

    Raises InputError if there are none, or if one is not an npy file of the first one's shape.
    """
    paths = [path for folder in folders for path in sorted(folder.glob("data-*.npy"))]
    if not paths:
        names = " ".join(map(str, folders))
        raise InputError(f"--data-dirs {names}: no data-*.npy in there; give the folders of npy shards")
    shape = _shape(paths[0])
    for path in paths[1:]:
        if (other := _shape(path)) != shape:
            raise InputError(f"{path}: shape {other}, but {paths[0]} has {shape}; all samples must have one shape")
    samples = tuple(
        Sample(
            data=path,
            label=path.with_name(f"label-{path.name.removeprefix('data-')}"),
            bytes=path.stat().st_size,
            sha256=None,
        )
        for path in paths
    )
    return Dataset(
        source="folders",
        sample_shape=shape,
        num_samples=len(samples),
        total_bytes=sum(sample.bytes for sample in samples),
        samples=samples,
        statistics=None,
        channels=None,
        class_fractions=None,
    )


def _reason(error: Exception) -> str:
    """The first problem on one line: the key and what is wrong with it."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))


def _shape(path: Path) -> tuple[int, int, int]:
    """The shape (H, W, C) in the header of a float32 npy file of format version 1 in C order.

    Raises InputError for any other file, and for one whose size is not what the header says.
    """
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            end = file.tell() + int(np.prod(shape)) * dtype.itemsize
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not an npy file ({error}); convert it again") from None
    if version != (1, 0) or fortran or dtype != np.float32 or len(shape) != 3:
        raise InputError(
            f"{path}: {dtype} {shape} in format {version}; samples are float32 (H, W, C) in C order, format (1, 0)"
        )
    if path.stat().st_size != end:
        raise InputError(f"{path}: has {path.stat().st_size} bytes, its header says {end}; convert it again")
    return shape
