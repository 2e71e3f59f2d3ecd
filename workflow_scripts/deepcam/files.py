"""Files that are either complete or absent: atomic writes, locks, and hashes."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from deepcam.errors import InputError

log = logging.getLogger(__name__)

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk and an exhausted quota."""

NOTHING_TO_FLUSH = (errno.EINVAL, errno.EROFS, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of fsync(2) on file systems that have nothing to flush: squashfs, erofs and others that are never written."""

TEMPORARY = ".part"
"""Suffix of a file that is being written. A process that holds the folder's lock may delete files left by another."""

_libc = ctypes.CDLL(None)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`. On success it is flushed to storage and renamed, on failure deleted.

    Raises InputError if the disk is full, or if the operating system refuses to make the file.
    """
    path = Path(path)
    temporary = path.with_name(path.name + TEMPORARY)
    with os_errors_as_input_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            publish(temporary, path)
        finally:
            with contextlib.suppress(OSError):  # the error that ends the block says more
                temporary.unlink(missing_ok=True)


def start_writeback(descriptor: int) -> None:
    """Let the kernel start to write an open file to storage, without waiting, so that the later flush is short.

    Calls sync_file_range(2) with SYNC_FILE_RANGE_WRITE. Failures are ignored: they cost only time.
    """
    _libc.sync_file_range(descriptor, 0, 0, 2)


def publish(temporary: Path, path: Path) -> None:
    """Flush a finished file to storage, then rename it to `path`."""
    with open(temporary, "rb") as file:
        flush(file.fileno())
    temporary.replace(path)


def flush(descriptor: int) -> None:
    """Wait until an open file is on storage, if its file system is one that can be written."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOTHING_TO_FLUSH:
            raise


@contextlib.contextmanager
def full_disk_as_input_error(path: Path) -> Iterator[None]:
    """Turn the OSError of a full disk or an exhausted quota into an InputError that names `path` and the free bytes."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        free = shutil.disk_usage(path.parent).free
        raise InputError(f"{path}: no space left ({free:,} bytes free): make room and run again") from error


@contextlib.contextmanager
def os_errors_as_input_errors(path: Path) -> Iterator[None]:
    """Turn any OSError into an InputError that names the file, or `path` if the error has none, and the reason.

    The reason lies in the environment, such as a permission or a read-only file system, so nothing is to be deleted.
    """
    with full_disk_as_input_error(path):
        try:
            yield
        except OSError as error:
            if error.errno in FULL_DISK:
                raise
            place, reason = error.filename or path, error.strerror or " ".join(str(error).split())
            raise InputError(f"{place}: {reason}: correct this, or choose another folder, and run again") from error


def require_space(folder: Path, needed: int) -> None:
    """Raise InputError unless the folder's file system has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: needs {needed:,} bytes, {free:,} are free: make room, or set data.dir to a larger disk"
        )


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically. Raises ValueError for NaN and infinity, which JSON does not have."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Write pieces of text one after the other as UTF-8, atomically, without joining them in memory."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(pieces)


@contextlib.contextmanager
def locked(path: Path | str, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on `path`, waiting for it if necessary. The kernel frees it when the process dies.

    Without `wait`, a lock that another process holds raises BlockingIOError. A file system without locks, as some
    network file systems are, is reported, and the lock is left out. Raises InputError if the file cannot be opened.
    """
    path = Path(path)
    with os_errors_as_input_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _open_lock(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:
            log.warning("%s: this file system has no locks (%s): start only one run at a time on it", path, error)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        # Another user's file in a world-writable folder, or one on a file system that has become read-only.
        with contextlib.suppress(OSError):
            return os.open(path, os.O_RDONLY)
        raise


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically. Bytes of file names that are not UTF-8 become escape sequences."""
    # Python holds the bytes of a name that the locale cannot decode as surrogates, which UTF-8 does not have.
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    with atomic_path(path) as temporary:
        temporary.write_text(readable, encoding="utf-8")


def append(path: Path, content: bytes) -> None:
    """Add `content` to a file in one write, so that threads do not mix their lines.

    A process that is killed may leave an incomplete line.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def read_lines(path: Path | str, header: str) -> list[tuple[int, str]]:
    """Return the lines below the header with their numbers, starting at 2.

    Raises InputError if the file cannot be read or its first line is not `header`.
    """
    try:
        with os_errors_as_input_errors(Path(path)):
            lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read ({error}): delete it and run again") from error
    if not lines or lines[0] != header:
        raise InputError(f"{path}, line 1: the header is not {header!r}: delete the file and run again")
    return list(enumerate(lines[1:], start=2))


def read_bytes(path: Path | str, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises InputError for a larger one, for what cannot be read, and for what is no file, such as a FIFO, which would
    make the reader wait.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{path}: not a regular file; remove it")
            if status.st_size > most:
                raise InputError(f"{path}: has {status.st_size:,} bytes, but at most {most:,} are read; remove it")
            return file.read(status.st_size)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); repair or remove it") from None


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
