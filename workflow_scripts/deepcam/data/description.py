"""What a finished npy data set holds: its samples, channel statistics and class fractions, for dataset.json."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deepcam.climate import CHANNELS, CLASSES
from deepcam.data import manifest
from deepcam.errors import InputError

log = logging.getLogger(__name__)

BLOCK_PIXELS = 2**16
"""Pixels that are widened to float64 at a time: 8 MiB, which stays in a processor's cache or near it."""


@dataclass(frozen=True)
class Sample:
    """One sample's files, and the shape of its data."""

    data: Path
    label: Path
    entry: manifest.Entry
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Measurement:
    """One sample's part of the statistics: per channel (16,) over its finite values, per class (3,) pixel counts."""

    minimum: np.ndarray
    maximum: np.ndarray
    sums: np.ndarray
    square_sums: np.ndarray
    nonfinite: np.ndarray
    class_pixels: np.ndarray


def describe(
    npy_dir: Path,
    shards: int,
    source: str,
    threads: int = 1,
    root: Path | None = None,
    statistics: list[dict[str, Any]] | None = None,
    allow_nonfinite: bool = False,
) -> dict[str, Any]:
    """The contents of dataset.json for the shards 0 to `shards` - 1 in `npy_dir`.

    Paths are relative to `root`, the folder of dataset.json; without it, the parent of `npy_dir`. `statistics` are
    the archive's own channel statistics; without them every sample is read once, with sums in float64. Raises
    InputError naming the file for an incomplete shard, another shape, a value that is not finite (unless allowed:
    then such values are counted and left out), or an unknown class.
    """
    if shards < 1 or threads < 1:
        raise InputError(f"--shards {shards}, --threads {threads}: must be at least 1")
    samples = [sample for i in range(shards) for sample in _samples(npy_dir / f"shard-{i:05d}")]
    if not samples:
        raise InputError(f"{npy_dir}: its {shards} shards hold no samples: make them again")
    for sample in samples:
        if sample.shape != samples[0].shape:
            raise InputError(
                f"{sample.data}: shape {sample.shape}, {samples[0].data} has {samples[0].shape}: make them again"
            )
    root = npy_dir.parent if root is None else root
    description = {
        "source": source,
        "sample_shape": list(samples[0].shape),
        "dtype": "float32",
        "num_samples": len(samples),
        "total_bytes": sum(sample.entry.bytes for sample in samples),
        "samples": [
            {
                "data": os.path.relpath(sample.data, root),
                "label": os.path.relpath(sample.label, root),
                "bytes": sample.entry.bytes,
                "sha256": sample.entry.sha256,
            }
            for sample in samples
        ],
    }
    if statistics is not None:
        description |= {"statistics": "archive", "channels": statistics, "class_fractions": None}
    else:
        with ThreadPoolExecutor(threads) as pool:
            measured = list(pool.map(lambda sample: measure(sample.data, sample.label, allow_nonfinite), samples))
        description |= {"statistics": "computed"} | _summary(measured)
    log.info("%s: described %d samples", npy_dir, len(samples))
    return description


def measure(data_path: Path, label_path: Path, allow_nonfinite: bool = False) -> Measurement:
    """Read one sample once. Raises InputError naming the file, and the channel of a value that is not finite."""
    data = _load(data_path)
    rows = data.reshape(-1, len(CHANNELS))
    minimum, maximum = np.full(len(CHANNELS), np.inf), np.full(len(CHANNELS), -np.inf)
    sums, square_sums = np.zeros(len(CHANNELS)), np.zeros(len(CHANNELS))
    nonfinite = np.zeros(len(CHANNELS), np.int64)
    for start in range(0, len(rows), BLOCK_PIXELS):
        block = rows[start : start + BLOCK_PIXELS].astype(np.float64)
        low, high = block.min(axis=0), block.max(axis=0)
        # Extremes carry both NaN and infinities through: only then is it worth looking at every value.
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
            f"{data_path}: channel {CHANNELS[bad]} has {nonfinite[bad]} values that are not finite: "
            "get the sample again, or set data.allow_nonfinite: true"
        )
    class_pixels = _class_pixels(label_path, data.shape)
    return Measurement(minimum, maximum, sums, square_sums, nonfinite, class_pixels)


def _summary(measured: list[Measurement]) -> dict[str, Any]:
    """Channel statistics and class fractions of all samples together."""
    class_pixels = np.sum([part.class_pixels for part in measured], axis=0)
    pixels = class_pixels.sum()
    nonfinite = np.sum([part.nonfinite for part in measured], axis=0)
    if (nonfinite == pixels).any():
        raise InputError(f"channel {CHANNELS[int(nonfinite.argmax())]}: no value is finite: get the samples again")
    minimum = np.min([part.minimum for part in measured], axis=0)
    maximum = np.max([part.maximum for part in measured], axis=0)
    mean = np.sum([part.sums for part in measured], axis=0) / (pixels - nonfinite)
    mean_square = np.sum([part.square_sums for part in measured], axis=0) / (pixels - nonfinite)
    return {
        "channels": [
            {
                "name": name,
                "minimum": float(minimum[i]),
                "maximum": float(maximum[i]),
                "mean": float(mean[i]),
                "mean_square": float(mean_square[i]),
                "nonfinite": int(nonfinite[i]),
            }
            for i, name in enumerate(CHANNELS)
        ],
        "class_fractions": (class_pixels / pixels).tolist(),
    }


def _class_pixels(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels of each class in label plane 0, (3,)."""
    labels = _load(path)
    if labels.shape != (*shape[:2], 2):
        raise InputError(f"{path}: shape {labels.shape}, not {(*shape[:2], 2)} as its data: make it again")
    counts = np.array([np.count_nonzero(labels[..., 0] == i) for i in range(len(CLASSES))])
    if counts.sum() != labels[..., 0].size:
        raise InputError(f"{path}: plane 0 has values other than 0, 1, 2: get the sample again")
    return counts


def _load(path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    try:
        return np.load(path, mmap_mode)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a whole npy file ({error}): make it again") from error


def _samples(folder: Path) -> list[Sample]:
    """The samples of a shard, in the manifest's order, with checked types."""
    entries = manifest.read_complete(folder / manifest.MANIFEST)
    names = {entry.name for entry in entries}
    samples = []
    for entry in entries:
        if entry.name.startswith("data-"):
            label = "label-" + entry.name.removeprefix("data-")
            if label not in names:
                raise InputError(f"{folder / manifest.MANIFEST}: no {label}: delete it and make it again")
            data = _load(folder / entry.name, mmap_mode="r")  # the header only
            if data.ndim != 3 or data.shape[2] != len(CHANNELS) or data.dtype != np.float32:
                raise InputError(
                    f"{folder / entry.name}: {data.dtype} {data.shape}, not float32 (H, W, {len(CHANNELS)}): "
                    "make it again"
                )
            samples.append(Sample(folder / entry.name, folder / label, entry, data.shape))
    return samples
