"""One synthetic sample from its seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepcam.climate import CHANNELS
from deepcam.data.synthesis.background import background, derive
from deepcam.data.synthesis.events import plant_band, plant_vortex, random_events

VERSION = 2
"""Raise it when `sample` gives other numbers for the same seed: files of an older version are then made again."""

ALL_CHANNELS = tuple(range(len(CHANNELS)))

BLOCK_ROWS = 8
"""Rows whose channels are interleaved at a time: at full size 590 kB, which stay in a core's cache."""


def sample_seed(seed: int, line: int) -> int:
    """The seed of one sample from the data set's seed and the sample's line in the index, below 2**63."""
    return int(np.random.SeedSequence([seed, line]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def sample(
    seed: int, height: int, width: int, channels: Sequence[int] = ALL_CHANNELS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One sample: data (height, width, channels) float32, and two label planes (height, width) float32.

    Rows run from south to north, columns from 0 to 360 degrees east. Labels hold the class ids 0, 1, 2; the planes are
    two annotators' views of the same events, who draw each a little wider or narrower. The same seed and shape give
    the same sample.
    """
    rng = np.random.default_rng(seed)
    latitude = ((np.arange(height) + 0.5) * 180 / height - 90).astype(np.float32)
    longitude = ((np.arange(width) + 0.5) * 360 / width).astype(np.float32)
    fields = background(rng, latitude, width)
    labels = np.zeros((2, height, width), np.float32)
    bands, vortices = random_events(rng)
    # Bands first: where the two meet, the cyclone keeps its label.
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
