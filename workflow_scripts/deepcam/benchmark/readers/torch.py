"""For comparison: PyTorch's DataLoader with `inter_threads` worker processes and np.load."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from deepcam.benchmark.readers import Batch, Options
from deepcam.benchmark.readers.staging import pinned, staged
from deepcam.data import npy

PREFETCH = 2
"""Number of batches that each worker loads ahead, which is PyTorch's default."""


class SampleFiles(Dataset):
    """File names and samples. Loading waits for `started`; otherwise workers would begin before the clock starts."""

    def __init__(self, files: Sequence[Path], shape: tuple[int, ...], started: Any) -> None:
        self._files = [str(path) for path in files]
        self._shape = shape
        self._started = started

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> tuple[str, torch.Tensor]:
        self._started.wait()
        return self._files[i], torch.from_numpy(npy.load(self._files[i], self._shape))


def open_reader(name: str, files: Sequence[Path], options: Options) -> LoaderReader:
    """Start worker processes, which wait until the iteration starts."""
    return LoaderReader(files, options)


class LoaderReader:
    """Batches in order, collated in the workers' shared memory."""

    def __init__(self, files: Sequence[Path], options: Options) -> None:
        self._options = options
        # Forked, because a spawned worker imports torch again, which takes seconds.
        context = multiprocessing.get_context("fork")
        self._started = context.Event()
        loader = DataLoader(
            SampleFiles(files, options.sample_shape, self._started),
            batch_size=options.batch_size,
            num_workers=options.inter_threads,
            prefetch_factor=PREFETCH,
            multiprocessing_context=context,
            pin_memory=pinned(options),
            persistent_workers=True,  # otherwise the workers end with the last batch, while the clock runs
        )
        self._iterator = iter(loader)
        self.processes = [worker.pid for worker in multiprocessing.active_children()]
        self.details: dict[str, Any] = {"num_workers": options.inter_threads, "prefetch_factor": PREFETCH}

    def __iter__(self) -> Iterator[Batch]:
        return staged(self._host_batches(), self._options)

    def _host_batches(self) -> Iterator[Batch]:
        self._started.set()
        for names, samples in self._iterator:
            yield Batch(list(names), samples.numpy())

    def close(self) -> None:
        # Workers that wait for the event cannot end.
        self._started.set()
        del self._iterator  # joins the workers
