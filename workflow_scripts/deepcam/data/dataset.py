"""A dataset of npy samples: the contents of dataset.json, and the files that a benchmark reads.

`describe_dataset` writes dataset.json; `read_description` is the only function that parses it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from deepcam import climate, files
from deepcam.data import npy
from deepcam.data.manifest import MANIFEST
from deepcam.errors import InputError, first_mistake


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

    In dataset.json the paths of samples are relative to its folder, or absolute if they belong to somebody else.
    """

    source: str
    sample_shape: tuple[int, int, int]
    """(H, W, C) of every sample."""
    dtype: Literal["float32"] = "float32"
    num_samples: int
    total_bytes: int
    """Size of all data files."""
    samples: tuple[Sample, ...]
    statistics: Literal["computed", "sampled", "archive"] | None
    """Where the statistics of `channels` come from: all samples, the first ones, or the archive's own file; None if
    there are none."""
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
    check_sizes(described.samples)
    return described


def check_sizes(samples: Sequence[Sample]) -> None:
    """Raise InputError if a data file is missing or has another size than the described one."""
    for sample in samples:
        with files.os_errors_as_input_errors(sample.data):
            actual = sample.data.stat().st_size if sample.data.exists() else None
        if actual != sample.bytes:
            found = "is missing" if actual is None else f"has {actual} bytes instead of {sample.bytes}"
            raise InputError(
                f"{sample.data}: {found}; delete {sample.data.parent / MANIFEST} and run the workflow again"
            )


def from_folders(folders: Sequence[Path]) -> Dataset:
    """A dataset of all data-*.npy files in `folders`, sorted within each folder, without statistics.

    Raises InputError if there are none, or if one has another header than the first, or one that not all readers
    understand.
    """
    paths = [path for folder in folders for path in sorted(folder.glob("data-*.npy"))]
    if not paths:
        names = " ".join(map(str, folders))
        raise InputError(f"--data-dirs {names}: no data-*.npy in there; give the folders of npy shards")
    first = npy.read_data_header(paths[0])
    for path in paths[1:]:
        other = npy.read_data_header(path)
        if other.shape != first.shape:
            raise InputError(
                f"{path}: shape {other.shape}, but {paths[0]} has {first.shape}; all samples must have one shape"
            )
        if other != first:
            raise InputError(
                f"{path}: a header of {len(other.content)} bytes, but {paths[0]} has {len(first.content)}: rewrite "
                "them with np.save"
            )
    samples = tuple(
        Sample(
            data=path,
            label=path.with_name(climate.label_name(path.name)),
            bytes=path.stat().st_size,
            sha256=None,
        )
        for path in paths
    )
    return Dataset(
        source="folders",
        sample_shape=first.shape,
        num_samples=len(samples),
        total_bytes=sum(sample.bytes for sample in samples),
        samples=samples,
        statistics=None,
        channels=None,
        class_fractions=None,
    )


def require_distinct_files(dataset: Dataset) -> None:
    """Raise InputError if two data files are one file, by a link, which memory would hold only once."""
    found: dict[tuple[int, int], Path] = {}
    for path in dataset.files:
        with files.os_errors_as_input_errors(path):
            status = path.stat()
        other = found.setdefault((status.st_dev, status.st_ino), path)
        if other is not path:
            raise InputError(f"{path}: the same file as {other}; give each sample a file of its own")


def check_some(dataset: Dataset, number: int) -> None:
    """Hash `number` data files, chosen at random. InputError names one whose hash is not that of dataset.json."""
    hashed = [sample for sample in dataset.samples if sample.sha256]
    for sample in random.SystemRandom().sample(hashed, min(number, len(hashed))):
        with files.os_errors_as_input_errors(sample.data):
            differs = files.sha256(sample.data) != sample.sha256
        if differs:
            raise InputError(
                f"{sample.data}: its SHA-256 is not that of dataset.json; delete {sample.data.parent / MANIFEST} and "
                "run the workflow again"
            )


def _reason(error: Exception) -> str:
    return first_mistake(error) if isinstance(error, ValidationError) else str(error)
