"""Chunked upload to a GPU: each thread of `pread` copies what it has read to its place on the device, chunk by chunk.

A thread has a few page-locked chunks and a stream. A chunk is small enough to stay in the caches between the read call
that fills it and the copy that empties it. Whole batches on the host would pass through memory twice more.

These rules keep the order, since copies run later than the host that queues them:

- A thread fills a chunk only after the chunk's last copy has ended.
- The copies into a batch wait until the device has used up the batch that had the same memory.
- The device uses a batch only after all copies into it.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deepcam.benchmark.readers import Batch, Options
from deepcam.benchmark.readers.preadv import PreadReader, blocks, page_buffer

CHUNK_BYTES = 8 * 2**20
"""Eight threads delivered 36 GB/s from the page cache to an H200, 30 in chunks of half the size, and 28 of twice it."""

CHUNKS = 2
"""Of each thread: one is copied while the other is filled."""


class Copies(Protocol):
    """What a reader needs of a device: memory, streams of copies, and events that order them."""

    def bind(self) -> None:
        """Make it the device of this thread, which knows none of its own."""

    def batch(self, shape: Sequence[int]) -> Any:
        """Memory of the device for a batch, float32."""

    def chunk(self, size: int) -> np.ndarray:
        """Page-locked memory of the host. `release` takes it back."""

    def release(self, chunk: np.ndarray) -> None: ...

    def stream(self) -> Any:
        """A new stream."""

    def current_stream(self) -> Any:
        """The stream on which batches are used."""

    def copy(self, stream: Any, source: np.ndarray, batch: Any, start: int) -> None:
        """Queue a copy of bytes to byte `start` of a batch."""

    def record(self, stream: Any) -> Any:
        """An event that happens when all that is queued on the stream has ended."""

    def wait(self, stream: Any, event: Any) -> None:
        """Let what is queued on the stream from now on wait for an event."""

    def finish(self, event: Any) -> None:
        """Let the host wait for an event."""


class ChunkReader(PreadReader):
    """Reads chunks that stay in the caches. The details are those of `PreadReader`, and the size of these chunks."""

    def __init__(self, files: Sequence[Path], options: Options, discard: bool) -> None:
        super().__init__(files, options, discard)
        self.details["upload_chunk_bytes"] = self._chunk_bytes()

    def _chunk_bytes(self) -> int:
        return min(CHUNK_BYTES, self._chunk)

    def _chunks_at(self, offset: int) -> Iterator[tuple[int, int]]:
        """File offset and length of each chunk of what a thread reads from `offset`."""
        end = min(offset + self._chunk, self._file_bytes)
        return ((start, min(self._chunk_bytes(), end - start)) for start in range(offset, end, self._chunk_bytes()))

    def _fill(self, chunk: np.ndarray, sample: int, start: int, length: int) -> None:
        self._read_all(sample, [chunk[: blocks(length)]], start, length)
        if start == 0:
            self._check_header(sample, chunk)


class DiscardReader(ChunkReader):
    """Makes the reads of `UploadReader`, and discards the bytes."""

    def __init__(self, files: Sequence[Path], options: Options) -> None:
        super().__init__(files, options, discard=True)

    def _chunk_reader(self, discard: bool) -> Callable[[int, int], None]:
        chunk = page_buffer(self._chunk_bytes())

        def read(sample: int, offset: int) -> None:
            for start, length in self._chunks_at(offset):
                self._fill(chunk, sample, start, length)

        return read


class UploadReader(ChunkReader):
    """Yields batches on a device, in order."""

    def __init__(self, files: Sequence[Path], options: Options, device: Copies) -> None:
        self._device = device
        self._current = device.current_stream()
        self._chunks: list[np.ndarray] = []
        self._last_copies: list[list[Any]] = []
        # Whatever had a batch's memory before, in an earlier reader too, has been queued on this stream.
        before = device.record(self._current)
        self._unused: dict[int, Any] = collections.defaultdict(lambda: before)
        self._copied: dict[int, list[Any]] = collections.defaultdict(list)
        super().__init__(files, options, discard=False)

    def _make_slots(self, depth: int) -> list[Any]:
        return [self._device.batch((self._options.batch_size, *self._options.sample_shape)) for _ in range(depth)]

    def _array(self, batch: int, size: int) -> Any:
        return self._slots[batch % len(self._slots)][:size]

    def __iter__(self) -> Iterator[Batch]:
        for number, batch in enumerate(super().__iter__()):
            for event in self._copied.pop(number):
                self._device.wait(self._current, event)
            yield batch
            self._unused[number % len(self._slots)] = self._device.record(self._current)

    def _chunk_reader(self, discard: bool) -> Callable[[int, int], None]:
        stream, number = self._device.stream(), 0
        chunks = [self._device.chunk(self._chunk_bytes()) for _ in range(CHUNKS)]
        self._chunks += chunks
        copied = [self._device.record(stream)] * CHUNKS  # of each chunk, the last copy
        self._last_copies.append(copied)

        def read(sample: int, offset: int) -> None:
            nonlocal number
            self._device.bind()
            batch, place = divmod(sample, self._options.batch_size)
            slot = batch % len(self._slots)
            self._device.wait(stream, self._unused[slot])
            for start, length in self._chunks_at(offset):
                number = (number + 1) % CHUNKS
                self._device.finish(copied[number])
                self._fill(chunks[number], sample, start, length)
                data = chunks[number][len(self._header) if start == 0 else 0 : length]
                target = place * self._sample_bytes + max(0, start - len(self._header))
                self._device.copy(stream, data, self._slots[slot], target)
                copied[number] = self._device.record(stream)
            self._copied[batch].append(copied[number])

        return read

    def close(self) -> None:
        """Stop the threads, and wait until the device needs neither chunks nor batches any more."""
        super().close()
        for event in [*itertools.chain(*self._last_copies), self._device.record(self._current)]:
            self._device.finish(event)
        for chunk in self._chunks:
            self._device.release(chunk)
        self._chunks.clear()


class CudaCopies:
    """The GPU cuda:N. Page-locked chunks are kept for the next reader, because locking memory takes long."""

    _free: dict[int, list[np.ndarray]] = collections.defaultdict(list)  # noqa: RUF012 shared by all readers of a process

    def __init__(self, name: str) -> None:
        import torch
        from cuda.bindings import driver

        self._torch, self._driver, self._name = torch, driver, name

    def bind(self) -> None:
        self._torch.cuda.set_device(self._name)

    def batch(self, shape: Sequence[int]) -> Any:
        return self._torch.empty(tuple(shape), device=self._name)

    def chunk(self, size: int) -> np.ndarray:
        if self._free[size]:
            return self._free[size].pop()
        memory = page_buffer(size)  # with huge pages, which CUDA's own page-locked memory does not have
        self._torch.cuda.check_error(int(self._torch.cuda.cudart().cudaHostRegister(memory.ctypes.data, size, 0)))
        return memory

    def release(self, chunk: np.ndarray) -> None:
        self._free[len(chunk)].append(chunk)

    def stream(self) -> Any:
        return self._torch.cuda.Stream(self._name)

    def current_stream(self) -> Any:
        return self._torch.cuda.current_stream(self._name)

    def copy(self, stream: Any, source: np.ndarray, batch: Any, start: int) -> None:
        # PyTorch's own copy runs more Python code, in which only one thread can be at a time: 27 instead of 36 GB/s.
        target = batch.data_ptr() + start
        (error,) = self._driver.cuMemcpyHtoDAsync(target, source.ctypes.data, len(source), stream.cuda_stream)
        if error != self._driver.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"cuMemcpyHtoDAsync failed: {error}")

    def record(self, stream: Any) -> Any:
        event = self._torch.cuda.Event(blocking=True)
        event.record(stream)
        return event

    def wait(self, stream: Any, event: Any) -> None:
        stream.wait_event(event)

    def finish(self, event: Any) -> None:
        event.synchronize()
