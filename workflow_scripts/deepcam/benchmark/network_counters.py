"""How much the clients of network file systems have fetched from their servers, by their own counters.

The formats come from nfs(5) and from Lustre's manual. Tests read recorded files; no real server was tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from deepcam.benchmark.mounts import Mount, unescaped

NFS = Path("/proc/self/mountstats")

LUSTRE = (Path("/sys/kernel/debug/lustre"), Path("/proc/fs/lustre"))
"""Where the counters are, newer versions first. Those in debugfs are for root."""

SERVER_READ_BYTES = 4
"""Place in the line "bytes:" of NFS of what came from the server, for all kinds of reads."""


def bytes_fetched(mount: Mount) -> int | None:
    """Bytes that this node has fetched since it mounted the file system; None if nothing here counts them."""
    counter = _COUNTERS.get(mount.type)
    try:
        return counter(mount) if counter else None
    except OSError:
        return None


def _nfs(mount: Mount) -> int | None:
    """See nfs_show_stats in Linux, fs/nfs/super.c. The last mount with this mount point counts: it hides the others."""
    found = None
    here = False
    for line in NFS.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
        if header := re.fullmatch(r"device \S+ mounted on (\S+) with fstype nfs.*", line):
            here = unescaped(header[1]) == mount.point
        elif line.startswith("device "):
            here = False
        elif here and line.strip().startswith("bytes:"):
            found = int(line.split()[1:][SERVER_READ_BYTES])
    return found


def _lustre(mount: Mount) -> int | None:
    """What the object storage clients received. llite's counter is not used: it includes reads from the page cache."""
    name = mount.device.partition(":/")[2].partition("/")[0]
    for root in LUSTRE:
        if clients := sorted(root.glob(f"osc/{name}-OST*-osc-[!M]*/stats")):
            return sum(map(_read_bytes, clients))
    return None


def _read_bytes(stats: Path) -> int:
    """The sum in a line such as "read_bytes 25 samples [bytes] 4096 1048576 9437184"; 0 before the first read."""
    line = re.search(r"^read_bytes +\d+ samples \[bytes\] \d+ \d+ (\d+)", stats.read_text(encoding="ascii"), re.M)
    return int(line[1]) if line else 0


_COUNTERS: dict[str, Callable[[Mount], int | None]] = {"nfs": _nfs, "nfs4": _nfs, "lustre": _lustre}
