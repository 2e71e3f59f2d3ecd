"""What jobs ask of a launcher and of a cluster."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deepcam import machine
from deepcam.config import Cluster, Config
from deepcam.grid import Cell


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


def node_count(ranks: int, ranks_per_node: int) -> int:
    """The number of nodes that ranks take."""
    return math.ceil(ranks / ranks_per_node)


def launcher(config: Config, ranks: int, on_cluster: bool) -> str:
    """The command that starts the ranks of a job, spread evenly over its nodes.

    Empty for a single rank on a cluster: the executor starts it, as Slurm's requires.
    """
    if not on_cluster:
        return config.benchmark.launcher.replace("{ranks}", str(ranks))
    if ranks == 1:
        return ""
    on_each_node = math.ceil(ranks / node_count(ranks, config.benchmark.ranks_per_node))
    command = config.cluster.launcher.replace("{ranks}", str(ranks))
    return command.replace("{ranks_per_node}", str(on_each_node))


def plain_job(cluster: Cluster) -> dict[str, str | int]:
    """Snakemake's resources of a job that uses no device; without meaning on a single machine.

    An empty account or partition is the cluster's default.
    """
    return {
        "slurm_account": cluster.account,
        "slurm_partition": cluster.partition,
        "runtime": cluster.minutes,
        "mem_mb": 4000,
    }


def device_job(cluster: Cluster, devices: Sequence[str]) -> dict[str, str | int]:
    """Snakemake's resources of a job that uses the devices of these names.

    It takes all GPUs of a node, so that an index means the same GPU to each job.
    """
    gpus = "" if devices == ["cpu"] else f"gpu:{len(devices)}"
    return plain_job(cluster) | {"mem_mb": 16000, "gres": gpus, "tasks_per_gpu": 0}


def drops_caches(cell: Cell, drop_caches: bool) -> bool:
    """Whether all of the kernel's caches are dropped before the runs of a cell: only before cold ones, if at all."""
    return drop_caches and cell.cache == "cold"
