"""What holds the dataset: its file systems, and the block devices below them, down to the disks."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepcam import machine, machine_topology
from deepcam.benchmark.mounts import Mount, device_number, layers_of, mount_of
from deepcam.record.environment_schema import UNSEEN

SYS_BLOCK = Path("/sys/dev/block")

MEMORY = ("tmpfs", "ramfs")
"""Types of file systems whose files are memory, which nothing can evict."""

CAVEATS = {
    "zfs": "its own cache, ARC, is not evicted",
    **dict.fromkeys(
        ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "wekafs", "pvfs2", "afs", "9p", "virtiofs"),
        "only this node's page cache is evicted, not the servers'",
    ),
    **dict.fromkeys(
        ("fuse", "fuseblk"), "the program that serves this file system may have a cache that is not evicted"
    ),
    "overlay": "the file system below this overlay may have a cache that is not evicted",
    UNSEEN: "its mount point is not visible to this process, so it may have a cache that is not evicted",
}
"""Why a cold page cache may not mean reads from storage, by file system type (fuse.sshfs counts as fuse)."""

BLOCK_DEVICE = {
    "model": "device/model",
    "rotational": "queue/rotational",
    "scheduler": "queue/scheduler",
    "read_ahead_kb": "queue/read_ahead_kb",
}
"""Properties of a disk, and their files in the disk's folder in /sys."""

VIRTUAL_MACHINE = "the disk of a virtual machine, whose host may have a cache that is not evicted"

VIRTUAL_MODELS = re.compile(
    r"QEMU|VBOX|VMware|Virtual|Xen|Msft|Nutanix|VDISK|PersistentDisk|nvme_card-pd|Elastic Block Store|MSFT NVMe Accel",
    re.IGNORECASE,
)
"""Vendors and models of disks that a hypervisor or a cloud provides, also to machines without a hypervisor."""

RAID_MODELS = re.compile(r"RAID|PERC|LOGICAL VOLUME|^LSI|^AVAGO", re.IGNORECASE)
"""Vendors and models of disks that a RAID controller makes."""

SERVED = re.compile(r"/session\d+/|/rport-")
"""Parts of the path in /sys of disks that a server provides over iSCSI or Fibre Channel."""

PHYSICAL_NAMES = ("sd", "nvme", "mmcblk", "pmem")
"""Beginnings of the names of disks that can be physical ones of this machine."""

LOCAL_NVME = {"pcie", "apple-nvme"}
"""Transports of NVMe disks of this machine. Others are networks."""

PASSING_MAPPERS = ("LVM-", "CRYPT-", "mpath-", "part")
"""Beginnings of the ids of mapped devices that read what lies below them, and keep nothing."""

CACHED_VOLUME = re.compile(r"_(w?corig|cdata|cvol)\b")
"""In the names of the parts of an LVM volume that has a cache on a faster disk."""


@dataclasses.dataclass
class Medium:
    """What block devices lie below a file system."""

    layers: list[str] = dataclasses.field(default_factory=list)
    """The devices from the uppermost to the disks."""
    disks: list[str] = dataclasses.field(default_factory=list)
    """Numbers (major:minor) of the lowest devices."""
    caveats: list[str] = dataclasses.field(default_factory=list)
    memory: list[str] = dataclasses.field(default_factory=list)
    """Why reads come from memory although the page cache is cold."""

    def add(self, folder: Path) -> None:
        """Add the block device with this folder in /sys, and what lies below it."""
        name = folder.name
        backing_file = _read(folder / "loop/backing_file")
        below = sorted(folder.glob("slaves/*"))
        model = _model(folder)
        self.layers.append(f"{name} ({backing_file or model})" if backing_file or model else name)
        if name.startswith(("ram", "zram")):
            self.memory.append(f"{name} is a RAM disk")
        elif backing_file is not None:
            self._add_loop(folder, Path(backing_file))
        elif below:
            self.caveats += filter(None, [_caveat_of_layer(folder)])
            for device in below:
                self.add(device.resolve())
        else:
            self.disks += filter(None, [_read(folder / "dev")])
            self.caveats += filter(None, [_caveat_of_disk(folder, model)])

    def add_file(self, path: Path) -> None:
        """Add what lies below this file."""
        below = _below(mount_of(path), [path])
        self.layers += below.layers
        self.disks += below.disks
        self.caveats += below.caveats
        self.memory += below.memory

    def _add_loop(self, folder: Path, backing_file: Path) -> None:
        if _read(folder / "loop/dio") != "1":
            self.memory.append(
                f"{folder.name} reads {backing_file} through the page cache, from which it is not evicted"
            )
        else:
            self.caveats.append(f"{folder.name} reads {backing_file}, with direct I/O")
        if os.path.exists(backing_file):
            self.add_file(backing_file)
        else:
            self.caveats.append(f"what lies below {folder.name} is not visible to this process")


