"""A reader that delivers something else than its files hold, in one of several ways."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from deepcam.benchmark import timed_loop
from deepcam.benchmark.readers import Batch, Options


class Planted:
    """A reader that delivers the samples of its files, and then does what `fault` does to each batch."""

    details: ClassVar[dict[str, object]] = {}
    processes = ()

    def __init__(self, files: Sequence[Path], size: int, fault: Callable[[np.ndarray], np.ndarray | None]) -> None:
        self.batches = [files[start : start + size] for start in range(0, len(files), size)]
        self.fault = fault

    def __iter__(self) -> Iterator[Batch]:
        for paths in self.batches:
            samples = np.stack([np.load(path) for path in paths])
            batch = Batch([str(path) for path in paths], self.fault(samples))
            yield batch
            if self.fault is fills_later:
                batch.array[:] = samples


def plant(
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[np.ndarray], np.ndarray | None],
    honest: Callable[[int], bool] = lambda opened: False,
) -> None:
    """Every reader is a planted one, except when `honest` says so of the number of readers that were opened."""
    opened = []

    def open_reader(name: str, files: Sequence[Path], options: Options) -> contextlib.nullcontext[Planted]:
        opened.append(name)
        done = honest(len(opened))
        return contextlib.nullcontext(Planted(files, options.batch_size, (lambda batch: batch) if done else fault))

    monkeypatch.setattr(timed_loop, "open_reader", open_reader)


def skips(batch: np.ndarray) -> np.ndarray:
    """The second sample was not read: its place holds something else."""
    batch[1] = 0.75
    return batch


def repeats(batch: np.ndarray) -> np.ndarray:
    batch[1] = batch[0]
    return batch


def swaps(batch: np.ndarray) -> np.ndarray:
    return batch[::-1].copy()


def shortens(batch: np.ndarray) -> np.ndarray:
    """The last of 16 lines of each sample was not read."""
    batch[:, -1] = 0
    return batch


def zeroes(batch: np.ndarray) -> np.ndarray:
    return np.zeros_like(batch)


def fills_later(batch: np.ndarray) -> np.ndarray:
    """The batch is handed out empty. `Planted` fills it when the next one is requested."""
    return np.zeros_like(batch)


FAULTS = [skips, repeats, swaps, shortens, zeroes, fills_later]
