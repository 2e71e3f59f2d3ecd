"""NVIDIA DALI's numpy reader on the CPU.

dali-mmap: `inter_threads` threads copy from mapped files into the batch; cells have one intra thread.
dali-direct: O_DIRECT with `inter_threads * intra_threads` threads over chunks of about sample / intra_threads bytes.
Source: DALI documentation of fn.readers.numpy (dont_use_mmap, use_o_direct, DALI_ODIRECT_CHUNK_SIZE).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepcam.readers import Batch, Options

QUEUE_DEPTH = 4
"""Batches that DALI reads ahead. Depth 4 read a third faster than depth 1 from cold storage."""

SMALLEST_CHUNK = 4 << 10
LARGEST_CHUNK = 16 << 20
"""DALI takes powers of two between these, in bytes."""


def chunk_bytes(sample_bytes: int, intra_threads: int) -> int:
    """The largest power of two that DALI takes and that splits a sample into at least `intra_threads` chunks."""
    wanted = max(sample_bytes // intra_threads, 1)
    return min(max(1 << (wanted.bit_length() - 1), SMALLEST_CHUNK), LARGEST_CHUNK)


def open_reader(name: str, files: Sequence[Path], options: Options) -> DaliReader:
    """A pipeline over exactly `files`."""
    return DaliReader(files, options, direct=name == "dali-direct")


class DaliReader:
    """One DALI pipeline that runs exactly as many iterations as there are batches.

    The schedule_run / share_outputs interface is used so that DALI reads ahead within the run, and not beyond
    its end, as its Python iterators would.
    """

    def __init__(self, files: Sequence[Path], options: Options, direct: bool) -> None:
        threads = options.inter_threads * options.intra_threads
        self.details: dict[str, Any] = {"prefetch_queue_depth": QUEUE_DEPTH, "num_threads": threads, "o_direct": direct}
        arguments = {}
        if direct:
            chunk = chunk_bytes(math.prod(options.sample_shape) * 4, options.intra_threads)
            os.environ["DALI_ODIRECT_CHUNK_SIZE"] = str(chunk)  # read once, when DALI is loaded
            self.details["chunk_bytes"] = chunk
            arguments = {"dont_use_mmap": True, "use_o_direct": True}

        from nvidia.dali import Pipeline, fn

        self._count = len(files)
        self._batch_size = options.batch_size
        self._pipeline = Pipeline(
            batch_size=options.batch_size, num_threads=threads, device_id=None, prefetch_queue_depth=QUEUE_DEPTH
        )
        with self._pipeline:
            samples = fn.readers.numpy(files=[str(path) for path in files], pad_last_batch=True, **arguments)
            self._pipeline.set_outputs(samples)
        self._pipeline.build()

    def __iter__(self) -> Iterator[Batch]:
        batches = -(-self._count // self._batch_size)
        ahead = min(QUEUE_DEPTH, batches)
        for _ in range(ahead):
            self._pipeline.schedule_run()
        for i in range(batches):
            (samples,) = self._pipeline.share_outputs()
            size = min(self._batch_size, self._count - i * self._batch_size)
            yield Batch([samples[j].source_info() for j in range(size)], _first(samples.as_tensor(), size))
            del samples
            self._pipeline.release_outputs()
            if i + ahead < batches:
                self._pipeline.schedule_run()

    def close(self) -> None:
        # Dropping the last reference joins DALI's threads and unmaps the files.
        del self._pipeline


def _first(tensor: Any, size: int) -> Any:
    """The first `size` samples of a batch that DALI padded with copies of the last one; no copy."""
    if tensor.shape()[0] == size:
        return tensor
    import numpy as np

    return np.from_dlpack(tensor)[:size]
