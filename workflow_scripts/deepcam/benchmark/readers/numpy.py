"""For comparison: np.load in a pool of `inter_threads` threads, and one copy into the batch."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from deepcam.benchmark.readers import Batch, Options
from deepcam.benchmark.readers.staging import pinned, staged
from deepcam.data import npy


def open_reader(name: str, files: Sequence[Path], options: Options) -> PoolReader:
    """Create a pool whose threads start with the iteration."""
    return PoolReader(files, options)


class PoolReader:
    """Reads ahead one batch, and at least as many samples as there are threads."""

    processes = ()

    def __init__(self, files: Sequence[Path], options: Options) -> None:
        self._files = list(files)
        self._options = options
        self._pool = ThreadPoolExecutor(options.inter_threads)
        self.details: dict[str, Any] = {"num_threads": options.inter_threads}

    def __iter__(self) -> Iterator[Batch]:
        return staged(self._host_batches(), self._options)

    def _host_batches(self) -> Iterator[Batch]:
        size = self._options.batch_size
        ahead = size + max(size, self._options.inter_threads)
        waiting = iter(self._files)
        loads: collections.deque[Future[np.ndarray]] = collections.deque()
        for start in range(0, len(self._files), size):
            names = [str(path) for path in self._files[start : start + size]]
            while len(loads) < ahead and (path := next(waiting, None)) is not None:
                loads.append(self._pool.submit(npy.load, path, self._options.sample_shape))
            batch = self._empty(len(names))
            for place in batch:
                place[:] = loads.popleft().result()
            yield Batch(names, batch)

    def _empty(self, size: int) -> np.ndarray:
        """Return a batch to fill, in page-locked memory if a GPU will copy it."""
        shape = (size, *self._options.sample_shape)
        if not pinned(self._options):
            return np.empty(shape, np.float32)
        import torch

        return torch.empty(shape, pin_memory=True).numpy()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
