"""The description of a finished npy dataset: its samples, channel statistics and class fractions."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcam.climate import CHANNELS, CLASSES, label_name
from deepcam.data import manifest, npy, sample_values
from deepcam.data.dataset import Channel, Dataset, Sample
from deepcam.data.sample_values import SampleValues
from deepcam.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SampleStatistics:
    """What one sample contributes to the statistics: per channel (16,) over its finite values, per class (3,)."""

    values: SampleValues
    sums: np.ndarray
    square_sums: np.ndarray
    pixels: int
    class_pixels: np.ndarray
    """Number of pixels per class, in label plane 0; all are 0 if no labels were read."""


@dataclass(frozen=True)
class FoundSample:
    """A sample of a shard, the header of its data, and what its conversion noted of its values, if it noted any."""

    sample: Sample
    header: npy.Header
    values: SampleValues | None


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
    archive's own; if there are none, every sample is read once and summed up in float64. Otherwise only samples are
    read that this version did not convert. Raises InputError naming the file for an incomplete shard, a different
    shape, a header of another size, an unknown class, a value that is not finite, or one that contradicts the archive's
    statistics. With `allow_nonfinite`, values that are not finite are counted and left out instead.
    """
    if shards < 1 or threads < 1:
        raise InputError(f"--shards {shards}, --threads {threads}: must be at least 1")
    root = npy_dir.parent if root is None else root
    found = [each for folder in manifest.shard_folders(npy_dir, shards) for each in _found_samples(folder)]
    if not found:
        raise InputError(f"{npy_dir}: its {shards} shards hold no samples: delete their manifests and run again")
    samples = [each.sample for each in found]
    header = found[0].header
    for each in found:
        if each.header.shape != header.shape:
            raise InputError(
                f"{each.sample.data}: shape {each.header.shape}, but {samples[0].data} has {header.shape}: delete both "
                "and run again"
            )
        if each.header != header:
            raise InputError(
                f"{each.sample.data}: a header of {len(each.header.content)} bytes, but {samples[0].data} has "
                f"{len(header.content)}: delete the {manifest.MANIFEST} beside each of them and run again"
            )
    class_fractions = None
    channels = statistics
    with ThreadPoolExecutor(threads) as pool:
        if channels is None:
            measured = list(pool.map(sample_statistics, samples))
            check_values(samples, [part.values for part in measured], allow_nonfinite)
            channels, class_fractions = combine(measured)
        else:
            values = list(pool.map(_values, found))
            check_values(samples, values, allow_nonfinite)
            check_archive(samples, values, channels)
    log.info("%s: described %d samples", npy_dir, len(samples))
    return Dataset(
        source=source,
        sample_shape=header.shape,
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


def sample_statistics(sample: Sample, with_labels: bool = True) -> SampleStatistics:
    """Compute the statistics of one sample. Reads its data once, and its labels unless they are left out.

    Raises InputError naming the file for a file that cannot be read.
    """
    found = sample_values.ChannelRange()
    sums, square_sums, count = np.zeros(len(CHANNELS)), np.zeros(len(CHANNELS)), 0
    for block in sample_values.read_blocks(sample.data):
        finite = found.add(block)
        count += len(block)
        pixels = block.astype(np.float64)
        if finite is not None:
            pixels[~finite] = 0
        sums += sample_values.reduce_pixels(np.add, pixels)
        square_sums += sample_values.reduce_pixels(np.add, np.square(pixels, out=pixels))
    labels = _labels(sample) if with_labels else np.empty((0, 0, 2))
    values = found.with_labels(sample_values.count_unknown_classes(labels))
    class_pixels = np.array([np.count_nonzero(labels[..., 0] == i) for i in range(len(CLASSES))])
    return SampleStatistics(values, sums, square_sums, count, class_pixels)


def _values(found: FoundSample) -> SampleValues:
    """Return what the values of a sample are. Reads its files if its conversion has not noted that."""
    if found.values is not None:
        return found.values
    data = sample_values.ChannelRange()
    for block in sample_values.read_blocks(found.sample.data):
        data.add(block)
    return data.with_labels(sample_values.count_unknown_classes(_labels(found.sample)))


def check_values(samples: Sequence[Sample], values: Sequence[SampleValues], allow_nonfinite: bool) -> None:
    """Raise InputError naming the first sample with a wrong value, and how many there are. Report fill values."""
    problems = []
    for sample, found in zip(samples, values, strict=True):
        if (problem := found.data_problem()) and not allow_nonfinite:
            problems.append(f"{sample.data}: {problem}: get the sample again, or set data.allow_nonfinite: true")
        elif problem := found.label_problem():
            problems.append(f"{sample.label}: {problem}: get the sample again")
        if suspicion := found.suspicion():
            log.warning("%s: %s", sample.data, suspicion)
    if problems:
        others = f" ({len(problems) - 1} more samples have such values)" if len(problems) > 1 else ""
        raise InputError(problems[0] + others)


def check_archive(samples: Sequence[Sample], values: Sequence[SampleValues], channels: Sequence[Channel]) -> None:
    """Raise InputError for the first value that the archive's own statistics cannot have been made from.

    The archive may have computed them from other samples, so a value may lie outside their range, but not by more than
    the range is wide or its limits are large.
    """
    for sample, found in zip(samples, values, strict=True):
        for channel, *extremes in zip(channels, found.minimum, found.maximum, strict=True):
            low, high = channel.minimum, channel.maximum
            margin = max(high - low, abs(low), abs(high))
            for value in extremes:
                if np.isfinite(value) and not low - margin <= value <= high + margin:
                    raise InputError(
                        f"{sample.data}: channel {channel.name} has the value {value:.6g}, but the archive's stats.h5 "
                        f"says {low:.6g} to {high:.6g}: get the sample again, or write null to statistics.json to have "
                        "the statistics computed"
                    )


def combine(parts: Sequence[SampleStatistics]) -> tuple[list[Channel], tuple[float, ...] | None]:
    """Return the channel statistics of all samples together, and their class fractions unless no labels were read."""
    class_pixels = np.sum([part.class_pixels for part in parts], axis=0)
    pixels = sum(part.pixels for part in parts)
    nonfinite = np.sum([part.values.nonfinite for part in parts], axis=0)
    if (nonfinite == pixels).any():
        raise InputError(f"channel {CHANNELS[int(nonfinite.argmax())]}: no value is finite: get the samples again")
    minimum = np.min([part.values.minimum for part in parts], axis=0)
    maximum = np.max([part.values.maximum for part in parts], axis=0)
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
    return channels, tuple((class_pixels / pixels).tolist()) if class_pixels.any() else None


def _labels(sample: Sample) -> np.ndarray:
    """Return both label planes of a sample, (H, W, 2)."""
    labels, shape = npy.load_labels(sample.label), npy.read_data_header(sample.data).shape
    if labels.shape != (*shape[:2], 2):
        raise InputError(
            f"{sample.label}: shape {labels.shape}, but its data needs {(*shape[:2], 2)}: delete it and run again"
        )
    return labels


def _found_samples(folder: Path) -> list[FoundSample]:
    """Return the samples of a shard in the manifest's order. Reads the headers of their data."""
    entries = {entry.name: entry for entry in manifest.read_complete(folder / manifest.MANIFEST)}
    noted = sample_values.read(folder)
    samples = []
    for entry in entries.values():
        if entry.name.startswith("data-"):
            label = entries.get(label_name(entry.name))
            if label is None:
                raise InputError(
                    f"{folder / manifest.MANIFEST}: does not list the labels of {entry.name}: delete it and run again"
                )
            header = npy.read_data_header(folder / entry.name)
            if header.shape[2] != len(CHANNELS):
                raise InputError(
                    f"{folder / entry.name}: shape {header.shape}, not (H, W, {len(CHANNELS)}): delete it and run again"
                )
            sample = Sample(data=folder / entry.name, label=folder / label.name, bytes=entry.bytes, sha256=entry.sha256)
            samples.append(FoundSample(sample, header, noted.get((entry.sha256, label.sha256))))
    return samples
