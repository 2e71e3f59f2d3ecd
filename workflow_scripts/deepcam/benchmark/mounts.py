"""The mounted file systems, as /proc/self/mountinfo lists them, see proc(5)."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from deepcam.record.environment_schema import UNSEEN

MOUNTS = Path("/proc/self/mountinfo")


@dataclasses.dataclass(frozen=True)
class Mount:
    """A mounted file system, as mountinfo describes it, see proc(5)."""

    point: str = ""
    type: str = UNSEEN
    device: str = UNSEEN
    options: str = ""
    number: str = ""
    """Number (major:minor) of its device, or one that stands for the file system."""
    root: str = "/"
    """The folder of the file system that is mounted."""
    layers: str = ""
    """Mount options of the file system. Those of an overlay contain the paths of its layers."""

    @property
    def kind(self) -> str:
        """The type without what follows a dot: fuse.sshfs is a fuse."""
        return self.type.partition(".")[0]


def mount_of(path: Path) -> Mount:
    """The mount that holds `path`, found as the kernel finds it: from mount to mount, as the path comes across them.

    A mount point may be hidden below a file system that was mounted later over a folder above it. It then belongs to
    the same parent, and the path comes across the later one first.
    """
    path = path.resolve()
    lines = os.fsdecode(MOUNTS.read_bytes()).split("\n")
    rows = [line.split(" ") for line in lines if " - " in line]
    rows = [row for row in rows if path.is_relative_to(unescaped(row[4]))]
    last, found = None, rows
    while found:
        last = min(reversed(found), key=lambda row: len(unescaped(row[4])))
        found = [row for row in rows if row[1] == last[0] != row[0]]  # a root may be its own parent
    if last is None:
        return Mount(number=device_number(path.stat().st_dev))
    kind, device, layers = last[last.index("-") + 1 :][:3]
    return Mount(unescaped(last[4]), unescaped(kind), unescaped(device), last[5], last[2], unescaped(last[3]), layers)


def layers_of(overlay: Mount) -> list[Path]:
    """The folders of an overlay, from the uppermost down; empty if a file's name and its content may be in two layers.

    See Documentation/filesystems/overlayfs.rst in Linux. A relative path is one of the process that mounted it.
    """
    options = [option.partition("=")[::2] for option in overlay.layers.split(",")]
    if ("metacopy", "on") in options:
        return []
    upper = [unescaped(value) for name, value in options if name == "upperdir"]
    lower = [unescaped(value) for name, value in options if name in ("lowerdir", "lowerdir+")]
    lower = [folder.replace("\\:", ":") for value in lower for folder in re.split(r"(?<!\\):+", value)]
    return [Path(folder) for folder in (*upper, *lower) if folder.startswith("/")]


def device_number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def unescaped(field: str) -> str:
    """The text of a field, in which the kernel writes space, tab, newline, backslash and # as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
