"""Checks of a sample's values: finite data in a plausible range, and labels that are classes.

The conversion reads every byte to hash it, and looks at the values at the same time. What it finds is kept in a file
of the shard folder, from which the description of the dataset judges the samples without reading them again.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepcam import files
from deepcam.climate import CHANNELS, CLASSES
from deepcam.data import npy

VALUES = "values.jsonl"
"""Name of the file in a shard folder of npy files. It gets a line for each sample that is converted."""

BLOCK_PIXELS = 2**14
"""Pixels that are looked at together: 1 MiB, which stays in a core's cache between the hash and the reductions."""

FOLDED_PIXELS = 64
"""Pixels that are reduced side by side, which is several times as fast as to reduce 16 channels at a time."""

FILL_VALUE = 1e15
"""No channel comes near this magnitude in any unit, but fill values of climate files do, such as 1e20 and 9.97e36."""


Number = TypeVar("Number", int, float)
PerChannel = Annotated[tuple[Number, ...], Field(min_length=len(CHANNELS), max_length=len(CHANNELS))]


class SampleValues(BaseModel):
    """What the values of a sample are: numbers per channel over its finite values, and a number of its labels."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    minimum: PerChannel[float]
    """Infinite for a channel without any finite value, and so is `maximum`."""
    maximum: PerChannel[float]
    nonfinite: PerChannel[int]
    """Number of values that are not finite."""
    unknown_classes: int
    """Number of values in both label planes that are no class."""

    def data_problem(self) -> str:
        """Return what is wrong with the data in a few words, or an empty text if all values are finite."""
        worst = max(range(len(CHANNELS)), key=lambda i: self.nonfinite[i])
        count = self.nonfinite[worst]
        return f"channel {CHANNELS[worst]} has {count} values that are not finite" if count else ""

    def label_problem(self) -> str:
        """Return what is wrong with the labels in a few words, or an empty text if all values are classes."""
        classes = ", ".join(map(str, range(len(CLASSES))))
        return f"{self.unknown_classes} values are not a class ({classes})" if self.unknown_classes else ""

    def suspicion(self) -> str:
        """Return which channel seems to hold fill values in a few words, or an empty text if none does."""
        for name, *limits in zip(CHANNELS, self.minimum, self.maximum, strict=True):
            largest = max((value for value in limits if np.isfinite(value)), key=abs, default=0.0)
            if abs(largest) > FILL_VALUE:
                return f"channel {name} has the value {largest:.3g}, which looks like a fill value for missing data"
        return ""


class _Line(BaseModel):
    """A line of the file, with the SHA-256 of the data file and of the label file in hexadecimal."""

    data: str
    label: str
    values: SampleValues


class ChannelRange:
    """The range of each channel, and the number of values that are not finite, over all data that is added."""

    def __init__(self) -> None:
        self.minimum = np.full(len(CHANNELS), np.inf, np.float32)
        self.maximum = np.full(len(CHANNELS), -np.inf, np.float32)
        self.nonfinite = np.zeros(len(CHANNELS), np.int64)

    def add(self, values: np.ndarray) -> np.ndarray | None:
        """Add float32 values of whole pixels, channels last.

        Returns None if all of them are finite, and otherwise which are, as (pixels, channels).
        """
        pixels = values.reshape(-1, len(CHANNELS))
        low, high = reduce_pixels(np.minimum, pixels), reduce_pixels(np.maximum, pixels)
        finite = None
        # NaN and infinities show in the extremes, so only blocks that have some are looked at value by value.
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            finite = np.isfinite(pixels)
            self.nonfinite += (~finite).sum(axis=0)
            low = np.where(finite, pixels, np.inf).min(axis=0)
            high = np.where(finite, pixels, -np.inf).max(axis=0)
        np.minimum(self.minimum, low, out=self.minimum)
        np.maximum(self.maximum, high, out=self.maximum)
        return finite

    def add_file(self, path: Path) -> str:
        """Add a data file that nobody else can change now, and return its SHA-256 in hexadecimal.

        Raises InputError if the file is no sample.
        """
        header = npy.read_data_header(path)
        digest = hashlib.sha256(header.content)
        # The file is mapped, not copied to a buffer. That saves as much time as looking at the values takes.
        with files.os_errors_as_input_errors(path), open(path, "rb") as file:
            view = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
        pixels = np.frombuffer(view, np.float32, offset=len(header.content)).reshape(-1, len(CHANNELS))
        for start in range(0, len(pixels), BLOCK_PIXELS):
            block = pixels[start : start + BLOCK_PIXELS]
            digest.update(block)
            self.add(block)
        return digest.hexdigest()

    def with_labels(self, unknown_classes: int) -> SampleValues:
        """Return what is known of a sample after all its data has been added."""
        return SampleValues(
            minimum=tuple(self.minimum.tolist()),
            maximum=tuple(self.maximum.tolist()),
            nonfinite=tuple(self.nonfinite.tolist()),
            unknown_classes=unknown_classes,
        )


def reduce_pixels(ufunc: np.ufunc, pixels: np.ndarray) -> np.ndarray:
    """Return the reduction of contiguous (pixels, channels) to (channels,)."""
    channels = pixels.shape[1]
    if len(pixels) % FOLDED_PIXELS == 0:
        pixels = ufunc.reduce(pixels.reshape(-1, FOLDED_PIXELS * channels), axis=0).reshape(-1, channels)
    return ufunc.reduce(pixels, axis=0)


def read_blocks(path: Path) -> Iterator[np.ndarray]:
    """Read a data file once, as blocks (pixels, channels), each valid until the next one.

    Raises InputError if the file is no sample.
    """
    header = npy.read_data_header(path)
    buffer = np.empty((BLOCK_PIXELS, len(CHANNELS)), np.float32)
    view = memoryview(buffer).cast("B")
    with files.os_errors_as_input_errors(path), open(path, "rb") as file:
        file.seek(len(header.content))
        while count := file.readinto(view):
            yield buffer[: count // buffer[0].nbytes]


def count_unknown_classes(labels: np.ndarray) -> int:
    """Return how many values of any label planes are no class."""
    return labels.size - sum(np.count_nonzero(labels == i) for i in range(len(CLASSES)))


def append(folder: Path, data_sha256: str, label_sha256: str, values: SampleValues) -> None:
    """Add a sample to the folder's file, in one write, so that threads and killed processes leave whole lines."""
    line = _Line(data=data_sha256, label=label_sha256, values=values)
    with files.os_errors_as_input_errors(folder / VALUES):
        files.append(folder / VALUES, line.model_dump_json().encode() + b"\n")


def read(folder: Path) -> dict[tuple[str, str], SampleValues]:
    """Return what the folder's file says, by the hashes of data and labels. Damaged lines are skipped."""
    found = {}
    with files.os_errors_as_input_errors(folder / VALUES):
        text = (folder / VALUES).read_bytes() if (folder / VALUES).exists() else b""
    for content in text.splitlines():
        with contextlib.suppress(ValidationError):
            line = _Line.model_validate_json(content)
            found[line.data, line.label] = line.values
    return found
