"""The description of a finished npy dataset: its samples, channel statistics and class fractions."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from deepcam.climate import CHANNELS, CLASSES
from deepcam.data import manifest
from deepcam.data.dataset import Channel, Dataset, Sample
from deepcam.errors import InputError

log = logging.getLogger(__name__)

BLOCK_PIXELS = 2**16
"""Pixels that are converted to float64 at a time: 8 MiB, about the size of a processor's cache."""


@dataclass(frozen=True)
class SampleStatistics:
    """What one sample contributes to the statistics: per channel (16,) over its finite values, per class (3,)."""

    minimum: np.ndarray
    maximum: np.ndarray
    sums: np.ndarray
    square_sums: np.ndarray
    nonfinite: np.ndarray
    """Number of values per channel that are not finite."""
    class_pixels: np.ndarray
    """Number of pixels per class, in label plane 0."""


def describe(
    npy_dir: Path,
    shards: int,
    source: str,
    threads: int = 1,
    root: Path | None = None,
    statistics: Sequence[Channel] | None = None,
    allow_nonfinite: bool = False,
) -> Dataset:
    """Describe the shards 0 to `shards` - 1 in `npy_dir`.

    Paths are relative to `root`, the folder of dataset.json, by default the parent of `npy_dir`. `statistics` are the
    archive's own; if there are none, every sample is read once and summed up in float64. Raises InputError naming the
    file for an incomplete shard, a different shape, an unknown class, or a value that is not finite. With
    `allow_nonfinite`, such values are counted and left out instead.
    """
    if shards < 1 or threads < 1:
        raise InputError(f"--shards {shards}, --threads {threads}: must be at least 1")
    root = npy_dir.parent if root is None else root
    found = [sample for i in range(shards) for sample in _samples(npy_dir / f"shard-{i:05d}")]
    if not found:
        raise InputError(f"{npy_dir}: its {shards} shards hold no samples: delete their manifests and run again")
    first, shape = found[0]
    for sample, other in found:
        if other != shape:
            raise InputError(f"{sample.data}: shape {other}, but {first.data} has {shape}: delete both and run again")
    samples = [sample for sample, _ in found]
    class_fractions = None
    channels = statistics
    if channels is None:
        with ThreadPoolExecutor(threads) as pool:
            measured = list(pool.map(lambda sample: sample_statistics(sample, allow_nonfinite), samples))
        channels, class_fractions = _combine(measured)
    log.info("%s: described %d samples", npy_dir, len(samples))
    return Dataset(
        source=source,
        sample_shape=shape,
        num_samples=len(samples),
        total_bytes=sum(sample.bytes for sample in samples),
        samples=tuple(
            sample.model_copy(
                update={
                    "data": Path(os.path.relpath(sample.data, root)),
                    "label": Path(os.path.relpath(sample.label, root)),
                }
            )
            for sample in samples
        ),
        statistics="computed" if statistics is None else "archive",
        channels=tuple(channels),
        class_fractions=class_fractions,
    )


