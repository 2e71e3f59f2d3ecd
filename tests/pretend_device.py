"""A device whose copies run as late as they may, so that a wait that is missing always shows."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from deepcam.benchmark.readers.preadv import page_buffer


class Stream:
    """Work that is queued, in order. Nothing runs until somebody needs the end of it."""

    def __init__(self) -> None:
        self.work: collections.deque[Callable[[], None]] = collections.deque()
        self.queued = self.done = 0

    def add(self, work: Callable[[], None]) -> None:
        self.work.append(work)
        self.queued += 1


class PretendDevice:
    """The `Copies` of upload.py on a device that copies as late as its events allow."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.used = Stream()
        self.chunks: list[np.ndarray] = []
        self.released = 0
        self.bound: set[int] = set()

    def bind(self) -> None:
        self.bound.add(threading.get_ident())

    def batch(self, shape: Sequence[int]) -> np.ndarray:
        return np.full(shape, np.nan, np.float32)

    def chunk(self, size: int) -> np.ndarray:
        with self.lock:
            self.chunks.append(page_buffer(size))
            return self.chunks[-1]

    def release(self, chunk: np.ndarray) -> None:
        chunk[:] = 0xFF
        self.released += 1

    def stream(self) -> Stream:
        return Stream()

    def current_stream(self) -> Stream:
        return self.used

    def copy(self, stream: Stream, source: np.ndarray, batch: np.ndarray, start: int) -> None:
        target = batch.reshape(-1).view(np.uint8)[start : start + len(source)]
        with self.lock:
            stream.add(lambda: np.copyto(target, source))

    def record(self, stream: Stream) -> tuple[Stream, int]:
        with self.lock:
            return stream, stream.queued

    def wait(self, stream: Stream, event: tuple[Stream, int]) -> None:
        with self.lock:
            stream.add(lambda: self._run(event))

    def finish(self, event: tuple[Stream, int]) -> None:
        self._run(event)

    def _run(self, event: tuple[Stream, int]) -> None:
        stream, end = event
        with self.lock:
            while stream.done < end:
                stream.done += 1
                stream.work.popleft()()

    def use(self, work: Callable[[], Any]) -> None:
        """Queue work that uses a batch."""
        with self.lock:
            self.used.add(work)
