"""Threads that read chunks of samples with preadv(2), into a ring of batches, or into buffers that are then discarded.

O_DIRECT needs file offsets, memory addresses and lengths that are multiples of the block size, but the samples of a
batch are adjacent, without the npy headers between them. Both are possible because a sample is a whole number of
blocks: byte `o` of every file goes to an address `o` past a block boundary. Only the block with the header and the
incomplete block at the end of the file would overwrite a neighbour, so they are read into a scratch buffer, in the same
system call.
"""

from __future__ import annotations

import collections
import errno
import math
import mmap
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepcam.benchmark.readers import Batch, Options, require_o_direct
from deepcam.data import npy
from deepcam.errors import InputError

BLOCK = 4096
"""O_DIRECT offsets, lengths and addresses are multiples of this many bytes. It suits every common file system."""


class PreadReader:
    """Yields batches in order. Its threads read ahead as long as there are free buffers."""

    processes = ()

    def __init__(self, files: Sequence[Path], options: Options, discard: bool) -> None:
        self._files = list(files)
        self._options = options
        # All files have the header of the first, so that the samples of a batch are adjacent.
        self._header = npy.read_data_header(self._files[0], options.sample_shape).content
        self._sample_bytes = math.prod(options.sample_shape) * 4
        self._file_bytes = len(self._header) + self._sample_bytes
        if self._sample_bytes % BLOCK:
            raise InputError(f"sample shape {options.sample_shape}: not a whole number of {BLOCK}-byte blocks")
        # Without waiting for the writer of a FIFO that has taken a file's place.
        self._flags = os.O_RDONLY | os.O_NONBLOCK | (os.O_DIRECT if options.cold else 0)
        if options.cold:
            require_o_direct(self._files[0], "a cold cache", "cold from benchmark.cache")
        self._chunk = blocks(math.ceil(self._file_bytes / options.intra_threads))
        self._batches = math.ceil(len(self._files) / options.batch_size)
        # Enough buffers for the samples in flight, one that is ready, and one that the consumer uses.
        depth = 0 if discard else min(math.ceil(options.inter_threads / options.batch_size) + 2, self._batches)
        self._slots = self._make_slots(depth)
        threads = options.inter_threads * options.intra_threads
        self.details: dict[str, Any] = {
            "num_threads": threads,
            "o_direct": options.cold,
            "chunk_bytes": self._chunk,
            "buffers": depth or threads,
        }

        self._state = threading.Condition()
        self._tasks = iter([(i, o) for i in range(len(self._files)) for o in range(0, self._file_bytes, self._chunk)])
        self._chunks_left = [math.ceil(self._file_bytes / self._chunk)] * len(self._files)
        self._samples_left = [
            min(options.batch_size, len(self._files) - start)
            for start in range(0, len(self._files), options.batch_size)
        ]
        self._descriptors: dict[int, int] = {}
        self._opening = threading.Lock()
        self._limit = 0  # batches below this number may be read
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, args=(self._chunk_reader(discard),), daemon=True)
            for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _make_slots(self, depth: int) -> list[Any]:
        return [page_buffer(self._options.batch_size * self._sample_bytes + BLOCK) for _ in range(depth)]

    def __iter__(self) -> Iterator[Batch]:
        size, ahead = self._options.batch_size, len(self._slots) or self._batches
        for i in range(self._batches):
            with self._state:
                self._limit = i + ahead  # the consumer has released the buffer of batch i - 1
                self._state.notify_all()
                self._state.wait_for(lambda i=i: self._error is not None or self._samples_left[i] == 0)
                if self._error is not None:
                    raise self._error
            names = [str(path) for path in self._files[i * size : (i + 1) * size]]
            yield Batch(names, self._array(i, len(names)) if self._slots else None)

    def _array(self, batch: int, size: int) -> np.ndarray:
        memory = self._slots[batch % len(self._slots)]
        data = memory[len(self._header) : len(self._header) + size * self._sample_bytes]
        return data.view(np.float32).reshape(size, *self._options.sample_shape)

    def _chunk_reader(self, discard: bool) -> Callable[[int, int], None]:
        """A function with memory for one thread. It reads a chunk, given by sample and offset, to where it belongs."""
        scratch, discarded = page_buffer(2 * BLOCK), page_buffer(self._chunk) if discard else None

        def read(sample: int, offset: int) -> None:
            if discarded is not None:
                target = discarded
            else:
                batch, place = divmod(sample, self._options.batch_size)
                target = self._slots[batch % len(self._slots)][place * self._sample_bytes + offset :]
            self._read(sample, offset, target, scratch)

        return read

    def _work(self, read: Callable[[int, int], None]) -> None:
        """Run one thread, which reads chunks with `read`."""
        try:
            while (task := self._next_task()) is not None:
                sample, offset = task
                read(sample, offset)
                self._finish_chunk(sample)
        except BaseException as error:
            if isinstance(error, OSError) and error.filename is None:  # preadv knows only a descriptor
                error.filename = str(self._files[sample])
            with self._state:
                self._error = self._error or error
                self._state.notify_all()

    def _next_task(self) -> tuple[int, int] | None:
        """Return the next chunk (sample, file offset) when its batch has a buffer; None after the last or an error."""
        with self._state:
            task = next(self._tasks, None)
            if task is None:
                return None
            batch = task[0] // self._options.batch_size
            self._state.wait_for(lambda: self._error is not None or batch < self._limit)
            return task if self._error is None else None

    def _descriptor(self, sample: int) -> int:
        """Return the sample's open file. Its chunks share it, because opening costs a round trip on network storage."""
        with self._opening:
            if sample not in self._descriptors:
                self._descriptors[sample] = os.open(self._files[sample], self._flags)
            return self._descriptors[sample]

    def _finish_chunk(self, sample: int) -> None:
        with self._state:
            self._chunks_left[sample] -= 1
            if self._chunks_left[sample] == 0:
                os.close(self._descriptors.pop(sample))
                self._samples_left[sample // self._options.batch_size] -= 1
                self._state.notify_all()

    def _read(self, sample: int, offset: int, target: np.ndarray, scratch: np.ndarray) -> None:
        """Read the chunk at `offset` of the file into `target`, from its index 0."""
        end = min(offset + self._chunk, self._file_bytes)
        first = offset + BLOCK if offset == 0 else offset
        last = max(end // BLOCK * BLOCK, first)
        views = [
            scratch[: first - offset],
            target[first - offset : last - offset],
            scratch[BLOCK : BLOCK + blocks(end - last)],
        ]
        views = [view for view in views if view.size]
        self._read_all(sample, views, offset, end - offset)
        if offset == 0:
            self._check_header(sample, scratch)
            target[len(self._header) : first] = scratch[len(self._header) : first]
        target[last - offset : end - offset] = scratch[BLOCK : BLOCK + end - last]

    def _read_all(self, sample: int, views: list[np.ndarray], offset: int, length: int) -> None:
        if read_fully(self._descriptor(sample), views, offset, length) != length:
            raise OSError(errno.EIO, "file changed its length while it was read", str(self._files[sample]))

    def _check_header(self, sample: int, start: np.ndarray) -> None:
        """Raise InputError if the file, which begins with the bytes `start`, has not the header of the first one."""
        if start[: len(self._header)].tobytes() != self._header:
            raise InputError(
                f"{self._files[sample]}: its npy header differs from that of {self._files[0]}; make it again"
            )

    def close(self) -> None:
        """Stop the threads, even if the iteration has not reached its end."""
        with self._state:
            self._error = self._error or RuntimeError("reader is closed")
            self._state.notify_all()
        for thread in self._threads:
            thread.join()
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._slots.clear()


def read_fully(descriptor: int, views: list[np.ndarray], offset: int, length: int) -> int:
    """Read from `offset` into `views`, one after another. Returns the number of bytes: `length`, or less at the end."""
    remaining = collections.deque(views)
    received = os.preadv(descriptor, remaining, offset)
    total = received
    while received and total < length:
        # Short reads are legal. With O_DIRECT they are whole blocks, except at the end of the file.
        while received >= remaining[0].size:
            received -= remaining.popleft().size
        remaining[0] = remaining[0][received:]
        received = os.preadv(descriptor, remaining, offset + total)
        total += received
    return total


def page_buffer(size: int) -> np.ndarray:
    """Allocate `size` bytes from a block boundary. Every page is touched, so no page fault happens while timing."""
    # A private mapping, which alone can get huge pages; these allow large O_DIRECT requests and cheap copies.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    array = np.frombuffer(memory, np.uint8)
    array[::BLOCK] = 0
    return array


def blocks(length: int) -> int:
    """Round up to whole blocks."""
    return math.ceil(length / BLOCK) * BLOCK
