"""Whether a Snakemake that left its lock in a folder is still alive.

Snakemake's own lock is a set of files, which say nothing about the process that wrote them, and which stay if it is
killed. The Snakemake of this workflow therefore also holds a lock of the kernel's, on a file beside them. The kernel
releases it when the process ends, in whatever way that happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from deepcam import machine
from deepcam.errors import InputError

LOCKS = Path(".snakemake/locks")
"""Snakemake's folder of lock files, in its working directory."""

HOLDER = LOCKS / "holder"
"""The file that is locked. It holds the id of the kernel's boot, since other machines may not see the lock."""


def hold() -> None:
    """Hold the kernel's lock until this process ends, together with other Snakemakes that run in the same folder.

    Snakemake must have written its own lock before.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(HOLDER, os.O_RDWR | os.O_CREAT, 0o666)
    with contextlib.suppress(OSError):  # some network file systems have no locks; then HOLDER stays empty
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.pwrite(descriptor, machine.boot_id().encode(), 0)
    # The descriptor stays open: closing it would release the lock.


def remove_stale() -> None:
    """Remove the lock of a Snakemake that was killed. Raises InputError if it may be alive."""
    locks = list(LOCKS.glob("*.lock"))
    if not locks:
        return
    if not _holder_is_gone(locks):
        raise InputError(
            "another Snakemake holds this folder; wait for it, or stop it. If none runs in this folder on any machine, "
            f"remove its lock with: rm -r {LOCKS}"
        )
    for lock in locks:
        lock.unlink(missing_ok=True)


def _holder_is_gone(locks: list[Path]) -> bool:
    """Whether the process that wrote the locks has certainly ended: it held the kernel's lock, and no longer does."""
    try:
        descriptor = os.open(HOLDER, os.O_RDWR)
    except OSError:
        return False
    try:
        held = os.fstat(descriptor)
        if os.read(descriptor, 100).decode() != machine.boot_id() or any(
            lock.stat().st_mtime > held.st_mtime for lock in locks
        ):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
