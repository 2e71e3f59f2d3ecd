"""A small description of a dataset, for tests that need no samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepcam.climate import CHANNELS
from deepcam.data.dataset import Channel, Dataset, Sample


def dataset(
    ranges: Sequence[tuple[float, float]] = ((-4.0, 8.0),) * len(CHANNELS),
    shape: tuple[int, int, int] = (96, 144, 16),
    samples: int = 2,
) -> Dataset:
    """A dataset whose channels have these ranges. Its samples data-<i>.npy and label-<i>.npy do not exist."""
    return Dataset(
        source="synthetic",
        sample_shape=shape,
        num_samples=samples,
        total_bytes=samples * 1000,
        samples=tuple(
            Sample(data=Path(f"data-{i}.npy"), label=Path(f"label-{i}.npy"), bytes=1000, sha256="0" * 64)
            for i in range(samples)
        ),
        statistics="computed",
        channels=tuple(
            Channel(name=name, minimum=low, maximum=high, mean=(low + high) / 2, mean_square=8.0, nonfinite=0)
            for name, (low, high) in zip(CHANNELS, ranges, strict=True)
        ),
        class_fractions=(0.98, 0.01, 0.01),
    )
