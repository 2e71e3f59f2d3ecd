"""The data model of a benchmark record: the timed loop makes these objects, the report reads them.

A record is a JSON file with the fields of `Record`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from typing_extensions import TypeAliasType

from deepcam.climate import CLASSES
from deepcam.grid import LARGEST_NUMBER, NAME, Cell
from deepcam.record.columns import Metrics, Model

SCHEMA_VERSION: Final = 6

LARGEST = 10**14
"""No measured number is larger: 100 TB, or 3 million years. A sum over all ranks fits into 64 bits."""

Level = Literal["error", "warning"]

Count = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Amount = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Duration = Annotated[float, Field(ge=1e-9, le=1e9)]
"""Seconds, from a nanosecond to 30 years."""


def _of_all_classes(values: dict[str, float | None]) -> dict[str, float | None]:
    if values.keys() != set(CLASSES):
        raise ValueError(f"must have a value for each of {', '.join(CLASSES)}, and for nothing else")
    return values


IouByClass = Annotated[dict[str, Share | None], AfterValidator(_of_all_classes)]

Json = TypeAliasType("Json", "bool | Int64 | float | str | list[Json] | dict[str, Json] | None")
"""Any JSON value. Not pydantic's JsonValue, which lets NaN and integers of any length through."""


class Settings(Model):
    """How often, how long and in what order a configuration is measured."""

    warmup_runs: Count = Field(description="Runs before the measured ones; they are not recorded.")
    runs: Positive = Field(description="Measured runs in one process.")
    min_seconds: Amount = Field(description="Shortest duration of a run, seconds; epochs are repeated to reach it.")
    drop_caches: bool = Field(description="Drop all of the kernel's caches before each cold run, which takes root.")
    shuffle: Literal["none", "rank", "global"] = Field(
        description="Order of the samples in each epoch: as listed, shuffled within each rank, or shuffled over all."
    )


class DatasetSummary(Model):
    """The samples that a record's runs read."""

    source: str = Field(description="Where the samples come from: the archive, synthesis, or folders of npy files.")
    sample_shape: tuple[Positive, Positive, Positive] = Field(description="Height, width and channels of each sample.")
    bytes: Positive = Field(description="Size of all samples' npy files, bytes.")
    samples: list[str] = Field(min_length=1, description="File names of the samples.")


class AccuracyVerdict(Model):
    """How an engine's masks compare with the eager fp32 network's on the same labelled samples."""

    samples: Positive = Field(description="Number of samples compared.")
    iou: IouByClass = Field(
        description="Class to the engine's intersection over union with the labels; null if the class does not occur."
    )
    mean_iou: Share = Field(description="Mean of `iou` over the classes that occur.")
    reference_iou: IouByClass = Field(description="Like `iou`, for the reference.")
    reference_mean_iou: Share = Field(description="Mean of `reference_iou` over the classes that occur.")
    pixel_agreement: Share = Field(description="Share of pixels to which both give the same class.")
    max_logit_margin_loss: Amount = Field(
        description="Largest margin, in logits, by which the reference preferred its own class to the engine's."
    )
    median_logit_margin: Amount = Field(
        description="Median difference, in logits, between the reference's best and second-best class of a pixel."
    )
    min_iou_ratio: Share = Field(description="Required ratio of `mean_iou` to `reference_mean_iou`.")
    min_pixel_agreement: Share = Field(description="Required `pixel_agreement`.")
    passed: bool = Field(
        description="True if both requirements are met and pixels of at least two classes agree with the labels."
    )


