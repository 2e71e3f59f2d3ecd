"""The kernel's page cache: evict files from it, load files into it, and count resident pages."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

from deepcam.data.npy import opener
from deepcam.files import flush, os_errors_as_input_errors

_CACHESTAT = 451
"""System call number of cachestat(2) on every architecture. Available in Linux 6.5 and later."""

DROP_CACHES = Path("/proc/sys/vm/drop_caches")

_libc = ctypes.CDLL(None, use_errno=True)


class _Range(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _Counts(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("cache", "dirty", "writeback", "evicted", "recently_evicted"))


def evict(files: Iterable[Path]) -> None:
    """Drop each file's pages from the page cache. Needs no root. Pages that a process has mapped stay.

    Raises InputError naming the first file that cannot be read.
    """
    for path in files:
        with os_errors_as_input_errors(path), open(path, "rb", buffering=0, opener=opener) as file:
            flush(file.fileno())  # the kernel keeps dirty pages
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def drop_all() -> None:
    """Drop the whole machine's clean page cache, directory entries and inodes. Needs root, see `may_drop_all`."""
    DROP_CACHES.write_text("3\n", encoding="ascii")


def may_drop_all() -> bool:
    """Return whether this process may call `drop_all`."""
    return os.access(DROP_CACHES, os.W_OK)


def preload(files: Iterable[Path]) -> None:
    """Load each file into the page cache by reading it once. Raises InputError like `evict`."""
    buffer = bytearray(4 << 20)
    for path in files:
        with os_errors_as_input_errors(path), open(path, "rb", buffering=0, opener=opener) as file:
            while file.readinto(buffer):
                pass


def resident_fraction(files: Iterable[Path]) -> float:
    """Return the fraction of the files' pages that are in the page cache, 0 to 1. Raises InputError like `evict`."""
    resident = total = 0
    for path in files:
        with os_errors_as_input_errors(path):
            pages = math.ceil(path.stat().st_size / mmap.PAGESIZE)
            total += pages
            resident += _resident_pages(path, pages)
    return resident / total if total else 0.0


def _resident_pages(path: Path, pages: int) -> int:
    if pages == 0:
        return 0
    descriptor = os.open(path, os.O_RDONLY)
    try:
        counts = _Counts()
        span = _Range(0, 0)  # length 0: to the end of the file
        if _libc.syscall(_CACHESTAT, descriptor, ctypes.byref(span), ctypes.byref(counts), 0) == 0:
            return min(counts.cache, pages)  # folios, which it counts, can reach beyond the end of the file
        return _mincore(descriptor, pages)
    finally:
        os.close(descriptor)


def _mincore(descriptor: int, pages: int) -> int:
    """Count resident pages on kernels before 6.5. The mapping is never accessed, so no page is loaded."""
    # The mapping is private and writable because ctypes cannot take the address of a read-only one.
    with mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as view:
        address = ctypes.c_char.from_buffer(view)
        try:
            vector = (ctypes.c_ubyte * pages)()
            if _libc.mincore(ctypes.byref(address), ctypes.c_size_t(len(view)), vector) != 0:
                raise OSError(ctypes.get_errno(), "mincore")
            return sum(value & 1 for value in vector)
        finally:
            del address
