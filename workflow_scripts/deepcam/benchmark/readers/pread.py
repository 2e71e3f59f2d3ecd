"""Our own reader: threads that preadv straight into batch buffers, with no copy after that on the host.

`inter_threads * intra_threads` threads take chunks in order, a sample being `intra_threads` chunks, so that about
`inter_threads` samples are in flight. Cold cells read with O_DIRECT: a cold page cache is then no part of the way.

pread: a ring of batch buffers. pread-discard: the same reads into one buffer per thread, thrown away; the ceiling.

How a sample reaches its place: O_DIRECT wants file offset, memory address and length in whole blocks, but the samples
of a batch lie back to back, without the npy headers between them. Both fit, as a sample is a whole number of blocks:
byte `o` of the file goes to address `o` past a block boundary, for every sample of the batch. Only the block with the
header and the part of a block at the end of the file would overwrite a neighbour; they go through a scratch buffer,
in the same system call.
"""

from __future__ import annotations

import collections
import errno
import io
import math
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepcam.benchmark.readers import Batch, Options
from deepcam.benchmark.readers.staging import pinned, staged
from deepcam.errors import InputError

BLOCK = 4096
"""Bytes that O_DIRECT offsets, lengths and addresses are multiples of: fits every common file system."""


def open_reader(name: str, files: Sequence[Path], options: Options) -> PreadReader:
    """Threads that wait until iteration starts. InputError where O_DIRECT is wanted and refused."""
    return PreadReader(files, options, discard=name == "pread-discard")


