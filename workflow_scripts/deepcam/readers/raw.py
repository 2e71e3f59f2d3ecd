"""The ceiling: the bytes of each sample read into reused buffers and thrown away.

`inter_threads * intra_threads` threads take chunks in order, a sample being `intra_threads` chunks, so that about
`inter_threads` samples are in flight. Cold cells read with O_DIRECT where the file system takes it: a cold page
cache is then no part of the way. Each thread has one page-aligned buffer of the size of a chunk.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepcam.readers import Batch, Options

ALIGNMENT = 4096
"""Bytes that O_DIRECT offsets, lengths and addresses are multiples of: fits every common file system."""


def open_reader(name: str, files: Sequence[Path], options: Options) -> RawReader:
    """Threads that wait until iteration starts."""
    return RawReader(files, options)


class RawReader:
    """Reads whole files, header included, chunk by chunk; batches come in order."""

    def __init__(self, files: Sequence[Path], options: Options) -> None:
        self._files = list(files)
        self._batch_size = options.batch_size
        self._threads = options.inter_threads * options.intra_threads
        self._flags = os.O_RDONLY | (os.O_DIRECT if options.cold and takes_o_direct(files[0]) else 0)
        sizes = {path: path.stat().st_size for path in set(self._files)}
        self._sizes = [sizes[path] for path in self._files]
        self._chunk = _round_up(math.ceil(max(self._sizes) / options.intra_threads))
        self._buffers = [mmap.mmap(-1, self._chunk) for _ in range(self._threads)]
        for buffer in self._buffers:  # page faults belong outside the clock
            buffer[:: mmap.PAGESIZE] = bytes(len(buffer[:: mmap.PAGESIZE]))
        self.details: dict[str, Any] = {
            "num_threads": self._threads,
            "o_direct": bool(self._flags & os.O_DIRECT),
            "chunk_bytes": self._chunk,
        }

    def __iter__(self) -> Iterator[Batch]:
        tasks = [
            (i, offset, min(self._chunk, size - offset))
            for i, size in enumerate(self._sizes)
            for offset in range(0, size, self._chunk)
        ]
        left = [-(-size // self._chunk) for size in self._sizes]
        done: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
        todo = iter(tasks)
        lock = threading.Lock()

        def work(buffer: mmap.mmap) -> None:
            view = memoryview(buffer)
            try:
                while True:
                    with lock:
                        task = next(todo, None)
                    if task is None:
                        return
                    i, offset, length = task
                    self._read(self._files[i], offset, length, view)
                    done.put(i)
            except BaseException as error:
                done.put(error)

        threads = [threading.Thread(target=work, args=(buffer,), daemon=True) for buffer in self._buffers]
        for thread in threads:
            thread.start()
        for start in range(0, len(self._files), self._batch_size):
            batch = range(start, min(start + self._batch_size, len(self._files)))
            while any(left[i] for i in batch):
                finished = done.get()
                if isinstance(finished, BaseException):
                    raise finished
                left[finished] -= 1
            yield Batch([str(self._files[i]) for i in batch], None)
        for thread in threads:
            thread.join()

    def _read(self, path: Path, offset: int, length: int, view: memoryview) -> None:
        descriptor = os.open(path, self._flags)
        try:
            # O_DIRECT wants a whole number of blocks also where the file ends within one.
            received = os.preadv(descriptor, [view[: _round_up(length)]], offset)
            while received < length:
                # A short read is legal; its rest is aligned unless the file ended.
                more = os.preadv(descriptor, [view[received : _round_up(length)]], offset + received)
                if more == 0:
                    raise OSError(errno.EIO, "file became shorter while it was read", str(path))
                received += more
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._buffers.clear()


def takes_o_direct(path: Path) -> bool:
    """Whether the file system of `path` takes O_DIRECT; tmpfs, for one, may not."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def _round_up(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT
