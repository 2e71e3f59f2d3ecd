"""How a run and its jobs are launched: what jobs ask of a launcher and of a cluster, and the lock of the whole run.

Snakemake's own lock is a set of files, which say nothing about the process that wrote them, and which stay if it is
killed. The Snakemake of this workflow therefore also holds a lock of the kernel's, on a file beside them. The kernel
releases it when the process ends, in whatever way that happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from deepcam import machine
from deepcam.config import Cluster, Config
from deepcam.errors import InputError
from deepcam.grid import ranks_on_node

SNAKEMAKE_LOCKS = Path(".snakemake/locks")
"""Snakemake's folder of lock files, in its working directory."""

RUN_LOCK_HOLDER = SNAKEMAKE_LOCKS / "holder"
"""The file that is locked. It holds the id of the kernel's boot, since other machines may not see the lock."""


def device_names(devices: str | Sequence[int]) -> list[str]:
    """Names of the devices that engines are compiled for and benchmarks run on: cpu, or cuda0, cuda1 and so on.

    `devices` is cpu, a list of GPU indices, or auto: all GPUs of this machine, or its CPU if it has none.
    """
    if devices == "cpu":
        return ["cpu"]
    if devices == "auto":
        return [f"cuda{index}" for index in machine.gpu_indices()] or ["cpu"]
    return [f"cuda{index}" for index in devices]


def torch_device(name: str) -> str:
    """PyTorch's name of a device: cpu, or cuda:0, cuda:1 and so on."""
    return name.replace("cuda", "cuda:")


def launcher(config: Config, ranks: int, on_cluster: bool) -> str:
    """The command that starts `{ranks}` ranks, `{ranks_per_node}` on each node, of jobs with at most `ranks` of them.

    Empty where no job has more than one: it starts without a launcher, and Slurm's executor refuses one.
    """
    if ranks == 1:
        return ""
    return config.cluster.launcher if on_cluster else config.benchmark.launcher


def fill_launcher(template: str, ranks: int, ranks_per_node: int) -> str:
    """The command that starts this number of ranks, spread evenly over as few nodes as hold them."""
    on_each_node = str(ranks_on_node(ranks, ranks_per_node))
    return template.replace("{ranks}", str(ranks)).replace("{ranks_per_node}", on_each_node)


def plain_job(cluster: Cluster) -> dict[str, str | int]:
    """Snakemake's resources of a job that uses no device; without meaning on a single machine.

    A resource that a rule states wins over a site's profile. Therefore what is not configured is not stated.
    """
    configured: dict[str, str | int] = {
        "slurm_account": cluster.account,
        "slurm_partition": cluster.partition,
        "runtime": cluster.minutes,
    }
    return {name: value for name, value in configured.items() if value} | {"mem_mb": 4000}


def device_job(cluster: Cluster, devices: Sequence[str]) -> dict[str, str | int]:
    """Snakemake's resources of a job that uses the devices of these names.

    It takes all GPUs of a node, so that an index means the same GPU to each job.
    """
    resources = plain_job(cluster) | {"mem_mb": 16000}
    return resources if devices == ["cpu"] else resources | {"gres": f"gpu:{len(devices)}", "tasks_per_gpu": 0}


def hold_run_lock() -> None:
    """Hold the kernel's lock until this process ends, together with other Snakemakes that run in the same folder.

    Snakemake must have written its own lock before.
    """
    SNAKEMAKE_LOCKS.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(RUN_LOCK_HOLDER, os.O_RDWR | os.O_CREAT, 0o666)
    with contextlib.suppress(OSError):  # some network file systems have no locks; then RUN_LOCK_HOLDER stays empty
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.pwrite(descriptor, machine.boot_id().encode(), 0)
    # The descriptor stays open: closing it would release the lock.


def remove_stale_run_lock() -> None:
    """Remove the lock of a Snakemake that was killed. Raises InputError if it may be alive."""
    locks = list(SNAKEMAKE_LOCKS.glob("*.lock"))
    if not locks:
        return
    if not _holder_is_gone(locks):
        raise InputError(
            "another Snakemake holds this folder; wait for it, or stop it. If none runs in this folder on any machine, "
            f"remove its lock with: rm -r {SNAKEMAKE_LOCKS}"
        )
    for lock in locks:
        lock.unlink(missing_ok=True)


def _holder_is_gone(locks: list[Path]) -> bool:
    """Whether the process that wrote the locks has certainly ended: it held the kernel's lock, and no longer does."""
    try:
        descriptor = os.open(RUN_LOCK_HOLDER, os.O_RDWR)
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