def npy_header(shape: Sequence[int]) -> bytes:
    """What precedes the data of a C-ordered float32 array in npy format version 1."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)})
    return buffer.getvalue()


class PreadReader:
    """Batches in order, read by threads that run ahead as far as there are free buffers."""

    processes = ()

    def __init__(self, files: Sequence[Path], options: Options, discard: bool) -> None:
        self._files = list(files)
        self._options = options
        self._header = npy_header(options.sample_shape)
        self._sample_bytes = math.prod(options.sample_shape) * 4
        self._file_bytes = len(self._header) + self._sample_bytes
        if self._sample_bytes % BLOCK:
            raise InputError(f"sample shape {options.sample_shape}: not a whole number of {BLOCK}-byte blocks")
        self._flags = os.O_RDONLY | (os.O_DIRECT if options.cold else 0)
        if options.cold:
            _check_o_direct(self._files[0])
        self._chunk = _blocks(math.ceil(self._file_bytes / options.intra_threads))
        self._batches = -(-len(self._files) // options.batch_size)
        # Enough buffers for the samples in flight, one that is ready, and one in the consumer's hands.
        depth = 0 if discard else min(-(-options.inter_threads // options.batch_size) + 2, self._batches)
        self._slots = [_buffer(options.batch_size * self._sample_bytes + BLOCK, pinned(options)) for _ in range(depth)]
        threads = options.inter_threads * options.intra_threads
        self.details: dict[str, Any] = {
            "num_threads": threads,
            "o_direct": options.cold,
            "chunk_bytes": self._chunk,
            "buffers": depth or threads,
        }

        self._state = threading.Condition()
        self._tasks = iter([(i, o) for i in range(len(self._files)) for o in range(0, self._file_bytes, self._chunk)])
        self._chunks_left = [-(-self._file_bytes // self._chunk)] * len(self._files)
        self._samples_left = [
            min(options.batch_size, len(self._files) - start)
            for start in range(0, len(self._files), options.batch_size)
        ]
        self._descriptors: dict[int, int] = {}
        self._opening = threading.Lock()
        self._limit = 0  # batches below it may be read
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(
                target=self._work, args=(_buffer(2 * BLOCK), _buffer(self._chunk) if discard else None), daemon=True
            )
            for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self._host_batches() if not self._slots else staged(self._host_batches(), self._options)

    def _host_batches(self) -> Iterator[Batch]:
        size, ahead = self._options.batch_size, len(self._slots) or self._batches
        for i in range(self._batches):
            with self._state:
                self._limit = i + ahead  # the buffer of batch i - 1 is free again
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

    def _work(self, scratch: np.ndarray, own: np.ndarray | None) -> None:
        """One thread: chunk by chunk into the sample's place in its batch, or into `own` to be thrown away."""
        try:
            while (task := self._next_task()) is not None:
                sample, offset = task
                if own is not None:
                    target = own
                else:
                    batch, place = divmod(sample, self._options.batch_size)
                    target = self._slots[batch % len(self._slots)][place * self._sample_bytes + offset :]
                self._read(sample, offset, target, scratch)
                self._finish_chunk(sample)
        except BaseException as error:
            with self._state:
                self._error = self._error or error
                self._state.notify_all()

    def _next_task(self) -> tuple[int, int] | None:
        """The next chunk (sample, file offset), once its batch has a buffer; None at the end, or where all stops."""
        with self._state:
            task = next(self._tasks, None)
            if task is None:
                return None
            batch = task[0] // self._options.batch_size
            self._state.wait_for(lambda: self._error is not None or batch < self._limit)
            return task if self._error is None else None

    def _descriptor(self, sample: int) -> int:
        """The sample's open file, shared by its chunks: on a network file system opening costs a round trip."""
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
        """One chunk into `target`, where the file's byte `offset` belongs at index 0."""
        end = min(offset + self._chunk, self._file_bytes)
        first = offset + BLOCK if offset == 0 else offset
        last = max(end // BLOCK * BLOCK, first)
        views = [
            scratch[: first - offset],
            target[first - offset : last - offset],
            scratch[BLOCK : BLOCK + _blocks(end - last)],
        ]
        views = [view for view in views if view.size]
        received = _read_fully(self._descriptor(sample), views, offset, end - offset)
        if received != end - offset:
            raise OSError(errno.EIO, "file changed its length while it was read", str(self._files[sample]))
        if offset == 0:
            if scratch[: len(self._header)].tobytes() != self._header:
                raise InputError(
                    f"{self._files[sample]}: not a float32 npy file of shape {self._options.sample_shape}; "
                    "delete it and run the workflow again"
                )
            target[len(self._header) : first] = scratch[len(self._header) : first]
        target[last - offset : end - offset] = scratch[BLOCK : BLOCK + end - last]

    def close(self) -> None:
        """Stop the threads, wherever they are; also after an iteration that was left early."""
        with self._state:
            self._error = self._error or RuntimeError("reader is closed")
            self._state.notify_all()
        for thread in self._threads:
            thread.join()
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._slots.clear()


def _read_fully(descriptor: int, views: list[np.ndarray], offset: int, length: int) -> int:
    """Bytes read from `offset` into `views` one after another: `length` unless the file ends elsewhere."""
    remaining = collections.deque(views)
    received = os.preadv(descriptor, remaining, offset)
    total = received
    while received and total < length:
        # A short read is legal; with O_DIRECT it is whole blocks, unless the file ended.
        while received >= remaining[0].size:
            received -= remaining.popleft().size
        remaining[0] = remaining[0][received:]
        received = os.preadv(descriptor, remaining, offset + total)
        total += received
    return total


def _buffer(size: int, pinned: bool = False) -> np.ndarray:
    """`size` bytes that start at a block boundary, every page present: page faults belong outside the clock."""
    if pinned:
        import torch

        memory = torch.empty(size + BLOCK, dtype=torch.uint8, pin_memory=True)
        return memory[-memory.data_ptr() % BLOCK :][:size].numpy()
    # Private: only then does the kernel give huge pages, which make large O_DIRECT requests and cheap copies.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    array = np.frombuffer(memory, np.uint8)
    array[::BLOCK] = 0
    return array


def _check_o_direct(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise InputError(
            f"{path}: its file system refuses O_DIRECT (tmpfs does), which cold cells need; "
            "move data.dir to another one, or take cold out of benchmark.cache"
        ) from None


def _blocks(length: int) -> int:
    return -(-length // BLOCK) * BLOCK
