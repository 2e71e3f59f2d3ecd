"""Synthetic samples held in memory, on the device: what the network is trained on and judged by."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deepcam.climate import CHANNELS
from deepcam.data import synthesis

log = logging.getLogger(__name__)

TRAINING_FIRST_LINE = 10**6
HELD_OUT_FIRST_LINE = 2 * 10**6
"""First lines of the two sets, beyond any index: with the same seed, neither meets the other or a benchmark's data."""

LARGEST_DATASET = 64
"""Ranges for training are drawn as if from datasets of 1 to this many samples."""

NORTHWARD = ("VBOT", "V850")
"""Channels that change their sign when north and south are swapped."""


@dataclass(frozen=True)
class Examples:
    """Samples: fields (N, H, W, C) float32, labels (N, H, W) uint8, both on one device.

    `minimum` and `maximum` (N, C) float32 are each sample's own, on the CPU.
    """

    fields: Tensor
    labels: Tensor
    minimum: np.ndarray
    maximum: np.ndarray
    channels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.fields)


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
    """Make `count` samples of the lines from `first_line`, `processes` at a time."""
    fields = torch.empty(count, height, width, len(channels), device=device)
    labels = torch.empty(count, height, width, dtype=torch.uint8, device=device)
    minimum, maximum = np.empty((2, count, len(channels)), np.float32)
    seeds = [synthesis.sample_seed(seed, first_line + i) for i in range(count)]
    # spawn: a forked child inherits locks that torch's threads may hold.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        made = pool.map(_make_one, seeds, [height] * count, [width] * count, [channels] * count)
        for i, (data, label, minimum[i], maximum[i]) in enumerate(made):
            fields[i], labels[i] = torch.from_numpy(data), torch.from_numpy(label)
    log.info("made %d samples of %d x %d", count, height, width)
    return Examples(fields, labels, minimum, maximum, channels)


def _make_one(seed: int, height: int, width: int, channels: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    data, label, _ = synthesis.sample(seed, height, width, channels)
    return data, label.astype(np.uint8), data.min(axis=(0, 1)), data.max(axis=(0, 1))


def draw_batch(examples: Examples, rng: np.random.Generator, count: int, crop_width: int) -> tuple[Tensor, Tensor]:
    """A random batch: normalised fields (count, C, H, crop_width) float32 channels_last, labels (count, H, crop_width).

    Crops have all rows, from pole to pole, and begin at any longitude. So their mean over the area, which the network's
    global branch sees, is that of a whole sample, and no crop looks unlike the climate. Half of them are mirrored at
    the equator, which physics allows when the northward wind changes its sign; east and west may not be swapped.
    """
    device = examples.fields.device
    _, height, width, _ = examples.fields.shape
    chosen = rng.integers(len(examples), size=count)
    west = rng.integers(width, size=count)
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


def _range(examples: Examples, rng: np.random.Generator, sample: int) -> tuple[np.ndarray, np.ndarray]:
    """Each channel's minimum and maximum over a random dataset that holds `sample`.

    An engine normalises with its own dataset's range, which depends on how many samples there are and which.
    """
    others = rng.integers(len(examples), size=int(LARGEST_DATASET ** rng.random()) - 1)
    dataset = np.append(others, sample)
    return examples.minimum[dataset].min(axis=0), examples.maximum[dataset].max(axis=0)
