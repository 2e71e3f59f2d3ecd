"""NVIDIA DALI's numpy reader.

dali-mmap: `inter_threads` threads copy from mapped files into the batch.
dali-buffered: one thread of DALI's reads, `inter_threads` threads copy into the batch.
dali-direct: O_DIRECT with `inter_threads * intra_threads` threads over chunks of about sample / intra_threads bytes.
dali-gds: cuFile into GPU memory, threads and chunks as dali-direct's.
The first three read into host memory, which DALI then copies to a GPU where the cell has one.
Source: DALI documentation of fn.readers.numpy (dont_use_mmap, use_o_direct, DALI_ODIRECT_CHUNK_SIZE,
DALI_GDS_CHUNK_SIZE).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepcam.benchmark.readers import Batch, Options
from deepcam.errors import InputError

QUEUE_DEPTH = 4
"""Batches that DALI reads ahead. Depth 4 read a third faster than depth 1 from cold storage."""

SMALLEST_CHUNK = 4 << 10
LARGEST_CHUNK = 16 << 20
"""DALI takes powers of two between these, in bytes."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "dali-mmap": {},
    "dali-buffered": {"dont_use_mmap": True},
    "dali-direct": {"dont_use_mmap": True, "use_o_direct": True},
    "dali-gds": {"device": "gpu"},
}

CHUNK_VARIABLES = {"dali-direct": "DALI_ODIRECT_CHUNK_SIZE", "dali-gds": "DALI_GDS_CHUNK_SIZE"}

NVIDIA_FS = Path("/proc/driver/nvidia-fs")
"""Where the kernel module of GPUDirect Storage shows itself. Without it cuFile reads and copies as anyone would."""


def chunk_bytes(sample_bytes: int, intra_threads: int) -> int:
    """The largest power of two that DALI takes and that splits a sample into at least `intra_threads` chunks."""
    wanted = max(sample_bytes // intra_threads, 1)
    return min(max(1 << (wanted.bit_length() - 1), SMALLEST_CHUNK), LARGEST_CHUNK)


def open_reader(name: str, files: Sequence[Path], options: Options) -> DaliReader:
    """A pipeline over exactly `files`."""
    return DaliReader(name, files, options)


class DaliReader:
    """One DALI pipeline that runs exactly as many iterations as there are batches.

    The schedule_run / share_outputs interface is used so that DALI reads ahead within the run, and not beyond
    its end, as its Python iterators would.
    """

    processes = ()

    def __init__(self, name: str, files: Sequence[Path], options: Options) -> None:
        self._count = len(files)
        self._batch_size = options.batch_size
        self._batches = -(-self._count // self._batch_size)
        self._depth = min(QUEUE_DEPTH, self._batches)
        threads = options.inter_threads * options.intra_threads
        self.details: dict[str, Any] = {
            "prefetch_queue_depth": self._depth,
            "num_threads": threads,
            "o_direct": name == "dali-direct",
        }
        if variable := CHUNK_VARIABLES.get(name):
            self.details["chunk_bytes"] = chunk_bytes(math.prod(options.sample_shape) * 4, options.intra_threads)
            os.environ[variable] = str(self.details["chunk_bytes"])  # read once, when DALI is loaded
        if name == "dali-gds":
            self.details["gds"] = NVIDIA_FS.exists()
            os.environ["CUFILE_ALLOW_COMPAT_MODE"] = "true"  # the record says which it was
        self._stream = None
        if options.device != "cpu":
            import torch  # before DALI: it brings the CUDA libraries of its own

            self._stream = torch.cuda.current_stream(options.device)

        from nvidia.dali import Pipeline, fn

        self._pipeline = Pipeline(
            batch_size=options.batch_size,
            num_threads=threads,
            device_id=None if self._stream is None else self._stream.device_index,
            prefetch_queue_depth=self._depth,
        )
        with self._pipeline:
            samples = fn.readers.numpy(files=[str(path) for path in files], pad_last_batch=True, **ARGUMENTS[name])
            self._pipeline.set_outputs(samples if self._stream is None else samples.gpu())
        self._pipeline.build()

    def __iter__(self) -> Iterator[Batch]:
        self._pipeline.schedule_run()  # the first time, as many iterations as the queue is deep
        for i in range(self._batches):
            samples = self._next()
            size = min(self._batch_size, self._count - i * self._batch_size)
            yield Batch([samples[j].source_info() for j in range(size)], self._first(samples.as_tensor(), size))
            del samples
            self._pipeline.release_outputs()
            if i + self._depth < self._batches:
                self._pipeline.schedule_run()

    def _next(self) -> Any:
        # Bound to the stream of who uses them: DALI frees the samples in its order.
        try:
            return self._pipeline.share_outputs(cuda_stream=self._stream)[0]
        except RuntimeError as error:
            if "CUFile" not in str(error):
                raise
            reason = next(line for line in str(error).splitlines() if "CUFile" in line)
            raise InputError(
                f"dali-gds: {reason.strip()} GPUDirect Storage needs the nvidia-fs driver and a file system that it "
                "knows; install it, or take dali-gds out of benchmark.readers"
            ) from error

    def _first(self, tensor: Any, size: int) -> Any:
        """The first `size` samples of a batch that DALI padded with copies of the last one; no copy."""
        if self._stream is not None:
            import torch

            return torch.from_dlpack(tensor)[:size]
        import numpy as np

        return np.from_dlpack(tensor)[:size]

    def close(self) -> None:
        # Dropping the last reference joins DALI's threads and unmaps the files.
        del self._pipeline
