"""Synthetic samples in device memory, for training and for evaluation, and random training batches of them."""

from __future__ import annotations

import functools
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deepcam.climate import CHANNELS, CLASSES
from deepcam.data import synthesis

log = logging.getLogger(__name__)

TRAINING_FIRST_LINE = 10**6
HELD_OUT_FIRST_LINE = 2 * 10**6
"""First lines of the two sets, beyond any index. With the same seed, neither shares a sample with the other or with
the data of a benchmark."""

LARGEST_DATASET = 64
"""Training normalises with the ranges of random datasets of 1 to this many samples."""

EVENT_TRIES = 4
"""A crop that is chosen for its events is the best of this many crops, which begin at random longitudes."""

NORTHWARD = ("VBOT", "V850")
"""Channels whose sign changes when north and south are swapped."""


@dataclass(frozen=True)
class Examples:
    """N samples: fields (N, H, W, C) float32 and labels (N, H, W) uint8, both on one device.

    `minimum` and `maximum` (N, C) float32 are those of each sample, on the CPU. `channels` are numbers into CHANNELS.
    """

    fields: Tensor
    labels: Tensor
    minimum: np.ndarray
    maximum: np.ndarray
    channels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.fields)

    @functools.cached_property
    def events(self) -> np.ndarray:
        """How much of the events each column (N, W) of the samples holds: its share of each class's pixels, summed."""
        columns = [(self.labels == event).sum(dim=1).cpu().numpy() for event in range(1, len(CLASSES))]
        return sum(pixels / max(1, pixels.sum()) for pixels in columns)


def make_examples(
    seed: int,
    first_line: int,
    count: int,
    height: int,
    width: int,
    channels: tuple[int, ...],
    device: torch.device,
    processes: int,
) -> Examples:
    """Make the `count` samples of the lines from `first_line` on `device`, `processes` at a time."""
    fields = torch.empty(count, height, width, len(channels), device=device)
    labels = torch.empty(count, height, width, dtype=torch.uint8, device=device)
    minimum, maximum = np.empty((2, count, len(channels)), np.float32)
    seeds = [synthesis.sample_seed(seed, first_line + i) for i in range(count)]
    # Spawned, because a forked child inherits locks that torch's threads may hold.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        made = pool.map(_make_one, seeds, [height] * count, [width] * count, [channels] * count)
        for i, (data, label, minimum[i], maximum[i]) in enumerate(made):
            fields[i], labels[i] = torch.from_numpy(data), torch.from_numpy(label)
    log.info("made %d samples of %d x %d", count, height, width)
    return Examples(fields, labels, minimum, maximum, channels)


def _make_one(seed: int, height: int, width: int, channels: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    data, label, _ = synthesis.sample(seed, height, width, channels)
    return data, label.astype(np.uint8), data.min(axis=(0, 1)), data.max(axis=(0, 1))


def draw_batch(
    examples: Examples, rng: np.random.Generator, count: int, crop_width: int, event_crops: float
) -> tuple[Tensor, Tensor]:
    """Draw a random batch of crops. Each crop is chosen for its events with a probability of `event_crops`.

    Returns normalised fields (count, C, H, crop_width) float32, channels_last, and labels (count, H, crop_width) int64.

    Crops have all rows, from pole to pole, and begin at a random longitude, so that their mean over the area, which the
    network's global branch sees, is about that of a whole sample. A crop that is chosen for its events has the best of
    EVENT_TRIES longitudes, because most narrow crops show only background. Half of the crops are mirrored at the
    equator, with the sign of the northward wind reversed, which is physically plausible; swapping east and west would
    not be.
    """
    device = examples.fields.device
    _, height, width, _ = examples.fields.shape
    chosen = rng.integers(len(examples), size=count)
    west = np.array([_west(examples, rng, sample, crop_width, event_crops) for sample in chosen])
    mirrored = rng.random(count) < 0.5
    row, column = np.arange(height), np.arange(crop_width)
    rows = np.where(mirrored[:, None], row[::-1], row)
    columns = (west[:, None] + column) % width
    northward = np.array([CHANNELS[channel] in NORTHWARD for channel in examples.channels])
    sign = np.where(mirrored[:, None] & northward, -1, 1).astype(np.float32)
    low, high = zip(*(_range(examples, rng, sample) for sample in chosen), strict=True)
    place, rows, columns, sign, low, high = (
        torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)
        for array in (
            chosen[:, None, None],
            rows[:, :, None],
            columns[:, None, :],
            sign[:, None, None],
            np.stack(low)[:, None, None],
            np.stack(high)[:, None, None],
        )
    )
    fields = (examples.fields[place, rows, columns] * sign - low) / (high - low)
    return fields.permute(0, 3, 1, 2), examples.labels[place, rows, columns].long()


def _west(examples: Examples, rng: np.random.Generator, sample: int, crop_width: int, event_crops: float) -> int:
    """Return the first column of a crop of `sample`."""
    width = examples.fields.shape[2]
    if rng.random() >= event_crops:
        return int(rng.integers(width))
    columns = examples.events[sample]
    return max(
        rng.integers(width, size=EVENT_TRIES),
        key=lambda west: columns.take(range(west, west + crop_width), mode="wrap").sum(),
    )


def _range(examples: Examples, rng: np.random.Generator, sample: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each channel's minimum and maximum over a random dataset that includes `sample`.

    An engine normalises with the ranges of its dataset, which depend on the samples in it.
    """
    others = rng.integers(len(examples), size=int(LARGEST_DATASET ** rng.random()) - 1)
    dataset = np.append(others, sample)
    return examples.minimum[dataset].min(axis=0), examples.maximum[dataset].max(axis=0)
