"""Descriptions of the machine and the software, for records."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

from deepcam import machine

VARIABLES = (
    "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "CUFILE_ENV_PATH_JSON", "DALI_GDS_CHUNK_SIZE",
    "DALI_ODIRECT_CHUNK_SIZE", "GLIBC_TUNABLES", "KMP_AFFINITY", "LD_PRELOAD", "MALLOC_ARENA_MAX", "MKL_NUM_THREADS",
    "NCCL_DEBUG", "OMP_NUM_THREADS", "OMP_PLACES", "OMP_PROC_BIND", "SLURM_JOB_ID",
)  # fmt: skip
"""Environment variables that affect results. No others are recorded, because some hold secrets."""

CONTAINER_MARKS = {"docker": "/.dockerenv", "podman": "/run/.containerenv", "apptainer": "/.singularity.d"}
"""Files by which the containers of each runtime are recognised."""

MOUNTS = Path("/proc/self/mountinfo")

UNSEEN = "unseen"
"""Type of a file system that MOUNTS does not list, such as the root of a chroot."""

CAVEATS = {
    "tmpfs": "its files are memory, which nothing can evict",
    "ramfs": "its files are memory, which nothing can evict",
    "zfs": "its own cache, ARC, is not evicted",
    **dict.fromkeys(
        ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "wekafs", "pvfs2", "afs", "9p", "virtiofs"),
        "only this node's page cache is evicted, not the servers'",
    ),
    "fuse": "the program that serves this file system may have a cache that is not evicted",
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

PACKAGES = (
    "torch", "nvidia-dali-cuda120", "nvidia-dali-cuda130", "mpi4py", "openmpi", "numpy", "h5py",
    "torch-tensorrt", "tensorrt", "openvino", "nncf",
)  # fmt: skip


def describe(ranks: int) -> dict[str, Any]:
    """Describe the software of a job with that many ranks, and the time. Of environment variables, only VARIABLES."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": _versions(),
        "mpi": _mpi() if ranks > 1 else "",
        "git_commit": _git_commit(),
        "container": next((name for name, mark in CONTAINER_MARKS.items() if Path(mark).exists()), None),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def describe_node(data: Path) -> dict[str, Any]:
    """Describe this node: CPU, memory, GPUs, kernel, and the file system that holds `data`."""
    return {
        "name": node_name(),
        "cpu": machine.cpu()[0],
        "isa": machine.isa(),
        "logical_cores": os.cpu_count(),
        "governor": machine.governor(),
        "numa_nodes": machine.numa_nodes(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "gpus": machine.gpu_models(),
        "driver": machine.nvidia_driver(),
        "kernel": platform.release(),
        "file_system": file_system(data),
    }


def node_name() -> str:
    """Return Slurm's name of this node, or the host name outside of Slurm."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def file_system(path: Path) -> dict[str, Any]:
    """Describe the mount that holds `path` (mountinfo in proc(5)): type, device, options, and block device.

    `caveat` says why a cold page cache may not mean reads from storage. It is empty if there is no known reason.
    """
    path = path.resolve()
    medium = path.stat().st_dev
    best = {
        "mount": "", "type": UNSEEN, "device": UNSEEN, "options": "",
        "number": f"{os.major(medium)}:{os.minor(medium)}",
    }  # fmt: skip
    for line in os.fsdecode(MOUNTS.read_bytes()).splitlines():
        left, _, right = line.partition(" - ")
        number, _, mount, options = left.split()[2:6]
        if path.is_relative_to(mount) and len(mount) >= len(best["mount"]):
            kind, device = right.split()[:2]
            best = {"mount": mount, "type": kind, "device": device, "options": options, "number": number}
    block_device = _block_device(best.pop("number"))
    caveat = CAVEATS.get(best["type"].partition(".")[0]) or _caveat(block_device)
    return best | {"caveat": caveat} | {name: _read(block_device / file) for name, file in BLOCK_DEVICE.items()}


def _block_device(number: str) -> Path:
    """Return the folder in /sys of the block device with this major:minor number, or of the disk of a partition."""
    device = (Path("/sys/dev/block") / number).resolve()
    return device.parent if (device / "partition").exists() else device


def _caveat(block_device: Path) -> str:
    virtual = block_device.name.startswith(("vd", "xvd"))
    return "the disk of a virtual machine, whose host may have a cache that is not evicted" if virtual else ""


def _read(file: Path) -> str | None:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def _mpi() -> str:
    from mpi4py import MPI

    return MPI.Get_library_version().partition(",")[0].strip()


def _git_commit() -> str:
    """Return the commit of the workflow, with "-dirty" if tracked files differ.

    Outside of a checkout, return the variable DEEPCAM_COMMIT, which a container image sets.
    """
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("DEEPCAM_COMMIT", "")
