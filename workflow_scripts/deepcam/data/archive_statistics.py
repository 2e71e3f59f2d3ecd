"""The archive's own statistics per channel, for dataset.json: what its stats.h5 says."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np

from deepcam.climate import CHANNELS
from deepcam.data import http_transfer
from deepcam.errors import InputError

FIELDS = {"minimum": "minval", "maximum": "maxval", "mean": "mean", "mean_square": "sqmean"}
"""Ours, and the archive's names under `climate/`: 16 values each, in the order of the channels."""

STATISTICS_BYTES = 2**20


def fetch_statistics(base_url: str) -> list[dict[str, Any]] | None:
    """The statistics per channel in `<base_url>/stats.h5`; None where the source has no such file.

    Raises InputError naming the URL for any other refusal, or other contents.
    """
    url = f"{base_url}/stats.h5"
    try:
        with http_transfer.session(1) as connection:
            body = http_transfer.fetch_small(connection, url, STATISTICS_BYTES)
    except http_transfer.Refused as error:
        if error.status in (404, 410):
            return None
        raise
    try:
        with h5py.File(io.BytesIO(body)) as file:
            values = {ours: np.asarray(file[f"climate/{theirs}"], float).ravel() for ours, theirs in FIELDS.items()}
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{url}: not the statistics of an archive ({error}): check the URL") from error
    for name, numbers in values.items():
        if numbers.shape != (len(CHANNELS),) or not (np.abs(numbers) <= np.finfo(np.float32).max).all():
            raise InputError(f"{url}: {name} is not {len(CHANNELS)} finite float32 numbers: check the URL")
    for i, channel in enumerate(CHANNELS):
        low, high = (values[name][i] for name in ("minimum", "maximum"))
        if low > high:
            raise InputError(f"{url}: minval {low:g} of channel {channel} is above its maxval {high:g}: check the URL")
    return [
        # The samples were not read for these, so nobody has counted values that are not finite.
        {"name": channel, **{name: float(numbers[i]) for name, numbers in values.items()}, "nonfinite": None}
        for i, channel in enumerate(CHANNELS)
    ]