def sample_statistics(sample: Sample, allow_nonfinite: bool = False) -> SampleStatistics:
    """Compute the statistics of one sample. Reads its files once.

    Raises InputError naming the file for a file that cannot be read, and the channel of a value that is not finite.
    """
    data = _load(sample.data)
    rows = data.reshape(-1, len(CHANNELS))
    minimum, maximum = np.full(len(CHANNELS), np.inf), np.full(len(CHANNELS), -np.inf)
    sums, square_sums = np.zeros(len(CHANNELS)), np.zeros(len(CHANNELS))
    nonfinite = np.zeros(len(CHANNELS), np.int64)
    for start in range(0, len(rows), BLOCK_PIXELS):
        block = rows[start : start + BLOCK_PIXELS].astype(np.float64)
        low, high = block.min(axis=0), block.max(axis=0)
        # NaN and infinities show in the extremes, so only blocks that have some are looked at value by value.
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            finite = np.isfinite(block)
            nonfinite += (~finite).sum(axis=0)
            low = np.where(finite, block, np.inf).min(axis=0)
            high = np.where(finite, block, -np.inf).max(axis=0)
            block[~finite] = 0
        minimum, maximum = np.minimum(minimum, low), np.maximum(maximum, high)
        sums += block.sum(axis=0)
        square_sums += np.einsum("ij,ij->j", block, block)
    if nonfinite.any() and not allow_nonfinite:
        bad = int(nonfinite.argmax())
        raise InputError(
            f"{sample.data}: channel {CHANNELS[bad]} has {nonfinite[bad]} values that are not finite: "
            "get the sample again, or set data.allow_nonfinite: true"
        )
    class_pixels = _class_pixels(sample.label, data.shape)
    return SampleStatistics(minimum, maximum, sums, square_sums, nonfinite, class_pixels)


def _combine(parts: Sequence[SampleStatistics]) -> tuple[list[Channel], tuple[float, ...]]:
    """Return the channel statistics and class fractions of all samples together."""
    class_pixels = np.sum([part.class_pixels for part in parts], axis=0)
    pixels = class_pixels.sum()
    nonfinite = np.sum([part.nonfinite for part in parts], axis=0)
    if (nonfinite == pixels).any():
        raise InputError(f"channel {CHANNELS[int(nonfinite.argmax())]}: no value is finite: get the samples again")
    minimum = np.min([part.minimum for part in parts], axis=0)
    maximum = np.max([part.maximum for part in parts], axis=0)
    mean = np.sum([part.sums for part in parts], axis=0) / (pixels - nonfinite)
    mean_square = np.sum([part.square_sums for part in parts], axis=0) / (pixels - nonfinite)
    channels = [
        Channel(
            name=name,
            minimum=float(minimum[i]),
            maximum=float(maximum[i]),
            mean=float(mean[i]),
            mean_square=float(mean_square[i]),
            nonfinite=int(nonfinite[i]),
        )
        for i, name in enumerate(CHANNELS)
    ]
    return channels, tuple((class_pixels / pixels).tolist())


def _class_pixels(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Count the pixels of each class in label plane 0, (3,)."""
    labels = _load(path)
    if labels.shape != (*shape[:2], 2):
        raise InputError(f"{path}: shape {labels.shape}, but its data needs {(*shape[:2], 2)}: delete it and run again")
    counts = np.array([np.count_nonzero(labels[..., 0] == i) for i in range(len(CLASSES))])
    if counts.sum() != labels[..., 0].size:
        raise InputError(f"{path}: plane 0 has values other than 0, 1, 2: get the sample again")
    return counts


def _load(path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    try:
        return np.load(path, mmap_mode)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a complete npy file ({error}): delete it and run again") from error


def _samples(folder: Path) -> list[tuple[Sample, tuple[int, int, int]]]:
    """Return the samples of a shard in the manifest's order, each with the shape of its data."""
    entries = manifest.read_complete(folder / manifest.MANIFEST)
    names = {entry.name for entry in entries}
    samples = []
    for entry in entries:
        if entry.name.startswith("data-"):
            label = "label-" + entry.name.removeprefix("data-")
            if label not in names:
                raise InputError(f"{folder / manifest.MANIFEST}: does not list {label}: delete it and run again")
            data = _load(folder / entry.name, mmap_mode="r")  # reads only the header
            if data.ndim != 3 or data.shape[2] != len(CHANNELS) or data.dtype != np.float32:
                raise InputError(
                    f"{folder / entry.name}: {data.dtype} {data.shape}, not float32 (H, W, {len(CHANNELS)}): "
                    "delete it and run again"
                )
            sample = Sample(data=folder / entry.name, label=folder / label, bytes=entry.bytes, sha256=entry.sha256)
            samples.append((sample, data.shape))
    return samples
