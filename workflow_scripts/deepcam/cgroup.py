"""CPU quota, memory limit, I/O limits and throttling of this process's control groups, version 1 or 2 (cgroups(7)).

A group is also limited by the groups above it. In a container, those above the container's own may be invisible.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc/self")


def cpu_quota() -> float | None:
    """Return how many cores' time this process's groups may use, the smallest quota of all levels; None without one."""
    return min(filter(None, map(_quota, _groups("cpu"))), default=None)


def memory_limit() -> int | None:
    """Return the smallest memory limit of this process's groups, in bytes; None if it is not below the memory."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    texts = (_read(group / name) for group in _groups("memory") for name in ("memory.max", "memory.limit_in_bytes"))
    # Version 1 states a number beyond any memory if there is no limit, version 2 "max".
    return min((limit for limit in (int(text) for text in texts if text.isdecimal()) if limit < physical), default=None)


def read_limits() -> list[str]:
    """Return how fast this process's groups may read from block devices, of all levels: device, kind and number.

    The kinds are those of version 2: rbps is bytes per second, and riops is reads per second.
    """
    found = set()
    for group in _groups("blkio"):
        for kind, name in (("rbps", "read_bps_device"), ("riops", "read_iops_device")):
            lines = _read(group / f"blkio.throttle.{name}").splitlines()
            found |= {f"{device} {kind} {number}" for device, number in map(str.split, lines)}
    for group in _groups("io"):
        for device, *limits in map(str.split, _read(group / "io.max").splitlines()):
            kinds = dict(limit.split("=") for limit in limits)
            found |= {f"{device} {kind} {kinds[kind]}" for kind in ("rbps", "riops") if kinds.get(kind, "max") != "max"}
    return sorted(found)


def throttled_seconds() -> float | None:
    """Return for how long the kernel has held back this process's groups because of their quotas, in seconds.

    The time is the sum over all cores and all levels. It is None if the process is in a group, but none is visible.
    """
    groups = [group for group in _groups("cpu") if group.is_dir()]
    return sum(map(_throttled, groups)) if groups or not _read(PROC / "cgroup") else None


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's groups that a controller may limit, from the highest visible one down."""
    paths: dict[str, str] = {}
    for line in _read(PROC / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)  # of version 2: an empty name
    wanted = controller if controller in paths else ""  # a controller is in one version only
    for line in _read(PROC / "mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        root, mount = left.split()[3:5]
        kind, *_, options = right.split()
        if wanted not in paths or kind != ("cgroup" if wanted else "cgroup2"):
            continue
        if wanted and wanted not in options.split(","):
            continue
        group = Path(paths[wanted])
        parts = group.relative_to(root).parts if group.is_relative_to(root) else ()
        yield from (Path(mount, *parts[:depth]) for depth in range(len(parts) + 1))


def _quota(group: Path) -> float | None:
    limit = _read(group / "cpu.max") or f"{_read(group / 'cpu.cfs_quota_us')} {_read(group / 'cpu.cfs_period_us')}"
    quota, _, period = limit.partition(" ")
    return int(quota) / int(period) if quota.isdecimal() else None  # "max" or -1 without a quota


def _throttled(group: Path) -> float:
    counts = dict(line.split() for line in _read(group / "cpu.stat").splitlines())
    return int(counts.get("throttled_usec", 0)) / 1e6 + int(counts.get("throttled_time", 0)) / 1e9


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
