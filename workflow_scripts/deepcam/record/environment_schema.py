"""The data model of a record's environment: nodes, ranks and software."""

from __future__ import annotations

from pydantic import Field

from deepcam.record.columns import Model
from deepcam.record.fields import Amount, Count, Positive, Sha256

UNSEEN = "unseen"
"""Type of a file system that the kernel does not show to the process, such as the root of a chroot."""


class FileSystem(Model):
    """The file system that holds the dataset, as one node mounts it."""

    mount: str = Field(default="", description="Mount point.")
    type: str = Field(description="Type, such as ext4 or lustre.")
    device: str = Field(description="Device or server that is mounted.")
    options: str = Field(default="", description="Mount options.")
    caveat: str = Field(description="Why a cold page cache may not mean that storage was read; empty if it does.")
    memory_below: str = Field(
        default="",
        description="Why reads come from memory although the page cache is cold, such as a RAM disk; empty otherwise.",
    )
    layers: list[str] | None = Field(
        default=None,
        description="Block devices below, from the uppermost to the disks; empty if none is visible, null if not "
        "recorded.",
    )
    model: str | None = Field(default=None, description="Model of the block device; null if unknown.")
    rotational: str | None = Field(
        default=None, description="1 for a disk with rotating platters, else 0; null if unknown."
    )
    scheduler: str | None = Field(
        default=None, description="I/O schedulers of the block device, the active one in brackets."
    )
    read_ahead_kb: str | None = Field(default=None, description="Read-ahead of the block device, KiB; null if unknown.")
    numa_node: Count | None = Field(
        default=None, description="NUMA node that the block device is attached to; null if unknown."
    )


class Node(Model):
    """One node of the job."""

    name: str = Field(description="Host name, or the name that Slurm gives the node.")
    cpu: str = Field(description="CPU model.")
    isa: list[str] = Field(description="Instruction set extensions that kernels and compilers select by.")
    logical_cores: Positive = Field(description="Number of logical cores.")
    governor: str | None = Field(description="CPU frequency governor; null if the kernel does not set the frequency.")
    numa_nodes: Count = Field(description="Number of NUMA nodes.")
    network_numa_nodes: dict[str, Count | None] | None = Field(
        default=None,
        description="NUMA node of each network card and InfiniBand adapter, by its name, or null if the kernel does "
        "not tell it; null without names if not recorded.",
    )
    memory_bytes: Count = Field(description="Physical memory, bytes.")
    cpu_quota: Amount | None = Field(
        description="CPU quota of the job's control group or of one above it, in cores; null without one, and in "
        "records of version 6."
    )
    memory_limit_bytes: Count | None = Field(
        description="Memory limit of the job's control group or of one above it, bytes; null without one, and in "
        "records of version 6."
    )
    read_limits: list[str] | None = Field(
        default=None,
        description="Limits of reads from block devices of the job's control group and of those above it: device, rbps "
        "(bytes per second) or riops (reads per second), and the number; null if not recorded.",
    )
    machine_lock: str = Field(
        description="What the lock that keeps other benchmarks waiting covered: machine, or network namespace if "
        "containers with other networks do not see it; not recorded in records of version 6."
    )
    gpus: list[str] = Field(description="GPU models, in the order of their bus addresses.")
    driver: str | None = Field(description="Version of the NVIDIA driver; null without one.")
    kernel: str = Field(description="Kernel release.")
    transparent_huge_pages: str | None = Field(
        description="When the kernel gives huge pages: always, madvise or never; null if it has none, or not recorded."
    )
    file_system: FileSystem = Field(description="The file system that holds the dataset, or its first sample.")
    other_file_systems: list[FileSystem] | None = Field(
        default=None, description="Others that hold samples; null if not recorded."
    )

    @property
    def file_systems(self) -> list[FileSystem]:
        """All that are recorded."""
        return [self.file_system, *(self.other_file_systems or [])]


class RankPlace(Model):
    """Where one MPI rank ran."""

    node: str = Field(description="Name of its node.")
    local_rank: Count = Field(description="Number of the rank among those of its node.")
    device: str = Field(description="Device that it computed on: cpu, or cuda:N.")
    cores: list[Count] = Field(min_length=1, description="Numbers of its logical cores.")
    numa_node: Count | None = Field(
        default=None, description="NUMA node of its cores; null if they are of several nodes, or if unknown."
    )
    device_numa_node: Count | None = Field(
        default=None, description="NUMA node that its GPU is attached to; null for the CPU, and if unknown."
    )
    scheduling: str | None = Field(
        description="Scheduling policy and nice value of its process, such as SCHED_OTHER, nice 0; null in records of "
        "version 6."
    )
    engine_sha256: Sha256 | None = Field(
        description="SHA-256 of the engine file that it ran; null without one and if it was not recorded."
    )


class Environment(Model):
    """Machine and software of a job."""

    date: str = Field(description="When the record was made, ISO 8601, UTC.")
    python: str = Field(description="Version of Python.")
    packages: dict[str, str] = Field(description="Package name to version.")
    mpi: str = Field(description="MPI library and version; empty for one rank, which needs none.")
    version: str = Field(default="", description="Version of the workflow; empty if not recorded.")
    git_commit: str = Field(description="Commit of the workflow; it ends in -dirty if tracked files differed.")
    code_sha256: Sha256 | None = Field(
        description="SHA-256 of the names and contents of the library's Python files, untracked ones included; null in "
        "records of version 6."
    )
    container: str | None = Field(description="Container runtime; null outside of a container.")
    allocator: str = Field(
        description="Memory allocator: the C library and its version, or the name of a preloaded one. The settings of "
        "glibc's are in `variables`, as GLIBC_TUNABLES."
    )
    variables: dict[str, str] = Field(description="Environment variables that may affect performance.")
    nodes: list[Node] = Field(min_length=1, description="The nodes of the job.")
    ranks: list[RankPlace] = Field(min_length=1, description="Where each rank ran, by rank.")
    background_cpu_load: Amount = Field(
        description="Share of the time of the job's own cores that other processes took just before the start, on the "
        "node where it was largest."
    )
