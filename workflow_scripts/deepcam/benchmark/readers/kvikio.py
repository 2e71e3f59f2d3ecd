"""The reader kvikio: threads of NVIDIA's KvikIO read samples and copy them to a GPU.

`inter_threads` threads take tasks of 4 MiB. A task reads into a page-locked buffer with pread(2), copies it to the GPU,
and waits for the copy. KvikIO calls this its compatibility mode: it never uses cuFile then, so this is not GPUDirect
Storage. If the cache is cold, all whole blocks are read with O_DIRECT.

These rules keep the order:

- A batch is handed out after all its reads, and so their copies, have ended.
- KvikIO's threads cannot wait for the stream on which batches are used. A thread of this reader therefore waits until
  the device has used up a batch, and only then requests reads into the same memory.

Sources: KvikIO's documentation of `kvikio.defaults`, "Runtime Settings", and `kvikio.CuFile.pread`.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import errno
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepcam.benchmark.readers import Batch, Options, require_o_direct, require_release
from deepcam.benchmark.readers.upload import Copies, CudaCopies
from deepcam.data import npy
from deepcam.errors import InputError

TASK_BYTES = 4 * 2**20
"""What a thread reads and copies at once. It is small enough to stay in the caches between the two."""

PACKAGES = ("kvikio-cu13", "kvikio-cu12")
"""The Python packages that contain KvikIO. An environment has one of them."""

OLDEST = (25, 12)
"""Earlier releases cannot read with O_DIRECT in compatibility mode."""


def check_version() -> None:
    """Raise InputError if KvikIO is not installed, or too old to read with O_DIRECT."""
    require_release(
        PACKAGES,
        OLDEST,
        f"reader kvikio: needs the Python package {PACKAGES[0]}; run make venv KIND=gpu, or change readers",
        "it cannot read with O_DIRECT in compatibility mode",
    )


def open_reader(name: str, files: Sequence[Path], options: Options) -> KvikioReader:
    """Start KvikIO's threads. Raises InputError if O_DIRECT is needed and refused."""
    return KvikioReader(files, options, CudaCopies(options.device))


class KvikioReader:
    """Yields batches on a device, in order. KvikIO reads ahead as long as there is free memory for a batch."""

    processes = ()

    def __init__(self, files: Sequence[Path], options: Options, device: Copies) -> None:
        import kvikio.defaults

        if options.cold:
            require_o_direct(files[0], "a cold cache", "cold from benchmark.cache")
        self._library = kvikio
        self._files, self._options, self._device = list(files), options, device
        self._sample_bytes = math.prod(options.sample_shape) * 4
        self._batches = math.ceil(len(self._files) / options.batch_size)
        threads = options.inter_threads * options.intra_threads
        self._settings = {
            "compat_mode": kvikio.CompatMode.ON,
            "num_threads": threads,
            "task_size": TASK_BYTES,
            "bounce_buffer_size": TASK_BYTES,
            "gds_threshold": 0,  # smaller reads would not be left to the threads
            "auto_direct_io_read": options.cold,
        }
        kvikio.defaults.set(self._settings)
        self._check_settings()
        # Enough memory for the tasks in flight, for a batch that is ready, and for one that the device uses.
        in_flight = math.ceil(threads * TASK_BYTES / (options.batch_size * self._sample_bytes))
        shape = (options.batch_size, *options.sample_shape)
        self._slots = [device.batch(shape) for _ in range(min(in_flight + 2, self._batches))]
        self._current = device.current_stream()
        # Whatever had a batch's memory before, in an earlier reader too, has been queued on this stream.
        self._before = device.record(self._current)
        self._starter = concurrent.futures.ThreadPoolExecutor(max_workers=1, initializer=device.bind)
        self._started: collections.deque[concurrent.futures.Future[None]] = collections.deque()
        self._reads: collections.deque[_Read] = collections.deque()
        self.details: dict[str, Any] = {
            "num_threads": threads,
            "o_direct": options.cold,
            "chunk_bytes": TASK_BYTES,
            "buffers": len(self._slots),
            "kvikio_mode": "POSIX",
        }

    def __iter__(self) -> Iterator[Batch]:
        for batch in range(len(self._slots)):
            self._request(batch, self._before)
        for batch in range(self._batches):
            self._started.popleft().result()
            names = [str(path) for path in self._of(batch)]
            for _ in names:
                self._reads.popleft().finish()
            yield Batch(names, self._slots[batch % len(self._slots)][: len(names)])
            following = batch + len(self._slots)
            if following < self._batches:
                self._request(following, self._device.record(self._current))

    def _of(self, batch: int) -> list[Path]:
        size = self._options.batch_size
        return self._files[batch * size : (batch + 1) * size]

    def _request(self, batch: int, unused: Any) -> None:
        """Let KvikIO read a batch once its memory is unused, which the event says. Does not wait."""
        self._started.append(self._starter.submit(self._start, batch, unused))

    def _start(self, batch: int, unused: Any) -> None:
        slot = self._slots[batch % len(self._slots)]
        self._device.finish(unused)
        for place, path in enumerate(self._of(batch)):
            header = npy.read_data_header(path, self._options.sample_shape)
            self._reads.append(_Read(self._open(path), path, slot[place], self._sample_bytes, len(header.content)))

    def _open(self, path: Path) -> Any:
        file = self._library.CuFile(path, "r")
        if self._options.cold:
            if not file.is_direct_io_supported():
                raise InputError(f"{path}: KvikIO cannot read it with O_DIRECT; remove cold from benchmark.cache")
            # Incomplete blocks are read through the page cache, which must not read ahead.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        return file

    def _check_settings(self) -> None:
        """Raise InputError if KvikIO does not have the settings that this reader gave it."""
        for key, wanted in self._settings.items():
            found = self._library.defaults.get(key)
            if found != wanted:
                raise InputError(
                    f"reader kvikio: KvikIO has {key} {found} instead of {wanted}, so that something else would be "
                    "measured; remove what changes it, or remove kvikio from benchmark.readers"
                )

    def close(self) -> None:
        """Wait until nobody needs the memory any more. Raises InputError if KvikIO's settings were changed meanwhile.

        This works before the end of the iteration, too.
        """
        self._starter.shutdown(cancel_futures=True)
        for read in self._reads:
            with contextlib.suppress(OSError):
                read.finish()
        self._device.finish(self._device.record(self._current))
        self._slots.clear()
        self._check_settings()


class _Read:
    """A sample that KvikIO reads, from the request on. Closes the file at its end."""

    def __init__(self, file: Any, path: Path, target: Any, size: int, offset: int) -> None:
        self._file, self._path, self._size = file, path, size
        self._future = file.pread(target, size, file_offset=offset)

    def finish(self) -> None:
        """Wait for the end. Raises OSError with the file's name."""
        try:
            received = self._future.get()
        except RuntimeError as error:
            raise OSError(errno.EIO, f"KvikIO: {' '.join(str(error).split())}", str(self._path)) from error
        finally:
            self._file.close()
        if received != self._size:
            raise OSError(errno.EIO, f"KvikIO read {received} of {self._size} bytes", str(self._path))
