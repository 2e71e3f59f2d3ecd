"""Files that are either whole or not there: atomic writes, locks, and hashes."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepcam.errors import InputError

TEMPORARY = ".part"
"""Suffix of a file that is being written; whoever holds the folder's lock may delete what a killed process left."""

_libc = ctypes.CDLL(None)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success flush it to storage and rename it, on failure delete it.

    Raises InputError where the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(path.name + TEMPORARY)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with full_disk_as_input_error(path):
            yield temporary
            publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def begin_flush(descriptor: int) -> None:
    """Let the kernel begin to write what is in an open file, without waiting: the later flush is then short.

    sync_file_range(2) with SYNC_FILE_RANGE_WRITE; a file system that does not know it loses nothing but time.
    """
    _libc.sync_file_range(descriptor, 0, 0, 2)


def publish(temporary: Path, path: Path) -> None:
    """Flush a finished file to storage, then give it its name."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


@contextlib.contextmanager
def full_disk_as_input_error(path: Path) -> Iterator[None]:
    """Turn a full disk, or an exhausted quota, under `path` into an InputError with the figures."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(path.parent).free
        raise InputError(f"{path}: no space left ({free:,} bytes free): make room and run again") from error


def require_space(folder: Path, needed: int) -> None:
    """Raise InputError unless the folder's file system has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: needs {needed:,} bytes, {free:,} are free: make room, or set data.dir to a larger disk"
        )


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically. Not a number is refused: JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


@contextlib.contextmanager
def locked(path: Path | str) -> Iterator[None]:
    """Hold an exclusive lock on `path`; wait for another process that holds it. The kernel frees it on any death."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # another user's, in a folder of all users
        descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write `text`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def read_lines(path: Path | str, header: str) -> list[tuple[int, str]]:
    """Numbered lines below the header, the first being line 2. Raises InputError for a missing file or header."""
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}): make it again") from error
    if not lines or lines[0] != header:
        raise InputError(f"{path}, line 1: the header is not {header!r}: delete the file and make it again")
    return list(enumerate(lines[1:], start=2))


def sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
