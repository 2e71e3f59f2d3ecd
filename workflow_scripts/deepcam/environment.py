"""What machine and what software: the part of a record that says where its numbers come from."""

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

PACKAGES = (
    "torch", "nvidia-dali-cuda120", "nvidia-dali-cuda130", "mpi4py", "openmpi", "numpy", "h5py",
    "torch-tensorrt", "tensorrt",
)  # fmt: skip


def describe(data: Path) -> dict[str, Any]:
    """This node: CPU, memory, kernel, packages, and the file system under `data`. No secrets: no environment."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "hostname": node_name(),
        "cpu": machine.cpu()[0],
        "logical_cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "gpus": machine.gpu_models(),
        "driver": machine.nvidia_driver(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": _versions(),
        "file_system": file_system(data),
        "git_commit": _git_commit(),
    }


def node_name() -> str:
    """Slurm's name of this node, else the host name."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def file_system(path: Path) -> dict[str, str]:
    """Type, device and options of the mount that holds `path` (proc(5), mountinfo)."""
    path = path.resolve()
    best: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        mount, options = left.split()[4:6]
        if path.is_relative_to(mount) and len(mount) >= len(best.get("mount", "")):
            kind, device = right.split()[:2]
            best = {"mount": mount, "type": kind, "device": device, "options": options}
    return best


def _git_commit() -> str:
    """Commit of the workflow, with "-dirty" where tracked files differ; empty outside a checkout."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