def file_systems(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Describe the file systems that hold these files, each once, the first file's first."""
    return [_described(mount, medium) for mount, medium in holders(files)]


def disk_bytes(numbers: Iterable[str]) -> int:
    """How much these disks have read and written since they exist, bytes (Documentation/block/stat.rst in Linux)."""
    counts = ((SYS_BLOCK / number / "stat").read_text(encoding="ascii").split() for number in numbers)
    return sum(int(count[2]) + int(count[6]) for count in counts) * 512


def holders(files: Iterable[Path]) -> list[tuple[Mount, Medium]]:
    """The file systems that hold these files, each once, the first file's first, and what lies below them."""
    one_of_each: dict[int, Path] = {}
    for path in files:
        one_of_each.setdefault(path.stat().st_dev, path)
    of_mounts: dict[Mount, list[Path]] = {}
    for path in one_of_each.values():
        of_mounts.setdefault(mount_of(path), []).append(path)
    return [(mount, _below(mount, paths)) for mount, paths in of_mounts.items()]


def _described(mount: Mount, medium: Medium) -> dict[str, Any]:
    device = _folder(mount)
    return {
        "mount": mount.point,
        "type": mount.type,
        "device": mount.device,
        "options": mount.options,
        "caveat": "; ".join(dict.fromkeys(medium.caveats)),
        "memory_below": "; ".join(dict.fromkeys(medium.memory)),
        "layers": medium.layers,
        **{name: _read(device / file) if device else None for name, file in BLOCK_DEVICE.items()},
        "numa_node": machine_topology.numa_node_of_device(device) if device else None,
    }


def _folder(mount: Mount) -> Path | None:
    """The folder in /sys of the disk, or of another block device, that a file system is on; None if it is on none.

    Some file systems, such as btrfs, have a number of their own, but name their device.
    """
    numbers = [mount.number]
    if mount.device.startswith("/dev/") and os.path.exists(mount.device):
        numbers.append(device_number(os.stat(mount.device).st_rdev))
    for number in numbers:
        if (SYS_BLOCK / number).exists():
            device = (SYS_BLOCK / number).resolve()
            return device.parent if (device / "partition").exists() else device
    return None


def _below(mount: Mount, files: Iterable[Path]) -> Medium:
    """What lies below a mounted file system, or only below these files of it if it is an overlay."""
    medium = Medium()
    folder = _folder(mount)
    in_layers = _in_layers(mount, files) if mount.kind == "overlay" else []
    for file in in_layers:
        medium.add_file(file)
    if mount.kind in MEMORY:
        medium.memory.append(f"{mount.point} is a {mount.type}, whose files are memory")
    elif mount.kind in CAVEATS and not in_layers:
        medium.caveats.append(CAVEATS[mount.kind])
    if folder is not None:
        medium.add(folder)
    elif mount.kind not in (*CAVEATS, *MEMORY):
        medium.caveats.append("the device below this file system is not visible to this process")
    return medium


def _in_layers(overlay: Mount, files: Iterable[Path]) -> list[Path]:
    """The files below those of an overlay, one on each file system; empty unless all are visible to this process."""
    found: dict[Mount, Path] = {}
    for file in files:
        name = overlay.root.lstrip("/") / file.resolve().relative_to(overlay.point)
        below = next((path for path in (layer / name for layer in layers_of(overlay)) if _alike(path, file)), None)
        if below is None or mount_of(below) == overlay:  # its folders are those of another root
            return []
        found.setdefault(mount_of(below), below)
    return list(found.values())


def _alike(path: Path, file: Path) -> bool:
    try:
        one, other = path.stat(), file.stat()
    except OSError:
        return False
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _caveat_of_layer(folder: Path) -> str:
    """Why a device that lies on others may have a cache of its own; empty if it has none."""
    kind, name = _read(folder / "dm/uuid"), _read(folder / "dm/name")
    cached = CACHED_VOLUME.search(name) if name else folder.name.startswith("bcache")
    if cached or (kind is not None and not kind.startswith(PASSING_MAPPERS)):
        return f"{name or folder.name} may have a cache of its own that is not evicted"
    return ""


def _caveat_of_disk(folder: Path, model: str) -> str:
    """Why this may be no physical disk of this machine; empty if it is one."""
    name = folder.name
    if name.startswith(("vd", "xvd")) or VIRTUAL_MODELS.search(model):
        return VIRTUAL_MACHINE
    if not name.startswith(PHYSICAL_NAMES) or not (folder / "device").exists():
        return f"{name} is no physical disk, and what lies below it is not visible to this process"
    if "hypervisor" in machine.cpu()[1]:
        return VIRTUAL_MACHINE
    if RAID_MODELS.search(model):
        return f"{name} is made by a RAID controller, which may have a cache that is not evicted"
    served = SERVED.search(str(folder))
    if name.startswith("nvme"):
        # With multipathing, a disk belongs to a subsystem, and the subsystem has the controllers.
        transports = {_read(file) for pattern in ("", "nvme*/") for file in folder.glob(f"device/{pattern}transport")}
        served = served or not transports or transports - LOCAL_NVME
    return f"{name} may be the disk of a storage server, whose cache is not evicted" if served else ""


def _model(folder: Path) -> str:
    """The vendor and the model of a disk; empty if it has no model."""
    model = _read(folder / "device/model")
    return " ".join(filter(None, (_read(folder / "device/vendor"), model))) if model else ""


def _read(file: Path) -> str | None:
    return file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else None
