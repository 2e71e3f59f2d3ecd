"""Descriptions of the machine and the software, for records."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import os
import platform
import re
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import deepcam
from deepcam import allocator, cgroup, machine, machine_topology
from deepcam.benchmark import machine_lock, storage, thread_binding

VARIABLES = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "GLIBC_TUNABLES", "LD_PRELOAD", "NCCL_DEBUG", "SLURM_JOB_ID")

PREFIXES = (
    "ATEN_", "CUFILE_", "DALI_", "DNNL_", "GOMP_", "KMP_", "KVIKIO_", "MALLOC_", "MKL_", "OMP_", "ONEDNN_",
    thread_binding.CLEARED,
)  # fmt: skip
"""VARIABLES and those with these prefixes affect results. No others are recorded, because some hold secrets."""

POLICIES = ("SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE", "SCHED_FIFO", "SCHED_RR")
"""Names of scheduling policies in the module os, see sched(7)."""

CONTAINER_MARKS = {"docker": "/.dockerenv", "podman": "/run/.containerenv", "apptainer": "/.singularity.d"}
"""Files by which the containers of each runtime are recognised."""

PACKAGES = (
    "torch", "nvidia-dali-cuda120", "nvidia-dali-cuda130", "kvikio-cu13", "kvikio-cu12", "mpi4py", "openmpi", "numpy",
    "h5py", "torch-tensorrt", "tensorrt", "openvino", "nncf",
    "torch-tensorrt-rtx", "tensorrt-rtx-cu13", "triton", "nvidia-cudnn-cu13", "nvidia-ml-py",
)  # fmt: skip
"""Packages that decide what is measured, and how fast. Versions of those that are installed are recorded."""


def describe(ranks: int) -> dict[str, Any]:
    """Describe the software of a job with that many ranks, and the time. Of environment variables, only some."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": _versions(),
        "mpi": mpi_library() if ranks > 1 else "",
        "version": deepcam.__version__,
        "git_commit": _git_commit(),
        "code_sha256": code_sha256(Path(machine.__file__).parent),
        "container": next((name for name, mark in CONTAINER_MARKS.items() if Path(mark).exists()), None),
        "allocator": allocator.describe(os.environ),
        "variables": {
            name: value for name, value in sorted(os.environ.items()) if name in VARIABLES or name.startswith(PREFIXES)
        },
    }


def describe_node(files: Iterable[Path]) -> dict[str, Any]:
    """Describe this node: CPU, memory, GPUs, kernel, and the file systems that hold `files`."""
    file_system, *others = storage.file_systems(files)
    return {
        "name": node_name(),
        "cpu": machine.cpu()[0],
        "isa": machine.isa(),
        "logical_cores": os.cpu_count(),
        "governor": machine.governor(),
        "numa_nodes": machine.numa_nodes(),
        "network_numa_nodes": machine_topology.numa_nodes_of_networks(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "cpu_quota": cgroup.cpu_quota(),
        "memory_limit_bytes": cgroup.memory_limit(),
        "read_limits": cgroup.read_limits(),
        "machine_lock": machine_lock.scope(),
        "gpus": machine.gpu_models(),
        "driver": machine.nvidia_driver(),
        "kernel": platform.release(),
        "transparent_huge_pages": allocator.transparent_huge_pages(),
        "file_system": file_system,
        "other_file_systems": others,
    }


def scheduling() -> str:
    """Return the scheduling policy of this process, and its nice value, which a policy of real time ignores."""
    policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    name = next((name for name in POLICIES if getattr(os, name) == policy), f"policy {policy}")
    return f"{name}, nice {os.getpriority(os.PRIO_PROCESS, 0)}"


def node_name() -> str:
    """Return Slurm's name of this node, or the host name outside of Slurm."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def code_sha256(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of the Python files below a folder, whatever git says of them."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def mpi_library() -> str:
    """Return the name and version of the MPI library that this process has loaded."""
    from mpi4py import MPI

    return library_name(MPI.Get_library_version())


def library_name(text: str) -> str:
    """Return the name and version in what an MPI library says of itself. Some say it in many lines and columns."""
    return " ".join(re.split("[,\n\0]", text.strip())[0].split())


def _git_commit() -> str:
    """Return the commit of the workflow, with "-dirty" if tracked files differ.

    Outside of a checkout, return the variable DEEPCAM_COMMIT, which a container image sets. Of a checkout in which git
    fails, return "unknown" and what git says.
    """
    here = Path(__file__)
    # Otherwise git refuses a checkout that another user owns, whose programs this process runs anyway.
    git = ["git", "-c", "safe.directory=*", "-C", here.parent]
    # Variables such as GIT_DIR, which git sets for its hooks, name another repository.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        # A copy of the workflow in another repository has no commit there.
        for words in (["ls-files", "--error-unmatch", here.name], ["describe", "--always", "--dirty", "--abbrev=12"]):
            said = subprocess.run(
                [*git, *words], env=variables, capture_output=True, encoding="utf-8", check=True, timeout=10
            ).stdout.strip()
        return said
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).partition("\n")[0]
    if "DEEPCAM_COMMIT" in os.environ or not any((folder / ".git").exists() for folder in here.parents):
        return os.environ.get("DEEPCAM_COMMIT", "")
    return f"unknown ({said})"
