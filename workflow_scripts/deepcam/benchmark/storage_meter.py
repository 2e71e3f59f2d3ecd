"""Measures what the storage below the dataset delivered on this node, to whomever."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from deepcam.benchmark import network_counters, storage


class StorageBytes(NamedTuple):
    """Traffic of a period, bytes; None where nothing counts it."""

    disks: int | None
    """Read and written by the disks below the dataset."""
    network: int | None
    """Fetched from the servers of network file systems, if all of the dataset's file systems are of that kind."""


UNKNOWN = StorageBytes(None, None)


class StorageMeter:
    """Knows where to look for the traffic of the file systems that hold `files`."""

    def __init__(self, files: Iterable[Path]) -> None:
        holders = storage.holders(files)
        self._mounts = [mount for mount, _ in holders]
        # Where only some of the disks are visible, their traffic says nothing.
        visible = all(medium.disks for _, medium in holders)
        self._disks = {number for _, medium in holders for number in medium.disks} if visible else set()

    def start(self) -> Callable[[], StorageBytes]:
        """Start a period. The returned function gives the traffic since then."""
        before = self._read()

        def since() -> StorageBytes:
            return StorageBytes(*(_difference(*pair) for pair in zip(before, self._read(), strict=True)))

        return since

    def _read(self) -> StorageBytes:
        fetched = [network_counters.bytes_fetched(mount) for mount in self._mounts]
        known = [count for count in fetched if count is not None]
        return StorageBytes(
            disks=storage.disk_bytes(self._disks) if self._disks else None,
            network=sum(known) if len(known) == len(fetched) else None,
        )


def _difference(before: int | None, after: int | None) -> int | None:
    """None also for a counter that was reset meanwhile, or has begun to count."""
    return None if before is None or after is None or after < before else after - before
