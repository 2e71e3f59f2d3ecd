"""The data model of a benchmark record: the timed loop makes these objects, the report reads them.

A record is a JSON file with the fields of `Record`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field
from typing_extensions import TypeAliasType

from deepcam.grid import Cell
from deepcam.record.columns import Metrics, Model

SCHEMA_VERSION: Final = 5


Level = Literal["error", "warning"]

Json = TypeAliasType("Json", "bool | int | float | str | list[Json] | dict[str, Json] | None")
"""Any JSON value. Not pydantic's JsonValue, which lets NaN through."""


class Settings(Model):
    """How often, how long and in what order a configuration is measured."""

    warmup_runs: int = Field(ge=0, description="Runs before the measured ones; they are not recorded.")
    runs: int = Field(ge=1, description="Measured runs in one process.")
    min_seconds: float = Field(
        ge=0,
        description="Shortest duration of a warm or compute run, seconds; epochs are repeated until it is reached.",
    )
    drop_caches: bool = Field(description="Drop all of the kernel's caches before each cold run, which takes root.")
    shuffle: Literal["none", "rank", "global"] = Field(
        description="Order of the samples in each epoch: as listed, shuffled within each rank, or shuffled over all."
    )


class DatasetSummary(Model):
    """The samples that a record's runs read."""

    source: str = Field(description="Where the samples come from: the archive, synthesis, or folders of npy files.")
    sample_shape: tuple[int, int, int] = Field(description="Height, width and channels of each sample.")
    bytes: int = Field(ge=0, description="Size of all samples' npy files, bytes.")
    samples: list[str] = Field(min_length=1, description="File names of the samples.")


class AccuracyVerdict(Model):
    """How an engine's masks compare with the eager fp32 network's on the same labelled samples."""

    samples: int = Field(ge=1, description="Number of samples compared.")
    iou: dict[str, float | None] = Field(
        description="Class to the engine's intersection over union with the labels; null if the class does not occur."
    )
    mean_iou: float = Field(description="Mean of `iou` over the classes that occur.")
    reference_iou: dict[str, float | None] = Field(description="Like `iou`, for the reference.")
    reference_mean_iou: float = Field(description="Mean of `reference_iou` over the classes that occur.")
    pixel_agreement: float = Field(ge=0, le=1, description="Share of pixels to which both give the same class.")
    max_logit_margin_loss: float = Field(
        description="Largest margin, in logits, by which the reference preferred its own class to the engine's."
    )
    median_logit_margin: float = Field(
        description="Median difference, in logits, between the reference's best and second-best class of a pixel."
    )
    min_iou_ratio: float = Field(description="Required ratio of `mean_iou` to `reference_mean_iou`.")
    min_pixel_agreement: float = Field(description="Required `pixel_agreement`.")
    passed: bool = Field(
        description="True if both requirements are met and pixels of at least two classes agree with the labels."
    )


