"""NVIDIA DALI's numpy reader.

- dali-mmap: `inter_threads` threads copy from mapped files into the batch.
- dali-buffered: one thread of DALI reads, and `inter_threads` threads copy into the batch.
- dali-direct: `inter_threads * intra_threads` threads read chunks with O_DIRECT.
- dali-gds: cuFile reads into GPU memory, with threads and chunks like dali-direct.

A chunk is about 1 / `intra_threads` of a sample. The first three read into host memory, from which DALI copies to the
GPU, if there is one. Source: DALI's documentation of fn.readers.numpy (dont_use_mmap, use_o_direct,
DALI_ODIRECT_CHUNK_SIZE, DALI_GDS_CHUNK_SIZE).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepcam.benchmark.readers import Batch, Options, cufile, require_o_direct, require_release
from deepcam.errors import InputError

QUEUE_DEPTH = 4
"""Number of batches that DALI reads ahead. From cold storage, depth 4 was a third faster than depth 1."""

SMALLEST_CHUNK = 4 << 10
LARGEST_CHUNK = 16 << 20
"""Limits of DALI's chunk size in bytes, which must be a power of two."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "dali-mmap": {},
    "dali-buffered": {"dont_use_mmap": True},
    "dali-direct": {"dont_use_mmap": True, "use_o_direct": True},
    "dali-gds": {"device": "gpu"},
}

CHUNK_VARIABLES = {"dali-direct": "DALI_ODIRECT_CHUNK_SIZE", "dali-gds": "DALI_GDS_CHUNK_SIZE"}


PACKAGES = ("nvidia-dali-cuda120", "nvidia-dali-cuda130")
"""The Python packages that contain DALI. An environment has one of them."""

OLDEST = (2, 4)
"""Before this release, DALI's numpy reader could return memory that it had not read into, without an error:
https://github.com/NVIDIA/DALI/issues/6482."""


def check_version() -> None:
    """Raise InputError if DALI is not installed, or if its numpy reader may return memory that it has not read into."""
    require_release(
        PACKAGES,
        OLDEST,
        f"readers dali-*: need the Python package {PACKAGES[0]}; run make venv, or change readers",
        "its numpy reader could return memory that it had not read into (NVIDIA/DALI issue 6482)",
    )


def chunk_bytes(sample_bytes: int, intra_threads: int) -> int:
    """Return the largest chunk size in bytes that gives a sample `intra_threads` chunks or more, within the limits."""
    wanted = max(sample_bytes // intra_threads, 1)
    return min(max(1 << (wanted.bit_length() - 1), SMALLEST_CHUNK), LARGEST_CHUNK)


def open_reader(name: str, files: Sequence[Path], options: Options) -> DaliReader:
    """Build a pipeline over `files`."""
    return DaliReader(name, files, options)


class DaliReader:
    """A DALI pipeline that runs exactly as many iterations as there are batches.

    It uses schedule_run and share_outputs, because DALI's Python iterators read ahead beyond the last batch.
    """

    processes = ()

    def __init__(self, name: str, files: Sequence[Path], options: Options) -> None:
        self._count = len(files)
        self._batch_size = options.batch_size
        self._batches = math.ceil(self._count / self._batch_size)
        self._depth = min(QUEUE_DEPTH, self._batches)
        threads = options.inter_threads * options.intra_threads
        self.details: dict[str, Any] = {
            "prefetch_queue_depth": self._depth,
            "num_threads": threads,
            "o_direct": name == "dali-direct",
        }
        if variable := CHUNK_VARIABLES.get(name):
            self.details["chunk_bytes"] = chunk_bytes(math.prod(options.sample_shape) * 4, options.intra_threads)
            os.environ[variable] = str(self.details["chunk_bytes"])  # DALI reads it once, when it is loaded
        if name == "dali-direct":
            require_o_direct(files[0], name, f"{name} from benchmark.readers")
        self._shape = tuple(options.sample_shape)
        self._stream = None
        if options.device != "cpu":
            import torch  # before DALI, so that torch loads its own CUDA libraries

            self._stream = torch.cuda.current_stream(options.device)
        self._gds = name == "dali-gds"
        if self._gds:
            cufile.start_counting()

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
        self._pipeline.schedule_run()  # the first call schedules as many iterations as the queue is deep
        for i in range(self._batches):
            samples = self._next()
            size = min(self._batch_size, self._count - i * self._batch_size)
            yield Batch([samples[j].source_info() for j in range(size)], self._first(samples.as_tensor(), size))
            del samples
            self._pipeline.release_outputs()
            if i + self._depth < self._batches:
                self._pipeline.schedule_run()

    def _next(self) -> Any:
        # DALI frees the samples in the order of this stream, which is the one that uses them.
        try:
            return self._pipeline.share_outputs(cuda_stream=self._stream)[0]
        except RuntimeError as error:
            if "CUFile" not in str(error):
                raise
            reason = next(line for line in str(error).splitlines() if "CUFile" in line)
            raise InputError(
                f"dali-gds: {reason.strip()} GPUDirect Storage needs nvidia-fs or PCI P2PDMA, and a file system that "
                "supports it; see cufile.log, or remove dali-gds from benchmark.readers"
            ) from error

    def _first(self, tensor: Any, size: int) -> Any:
        """Return the first `size` samples of a batch, without a copy. DALI pads the last batch with its last sample."""
        if self._stream is not None:
            import torch

            array, float32 = torch.from_dlpack(tensor), torch.float32
        else:
            import numpy as np

            array, float32 = np.from_dlpack(tensor), np.float32
        if array.dtype != float32 or array.shape[1:] != self._shape:
            raise ValueError(f"{array.dtype} {array.shape[1:]} instead of float32 {self._shape}")
        return array[:size]

    def close(self) -> None:
        if self._gds:
            self.details["cufile_reads"] = cufile.reads()
        # Deleting the last reference joins DALI's threads and unmaps the files.
        del self._pipeline
