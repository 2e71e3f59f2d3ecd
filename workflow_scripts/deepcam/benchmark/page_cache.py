"""The kernel's page cache: evict files from it, load files into it, and count resident pages."""

from __future__ import annotations

import ctypes
import errno
import math
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

from deepcam.data.npy import opener
from deepcam.errors import InputError
from deepcam.files import flush, os_errors_as_input_errors

_CACHESTAT = 451
"""System call number of cachestat(2) on every architecture. Available in Linux 6.5 and later."""

DROP_CACHES = Path("/proc/sys/vm/drop_caches")

PROBED_PAGES = 128
"""Largest number of pages of a file that are probed where the kernel does not count them."""

_LOWEST_BIT = bytes(value & 1 for value in range(256))
"""Of an entry of mincore's vector, which alone has a meaning."""

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
    """Return the fraction of the files' pages that are in the page cache, 0 to 1.

    Raises InputError like `evict`, and for a file whose pages the kernel shows to nobody but its owner.
    """
    resident = 0.0
    total = 0
    for path in files:
        with os_errors_as_input_errors(path):
            pages = math.ceil(path.stat().st_size / mmap.PAGESIZE)
            total += pages
            resident += _resident_share(path, pages) * pages
    return resident / total if total else 0.0


def _resident_share(path: Path, pages: int) -> float:
    """Ask the kernel, which is exact; for another user's read-only file, about which it is silent, probe some pages."""
    if pages == 0:
        return 0.0
    descriptor = os.open(path, os.O_RDONLY)
    try:
        counted = _cachestat(descriptor, pages)
        if counted:
            return counted / pages
        # None can also mean that the pages are those of another file, as on overlayfs. Only mincore follows it there,
        # and it calls all pages of another user's read-only file resident.
        owned = os.geteuid() in (0, os.fstat(descriptor).st_uid) or os.access(path, os.W_OK, effective_ids=True)
        return _mincore(descriptor, pages) / pages if owned else _probe(descriptor, path, pages)
    finally:
        os.close(descriptor)


def _cachestat(descriptor: int, pages: int) -> int | None:
    """Count resident pages; None if the kernel is older than 6.5, or shows them to nobody but the file's owner."""
    counts = _Counts()
    span = _Range(0, pages * mmap.PAGESIZE)  # without an end, pages of a large folio behind the file would count too
    if _libc.syscall(_CACHESTAT, descriptor, ctypes.byref(span), ctypes.byref(counts), 0) != 0:
        return None
    return counts.cache


def _mincore(descriptor: int, pages: int) -> int:
    """Count resident pages one by one. The mapping is never accessed, so no page is loaded."""
    # The mapping is private and writable because ctypes cannot take the address of a read-only one.
    with mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as view:
        address = ctypes.c_char.from_buffer(view)
        try:
            vector = (ctypes.c_ubyte * pages)()
            if _libc.mincore(ctypes.byref(address), ctypes.c_size_t(len(view)), vector) != 0:
                raise OSError(ctypes.get_errno(), "mincore")
            return pages - bytes(vector).translate(_LOWEST_BIT).count(0)
        finally:
            del address


def _probe(descriptor: int, path: Path, pages: int) -> float:
    """Share of a sample of pages that can be read without waiting.

    A missing page is read by the attempt, so it is dropped afterwards.
    """
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead
    sample = range(0, pages, math.ceil(pages / PROBED_PAGES))
    byte = bytearray(1)
    missing = []
    for offset in (page * mmap.PAGESIZE for page in sample):
        try:
            os.preadv(descriptor, [byte], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            missing.append(offset)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            raise InputError(
                f"{path}: belongs to another user, and its file system does not show which of its pages are in the "
                "page cache; copy the files, or run as their owner"
            ) from None
    for offset in missing:
        os.pread(descriptor, 1, offset)  # waits until the page is there: the kernel does not drop it earlier
        os.posix_fadvise(descriptor, offset, mmap.PAGESIZE, os.POSIX_FADV_DONTNEED)
    return 1 - len(missing) / len(sample)