class EngineDescription(Model):
    """The engine's fingerprint: what it was built from, by what and for what device. More fields may follow."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json]

    precision: str = Field(description="Precision that the engine computes in, such as fp32.")
    accuracy: list[AccuracyVerdict] = Field(description="Verdicts on the engine, one for each device.")


class FileSystem(Model):
    """The file system that holds the dataset, as one node mounts it."""

    mount: str = Field(default="", description="Mount point.")
    type: str = Field(description="Type, such as ext4 or lustre.")
    device: str = Field(description="Device or server that is mounted.")
    options: str = Field(default="", description="Mount options.")
    caveat: str = Field(description="Why a cold page cache may not mean that storage was read; empty if it does.")
    model: str | None = Field(default=None, description="Model of the block device; null if unknown.")
    rotational: str | None = Field(
        default=None, description="1 for a disk with rotating platters, else 0; null if unknown."
    )
    scheduler: str | None = Field(
        default=None, description="I/O schedulers of the block device, the active one in brackets."
    )
    read_ahead_kb: str | None = Field(default=None, description="Read-ahead of the block device, KiB; null if unknown.")


class Node(Model):
    """One node of the job."""

    name: str = Field(description="Host name, or the name that Slurm gives the node.")
    cpu: str = Field(description="CPU model.")
    isa: list[str] = Field(description="Instruction set extensions that kernels and compilers select by.")
    logical_cores: int = Field(description="Number of logical cores.")
    governor: str | None = Field(description="CPU frequency governor; null if the kernel does not set the frequency.")
    numa_nodes: int = Field(description="Number of NUMA nodes.")
    memory_bytes: int = Field(description="Physical memory, bytes.")
    gpus: list[str] = Field(description="GPU models, in the order of their bus addresses.")
    driver: str | None = Field(description="Version of the NVIDIA driver; null without one.")
    kernel: str = Field(description="Kernel release.")
    file_system: FileSystem = Field(description="The file system that holds the dataset.")


class RankPlace(Model):
    """Where one MPI rank ran."""

    node: str = Field(description="Name of its node.")
    local_rank: int = Field(ge=0, description="Number of the rank among those of its node.")
    device: str = Field(description="Device that it computed on: cpu, or cuda:N.")
    cores: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, description="Numbers of its logical cores.")


class Environment(Model):
    """Machine and software of a job."""

    date: str = Field(description="When the record was made, ISO 8601, UTC.")
    python: str = Field(description="Version of Python.")
    packages: dict[str, str] = Field(description="Package name to version.")
    mpi: str = Field(description="MPI library and version.")
    hdf5: str = Field(description="Version of HDF5.")
    git_commit: str = Field(description="Commit of the workflow; it ends in -dirty if tracked files differed.")
    container: str | None = Field(description="Container runtime; null outside of a container.")
    variables: dict[str, str] = Field(description="Environment variables that may affect performance.")
    nodes: list[Node] = Field(min_length=1, description="The nodes of the job.")
    ranks: list[RankPlace] = Field(min_length=1, description="Where each rank ran, by rank.")
    background_cpu_load: float = Field(
        ge=0, description="Share of the busiest node's cores that other processes kept busy before the start."
    )


class DeviceUsage(Model):
    """What the whole device used during a run, by all processes; null where the device does not tell."""

    energy_joules: float | None = Field(default=None, ge=0, description="Energy, joules.")
    utilisation: float | None = Field(
        default=None, ge=0, description="Share of the time in which a kernel ran, 0 to 1."
    )
    memory_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Memory in use at the end, bytes; allocators keep what they had, so this is the peak.",
    )


class RankRun(Model):
    """One rank's part of one run."""

    seconds: float = Field(gt=0, description="Wall time from the common start to this rank's last batch, seconds.")
    batch_interval_seconds: list[Annotated[float, Field(ge=0)]] = Field(
        min_length=1, description="Time from each finished batch to the next, seconds; the first counts from the start."
    )
    batch_samples: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="Number of samples in each batch."
    )
    samples: dict[str, Annotated[int, Field(ge=1)]] = Field(
        description="File name to how often the reader reported it as read."
    )
    cpu_seconds: float = Field(ge=0, description="CPU time of the rank's processes, seconds.")
    node_cpu_utilisation: float | None = Field(
        ge=0, le=1, description="Share of the node's cores that were busy; null on all but one rank of each node."
    )
    background_cpu_load: float | None = Field(
        ge=0,
        le=1,
        description="Share of the node's cores that other processes kept busy; null on all but one rank of each node.",
    )
    peak_rss_bytes: int = Field(
        ge=0, description="Peak resident memory of the rank's processes since they started, with mapped files, bytes."
    )
    bytes_read_from_storage: int = Field(
        ge=0, description="Bytes that the kernel fetched from storage for the rank's processes (/proc/PID/io)."
    )
    reader: dict[str, Json] = Field(description="How the reader read, such as chunk size and O_DIRECT.")
    device: DeviceUsage = Field(description="What the rank's device used.")


class Run(Model):
    """One measured run of all ranks."""

    epochs: int = Field(ge=1, description="How often the run read the dataset.")
    page_cache_residency_min: float = Field(
        ge=0, le=1, description="Lowest share of a rank's files in the page cache just before the start."
    )
    page_cache_residency_max: float = Field(
        ge=0, le=1, description="Highest share of a rank's files in the page cache just before the start."
    )
    ranks: list[RankRun] = Field(min_length=1, description="Each rank's part, by rank.")


class Check(Model):
    """One validity check."""

    name: str = Field(description="Name of the check.")
    level: Level = Field(description="A failed error makes the record invalid; a warning does not.")
    expected: bool | int | float | str = Field(description="What the check expected.")
    actual: bool | int | float | str = Field(description="What it found.")
    ok: bool = Field(description="True if the check passed.")


class Measurement(Model):
    """What was measured, with what and on what: a record without its checks and metrics."""

    schema_version: Literal[5] = Field(description="Version of this format.")
    cell: Cell = Field(description="The configuration that was measured.")
    settings: Settings = Field(description="How it was measured.")
    dataset: DatasetSummary = Field(description="The samples that were read.")
    engine: EngineDescription | None = Field(description="What computed; null in mode io.")
    environment: Environment = Field(description="Machine and software.")
    runs: list[Run] = Field(min_length=1, description="The measured runs, in order.")


class Record(Measurement):
    """Record of one benchmark job."""

    checks: list[Check] = Field(min_length=1, description="Validity checks and their results.")
    metrics: Metrics = Field(description="Metrics of this record alone; the tables pool all starts of a configuration.")
