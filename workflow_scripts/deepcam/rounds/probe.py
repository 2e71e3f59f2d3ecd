"""How fast the machine is at the moment: the same simple work each time, in a process that stays the same.

The numbers are not results. Their change over time shows how much of a difference between two configurations, or
between two runs of the workflow, is one of the machine.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import mmap
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from deepcam.data.npy import opener
from deepcam.files import flush, os_errors_as_input_errors
from deepcam.record.schema import Probe

MOST_READ_BYTES = 64 << 20
"""Number of bytes that the probe reads of a file. It limits the probe to about 0.1 s, whatever the size of the samples.

The probe reads them with a single call, as a reader reads a sample. Many small calls would each wait for the disk, and
a busy disk would slow them down much more than it slows down a reader."""

COPIED_BYTES = 32 << 20
"""Larger than the second-level cache of a core; on most CPUs also larger than its share of the last level."""

HASHED_BYTES = 8 << 20

REPETITIONS = 3
"""Of each piece of work; the median counts, because a single one is a matter of milliseconds."""


class MachineProbe:
    """Measures the machine's speed, and reads the samples of a place in turn while doing so."""

    def __init__(self, files: Mapping[str, Sequence[Path]]) -> None:
        self._files = {place: itertools.cycle(of_place) for place, of_place in files.items()}
        # At a page boundary, as O_DIRECT needs it, and in huge pages, as readers have it: only private memory has them.
        self._buffer = mmap.mmap(-1, MOST_READ_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._buffer.madvise(mmap.MADV_HUGEPAGE)
        self._source = np.ones(COPIED_BYTES, np.uint8)
        self._target = np.zeros(COPIED_BYTES, np.uint8)
        self._hashed = bytes(HASHED_BYTES)

    def __call__(self, place: str) -> Probe:
        """Take about 0.1 s. Raises InputError if a sample cannot be read."""
        return Probe(
            storage_bytes_per_second=self._read(next(self._files[place])),
            memory_bytes_per_second=_rate(COPIED_BYTES, lambda: np.copyto(self._target, self._source)),
            hashing_bytes_per_second=_rate(HASHED_BYTES, lambda: hashlib.sha256(self._hashed).digest()),
        )

    def _read(self, path: Path) -> float:
        """Bytes per second of reading from the start of a file, past the page cache where the file system can."""
        with os_errors_as_input_errors(path), open(path, "rb", buffering=0, opener=_open_direct) as file:
            flush(file.fileno())  # the kernel keeps dirty pages
            seconds = []
            for _ in range(REPETITIONS):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                file.seek(0)
                started = time.perf_counter()
                count = file.readinto(self._buffer)
                seconds.append(time.perf_counter() - started)
            return count / statistics.median(seconds)


def _open_direct(path: str, flags: int) -> int:
    try:
        return opener(path, flags | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return opener(path, flags)


def _rate(count: int, work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return count / statistics.median(seconds)
