"""What a finished npy data set holds: its samples, channel statistics and class fractions, for dataset.json."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepcam import manifest
from deepcam.climate import CHANNELS, CLASSES, InputError

log = logging.getLogger(__name__)

BLOCK_PIXELS = 2**16
"""Pixels that are widened to float64 at a time: 8 MiB, which stays in a processor's cache or near it."""


@dataclass(frozen=True)
class Sample:
    """One sample's files and its part of the statistics: per channel (16,) float64, per class (3,) pixel counts."""

    data: Path
    label: Path
    entry: manifest.Entry
    shape: tuple[int, ...]
    minimum: np.ndarray
    maximum: np.ndarray
    sums: np.ndarray
    square_sums: np.ndarray
    class_pixels: np.ndarray


def describe(npy_dir: Path, shards: int, source: str, threads: int = 1, root: Path | None = None) -> dict[str, Any]:
    """The contents of dataset.json for the shards 0 to `shards` - 1 in `npy_dir`.

    Paths are relative to `root`, the folder of dataset.json; without it, the parent of `npy_dir`. Sums are kept in
    float64. Raises InputError naming the file for an incomplete shard, another shape, a value that is not finite, or
    an unknown class.
    """
    if shards < 1 or threads < 1:
        raise InputError(f"--shards {shards}, --threads {threads}: must be at least 1")
    pairs = [pair for i in range(shards) for pair in _pairs(npy_dir / f"shard-{i:05d}")]
    if not pairs:
        raise InputError(f"{npy_dir}: its {shards} shards hold no samples: make them again")
    with ThreadPoolExecutor(threads) as pool:
        samples = list(pool.map(lambda pair: measure(*pair), pairs))
    shape = samples[0].shape
    for sample in samples:
        if sample.shape != shape:
            raise InputError(f"{sample.data}: shape {sample.shape}, {samples[0].data} has {shape}: make them again")
    pixels = len(samples) * shape[0] * shape[1]
    minimum = np.min([s.minimum for s in samples], axis=0)
    maximum = np.max([s.maximum for s in samples], axis=0)
    mean = np.sum([s.sums for s in samples], axis=0) / pixels
    mean_square = np.sum([s.square_sums for s in samples], axis=0) / pixels
    root = npy_dir.parent if root is None else root
    log.info("%s: described %d samples", npy_dir, len(samples))
    return {
        "source": source,
        "sample_shape": list(shape),
        "dtype": "float32",
        "num_samples": len(samples),
        "total_bytes": sum(s.entry.bytes for s in samples),
        "samples": [
            {
                "data": os.path.relpath(s.data, root),
                "label": os.path.relpath(s.label, root),
                "bytes": s.entry.bytes,
                "sha256": s.entry.sha256,
            }
            for s in samples
        ],
        "channels": [
            {
                "name": name,
                "minimum": float(minimum[i]),
                "maximum": float(maximum[i]),
                "mean": float(mean[i]),
                "mean_square": float(mean_square[i]),
            }
            for i, name in enumerate(CHANNELS)
        ],
        "class_fractions": (np.sum([s.class_pixels for s in samples], axis=0) / pixels).tolist(),
    }


def measure(data_path: Path, label_path: Path, entry: manifest.Entry) -> Sample:
    """Read one sample once. Raises InputError naming the file, and the channel of a value that is not finite."""
    data = _load(data_path)
    if data.ndim != 3 or data.shape[2] != len(CHANNELS) or data.dtype != np.float32:
        raise InputError(f"{data_path}: {data.dtype} {data.shape}, not float32 (H, W, {len(CHANNELS)}): make it again")
    rows = data.reshape(-1, len(CHANNELS))
    minimum, maximum = np.full(len(CHANNELS), np.inf), np.full(len(CHANNELS), -np.inf)
    sums, square_sums = np.zeros(len(CHANNELS)), np.zeros(len(CHANNELS))
    for start in range(0, len(rows), BLOCK_PIXELS):
        block = rows[start : start + BLOCK_PIXELS].astype(np.float64)
        minimum = np.minimum(minimum, block.min(axis=0))
        maximum = np.maximum(maximum, block.max(axis=0))
        sums += block.sum(axis=0)
        square_sums += np.einsum("ij,ij->j", block, block)
    # Extremes carry both NaN and infinities through.
    finite = np.isfinite(minimum) & np.isfinite(maximum)
    if not finite.all():
        channel = CHANNELS[int(finite.argmin())]
        raise InputError(f"{data_path}: channel {channel} has values that are not finite: get the sample again")
    class_pixels = _class_pixels(label_path, data.shape)
    return Sample(data_path, label_path, entry, data.shape, minimum, maximum, sums, square_sums, class_pixels)


def _class_pixels(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels of each class in label plane 0, (3,)."""
    labels = _load(path)
    if labels.shape != (*shape[:2], 2):
        raise InputError(f"{path}: shape {labels.shape}, not {(*shape[:2], 2)} as its data: make it again")
    counts = np.array([np.count_nonzero(labels[..., 0] == i) for i in range(len(CLASSES))])
    if counts.sum() != labels[..., 0].size:
        raise InputError(f"{path}: plane 0 has values other than 0, 1, 2: get the sample again")
    return counts


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a whole npy file ({error}): make it again") from error


def _pairs(folder: Path) -> list[tuple[Path, Path, manifest.Entry]]:
    """The data file, label file and data entry of each sample of a shard, in the manifest's order."""
    entries = manifest.read_complete(folder / manifest.MANIFEST)
    names = {entry.name for entry in entries}
    pairs = []
    for entry in entries:
        if entry.name.startswith("data-"):
            label = "label-" + entry.name.removeprefix("data-")
            if label not in names:
                raise InputError(f"{folder / manifest.MANIFEST}: no {label}: delete it and make it again")
            pairs.append((folder / entry.name, folder / label, entry))
    return pairs
