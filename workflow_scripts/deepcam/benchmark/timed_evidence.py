"""Evidence of what was timed: 64 bytes of each sample, and 128 values of its mask, at random places.

Keeping them takes a few microseconds for a batch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepcam.benchmark.delivery import MOST_SAMPLES, Engine, Evidence, Piece, load, mask_of, on_host, require_shape
from deepcam.benchmark.devices import Device
from deepcam.record.delivery_schema import MaskComparison

VALUES = 16
"""Values that are kept of each sample: all channels at one place."""

EDGE_SHARE = 0.125
"""Probability that the values that are kept of a sample are its first ones, and probability that they are its last.

Otherwise they come from a random place."""

MASK_VALUES = 128
"""Values that are kept of each mask."""


class TimedEvidence(Evidence):
    """Evidence of a timed pass over `files`; there is memory for masks only if the engine `infers`."""

    def __init__(
        self, files: Sequence[Path], sample_shape: tuple[int, int, int], device: Device, infers: bool = False
    ) -> None:
        super().__init__(files, sample_shape)
        self._device, self._random = device, np.random.default_rng()
        last = self._sample_values - VALUES
        starts, edges = self._random.integers(0, last + 1, len(files)), self._random.random(len(files))
        starts[edges < EDGE_SHARE], starts[edges >= 1 - EDGE_SHARE] = 0, last
        pixels = self._random.integers(0, sample_shape[0] * sample_shape[1], (len(files) * infers, MASK_VALUES))
        self._starts = starts.tolist()
        self._kept = _Kept(starts[:, None] + np.arange(VALUES), np.float32(np.nan), device)
        self._kept_masks = _Kept(pixels, np.uint8(255), device)
        self._names: list[str] = []
        self._batches: list[tuple[int, int]] = []

    def _keep(self, names: list[str], values: Any) -> None:
        if len(self._names) + len(names) > len(self._starts):  # which the check every_sample_once reports
            return
        self._kept.keep(len(self._names), values)
        self._names += names

    def _keep_mask(self, names: list[str], mask: Any) -> None:
        end = len(self._names)
        start = end - len(names)
        if start < (self._batches[-1][1] if self._batches else 0):  # its samples were too many
            return
        self._kept_masks.keep(start, mask.reshape(len(names), -1))
        self._batches.append((start, end))

    def _pieces(self) -> list[Piece]:
        kept, count = self._kept.values(), len(self._names)
        chosen = self._random.choice(count, min(count, MOST_SAMPLES), replace=False) if count else []
        return [Piece.of(int(i), self._names[i], self._starts[i], kept[i]) for i in chosen]

    def masks(self, engine: Engine, seconds: float, known: Mapping[str, np.ndarray]) -> MaskComparison:
        """Compare masks with those of earlier passes, and with those that the engine makes now of the same samples.

        `known` maps files to earlier masks. New ones are made of batches chosen at random until this has taken
        `seconds`.
        """
        kept, places = self._kept_masks.values(), self._kept_masks.places
        earlier = [i for batch in self._batches for i in range(*batch) if self._names[i] in known]
        samples = len(earlier)
        differing = sum(np.count_nonzero(known[self._names[i]].flat[places[i]] != kept[i]) for i in earlier)
        end = time.perf_counter() + seconds
        for start, stop in self._random.permutation(self._batches).tolist():
            names = self._names[start:stop]
            if time.perf_counter() >= end or not self._files.issuperset(names):
                break
            made = mask_of(engine, self._device.to_device(load(names)), self._device).reshape(len(names), -1)
            differing += np.count_nonzero(np.take_along_axis(made, places[start:stop], axis=1) != kept[start:stop])
            samples += len(names)
        return MaskComparison(samples=samples, pixels=samples * MASK_VALUES, differing_pixels=int(differing))


class ResidentEvidence:
    """128 values of each mask of a batch that stays in memory, for a run of so many `batches`."""

    def __init__(self, batches: int, mask_shape: tuple[int, int, int], device: Device) -> None:
        self._mask_shape, self._samples = mask_shape, mask_shape[0]
        pixels = np.random.default_rng().integers(
            0, mask_shape[1] * mask_shape[2], (batches * self._samples, MASK_VALUES)
        )
        self._kept, self._number = _Kept(pixels, np.uint8(255), device), 0

    def keep_mask(self, mask: Any) -> None:
        """Keep some of a mask. Raises ValueError if it has not the shape (n, H, W) of the batch."""
        require_shape("mask", mask, self._mask_shape)
        self._kept.keep(self._number, mask.reshape(self._samples, -1))
        self._number += self._samples

    def masks(self, right: np.ndarray) -> MaskComparison:
        """Compare with `right` (n, H, W), a mask of the same batch that was made at another time."""
        kept, places = self._kept.values(), self._kept.places
        differing = sum(
            np.count_nonzero(mask.flat[places[row :: self._samples]] != kept[row :: self._samples])
            for row, mask in enumerate(right)
        )
        return MaskComparison(samples=len(kept), pixels=kept.size, differing_pixels=int(differing))


class _Kept:
    """Values of each sample at `places` (samples, values), copied on the device into memory that is there."""

    def __init__(self, places: np.ndarray, nothing: np.generic, device: Device) -> None:
        self.places = places
        self._places, self._rows = device.to_device(places), device.to_device(np.arange(len(places))[:, None])
        # Filled, so that the kernel has given the memory before the clock starts.
        self._values = device.to_device(np.full(places.shape, nothing))

    def keep(self, first: int, values: Any) -> None:
        """Keep the chosen values of a batch, shape (n, values per sample). Its first sample is number `first`."""
        if isinstance(self._values, np.ndarray):
            values = np.asarray(values)  # an engine on the CPU returns a tensor
        end = first + len(values)
        self._values[first:end] = values[self._rows[: len(values)], self._places[first:end]]

    def values(self) -> np.ndarray:
        """What was kept, in the host's memory."""
        return on_host(self._values)
