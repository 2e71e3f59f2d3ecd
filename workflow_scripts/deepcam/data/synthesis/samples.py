"""One synthetic sample, determined by its seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepcam.climate import CHANNELS
from deepcam.data.synthesis.background import background, derive
from deepcam.data.synthesis.events import plant_band, plant_vortex, random_events

VERSION = 2
"""Increase this when `sample` gives other numbers for the same seed. Files of an older version are then made again."""

ALL_CHANNELS = tuple(range(len(CHANNELS)))

BLOCK_ROWS = 8
"""Rows whose channels are interleaved at a time: 590 kB at full size, which fit a core's cache."""


def sample_seed(seed: int, line: int) -> int:
    """Return the seed of one sample, below 2**63, from the dataset's seed and the sample's line in the index."""
    return int(np.random.SeedSequence([seed, line]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def sample(
    seed: int, height: int, width: int, channels: Sequence[int] = ALL_CHANNELS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one sample: data (height, width, channels) float32, and two label planes (height, width) float32.

    Rows run from south to north, columns from 0 to 360 degrees east. Labels are the class numbers 0, 1, 2. The two
    planes stand for two annotators, who draw the same events a little wider or narrower. The same seed and shape give
    the same sample.
    """
    rng = np.random.default_rng(seed)
    latitude = ((np.arange(height) + 0.5) * 180 / height - 90).astype(np.float32)
    longitude = ((np.arange(width) + 0.5) * 360 / width).astype(np.float32)
    fields = background(rng, latitude, width)
    labels = np.zeros((2, height, width), np.float32)
    bands, vortices = random_events(rng)
    # Bands come first, so that the cyclone keeps its label where the two overlap.
    for band in bands:
        plant_band(fields, labels, band, latitude, longitude, rng)
    for vortex in vortices:
        plant_vortex(fields, labels, vortex, latitude, longitude, rng)
    derive(fields, rng)
    data = np.empty((height, width, len(channels)), np.float32)
    for top in range(0, height, BLOCK_ROWS):
        rows = slice(top, top + BLOCK_ROWS)
        for place, channel in enumerate(channels):
            data[rows, :, place] = fields[CHANNELS[channel]][rows]
    return data, labels[0], labels[1]