class EngineDescription(Model):
    """The engine's fingerprint: what it was built from, by what and for what device. More fields may follow."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json]

    precision: str = Field(pattern=NAME, description="Precision that the engine computes in, such as fp32.")
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
    logical_cores: Positive = Field(description="Number of logical cores.")
    governor: str | None = Field(description="CPU frequency governor; null if the kernel does not set the frequency.")
    numa_nodes: Count = Field(description="Number of NUMA nodes.")
    memory_bytes: Count = Field(description="Physical memory, bytes.")
    gpus: list[str] = Field(description="GPU models, in the order of their bus addresses.")
    driver: str | None = Field(description="Version of the NVIDIA driver; null without one.")
    kernel: str = Field(description="Kernel release.")
    file_system: FileSystem = Field(description="The file system that holds the dataset.")


class RankPlace(Model):
    """Where one MPI rank ran."""

    node: str = Field(description="Name of its node.")
    local_rank: Count = Field(description="Number of the rank among those of its node.")
    device: str = Field(description="Device that it computed on: cpu, or cuda:N.")
    cores: list[Count] = Field(min_length=1, description="Numbers of its logical cores.")


class Environment(Model):
    """Machine and software of a job."""

    date: str = Field(description="When the record was made, ISO 8601, UTC.")
    python: str = Field(description="Version of Python.")
    packages: dict[str, str] = Field(description="Package name to version.")
    mpi: str = Field(description="MPI library and version; empty for one rank, which needs none.")
    git_commit: str = Field(description="Commit of the workflow; it ends in -dirty if tracked files differed.")
    container: str | None = Field(description="Container runtime; null outside of a container.")
    variables: dict[str, str] = Field(description="Environment variables that may affect performance.")
    nodes: list[Node] = Field(min_length=1, description="The nodes of the job.")
    ranks: list[RankPlace] = Field(min_length=1, description="Where each rank ran, by rank.")
    background_cpu_load: Amount = Field(
        description="Share of the busiest node's cores that other processes kept busy before the start."
    )


class DeviceUsage(Model):
    """What the whole device used during a run, by all processes; null where the device does not tell."""

    energy_joules: Amount | None = Field(default=None, description="Energy, joules.")
    utilisation: Amount | None = Field(default=None, description="Share of the time in which a kernel ran, 0 to 1.")
    memory_bytes: Count | None = Field(
        default=None,
        description="Memory in use at the end, bytes; allocators keep what they had, so this is the peak.",
    )


class RankRun(Model):
    """One rank's part of one run."""

    part_seconds: list[Duration] = Field(
        min_length=1,
        description="Wall time of each part of the run, seconds: from the ranks' common start to this rank's last "
        "batch. A cold run has a part for each epoch, and the files are evicted between parts; others have one part.",
    )
    batch_interval_seconds: list[Annotated[float, Field(ge=0, le=1e9)]] = Field(
        min_length=1,
        description="Time from each finished batch to the next, seconds; a part's first counts from its start.",
    )
    batch_samples: list[Positive] = Field(min_length=1, description="Number of samples in each batch.")
    samples: dict[str, Positive] = Field(
        description="File name to how often the reader reported it as read; empty in mode compute."
    )
    cpu_seconds: Amount = Field(description="CPU time of the rank's processes, seconds.")
    node_cpu_utilisation: Share | None = Field(
        description="Share of the node's cores that were busy. One rank per node measures it; null on the others."
    )
    background_cpu_load: Share | None = Field(
        description="Share of the node's cores that other processes kept busy. "
        "One rank per node measures it; null on the others.",
    )
    peak_rss_bytes: Count = Field(
        description="Peak resident memory of the rank's processes since they started, with mapped files, bytes."
    )
    bytes_read_from_storage: Count = Field(
        description="Bytes that the kernel fetched from storage for the rank's processes (/proc/PID/io)."
    )
    reader: dict[str, Json] = Field(description="How the reader read, such as chunk size and O_DIRECT.")
    device: DeviceUsage = Field(description="What the rank's device used.")


class Run(Model):
    """One measured run of all ranks."""

    epochs: Count = Field(description="How often the run read the dataset; 0 in mode compute.")
    page_cache_residency_min: list[Share] = Field(
        min_length=1, description="Lowest share of a rank's files in the page cache just before each part."
    )
    page_cache_residency_max: list[Share] = Field(
        min_length=1, description="Highest share of a rank's files in the page cache just before each part."
    )
    ranks: list[RankRun] = Field(min_length=1, max_length=LARGEST_NUMBER, description="Each rank's part, by rank.")

    @model_validator(mode="after")
    def _check_parts_and_readings_of_nodes(self) -> Self:
        parts = {len(self.page_cache_residency_min), len(self.page_cache_residency_max)}
        if len(parts | {len(rank.part_seconds) for rank in self.ranks}) > 1:
            raise ValueError("its fields have different numbers of parts")
        for field in ("node_cpu_utilisation", "background_cpu_load"):
            if all(getattr(rank, field) is None for rank in self.ranks):
                raise ValueError(f"no rank has {field}")
        return self


class Probe(Model):
    """How fast the machine was just before a start, measured with the same simple program each time."""

    storage_bytes_per_second: Amount = Field(
        description="Reading a sample from storage, with O_DIRECT where possible, bytes/s."
    )
    memory_bytes_per_second: Amount = Field(description="Copying memory on one core, bytes/s.")
    hashing_bytes_per_second: Amount = Field(description="Hashing memory with SHA-256 on one core, bytes/s.")


class Start(Model):
    """The place of a start among all starts of its run of the workflow."""

    number: Count = Field(description="Number of this start among those of its configuration, from 0.")
    round: Count = Field(description="Round in which it was measured; each has one start of each configuration left.")
    position: Count = Field(description="Place in the random order of its round, from 0.")
    seed: Count = Field(description="Seed of the random orders.")
    probe: Probe = Field(description="Speed of the machine just before the start.")


class Check(Model):
    """One validity check."""

    name: str = Field(description="Name of the check.")
    level: Level = Field(description="A failed error makes the record invalid; a warning does not.")
    expected: bool | Int64 | float | str = Field(description="What the check expected.")
    actual: bool | Int64 | float | str = Field(description="What it found.")
    ok: bool = Field(description="True if the check passed.")


class Measurement(Model):
    """What was measured, with what and on what: a record without its checks and metrics."""

    schema_version: Literal[6] = Field(description="Version of this format.")
    cell: Cell = Field(description="The configuration that was measured.")
    settings: Settings = Field(description="How it was measured.")
    start: Start | None = Field(description="Its place among all starts; null if it was started by hand.")
    dataset: DatasetSummary = Field(description="The samples that were read.")
    engine: EngineDescription | None = Field(description="What computed; null in mode io.")
    environment: Environment = Field(description="Machine and software.")
    runs: list[Run] = Field(min_length=1, description="The measured runs, in order.")

    @model_validator(mode="after")
    def _check_ranks(self) -> Self:
        for run in self.runs:
            if len(run.ranks) != len(self.environment.ranks):
                raise ValueError(f"run of {len(run.ranks)} ranks in an environment of {len(self.environment.ranks)}")
        return self


class Record(Measurement):
    """Record of one benchmark job."""

    checks: list[Check] = Field(min_length=1, description="Validity checks and their results.")
    metrics: Metrics = Field(description="Metrics of this record alone; the tables pool all starts of a configuration.")
