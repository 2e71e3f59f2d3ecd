"""The configuration: every key with its type, default, unit and meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from deepcam import climate, paths
from deepcam.config.types import (
    Backend,
    BatchSize,
    Cache,
    Channel,
    Devices,
    Flag,
    Fraction,
    Launcher,
    Length,
    Mode,
    Name,
    Natural,
    NumFiles,
    Path,
    Positive,
    Precision,
    Ranks,
    Reader,
    Seconds,
    Seed,
    Source,
    Text,
    Threads,
    Values,
)
from deepcam.errors import InputError, explain

RENAMED = {"benchmark.repeats": "benchmark.min_starts", "benchmark.starts": "benchmark.min_starts"}
"""Keys of earlier versions, and their successors."""


class Block(BaseModel):
    """A block of keys. No other keys are allowed in it, and it cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Block):
    """The samples that are read."""

    source: Source = Field(
        default="synthetic",
        description="`synthetic`, `nersc`, the path of a folder or list of samples, or the address that holds "
        "`<split>/files.txt`; passwords go into ~/.netrc",
    )
    split: Literal["train", "validation", "all"] = Field(default="validation", description="Part of the archive to use")
    num_files: NumFiles = Field(default=8, description="Number of samples, the first ones in sorted order, or `all`")
    files_per_shard: Positive = Field(default=4, description="Samples that one download or conversion job handles")
    allow_more_streams: Flag = Field(default=False, description="Allow over 4 streams; ask the server's owner first")
    streams: Positive = Field(
        default=4, description="Parallel downloads; the archive bans addresses that open more than 4"
    )
    height: Length = Field(
        default=climate.HEIGHT, description="Rows of a sample in pixels; downloaded samples must have this many"
    )
    width: Length = Field(
        default=climate.WIDTH, description="Columns of a sample in pixels; downloaded samples must have this many"
    )
    seed: Seed = Field(default=2026, description="Seed of the synthetic samples")
    keep_hdf5: Flag = Field(default=True, description="Keep the HDF5 files of a shard after its npy files are verified")
    allow_nonfinite: Flag = Field(default=False, description="Count values that are not finite instead of failing")
    dir: Path = Field(default="results/data", description="Folder of the data, on the storage to be measured")

    @pydantic.field_validator("streams")
    @classmethod
    def _limited(cls, streams: int, info: pydantic.ValidationInfo) -> int:
        if streams > 4 and not info.data.get("allow_more_streams"):
            raise ValueError("must be at most 4; more need data.allow_more_streams and the server owner's consent")
        return streams

    @pydantic.field_validator("dir")
    @classmethod
    def _outside_the_source(cls, folder: str, info: pydantic.ValidationInfo) -> str:
        source = info.data.get("source", "")
        if paths.is_local(source) and paths.is_inside(folder, source):
            raise ValueError("must not lie in data.source, where nothing is written")
        return folder

    @property
    def num_samples(self) -> int:
        """`num_files` as a number. Raises InputError for `all` of the synthetic samples, which have no end."""
        return climate.sample_count(self.source, self.split, self.num_files)


class Model(Block):
    """The pre-trained network."""

    parts: Path = Field(
        default="share", description="Folder with `model_part_*` and `SHA256SUMS`, relative to the Snakefile"
    )
    width_multiplier: Fraction = Field(
        default=0.25, description="Width of the network in the parts; 1.0 is the full DeepCAM"
    )
    channels: Values[Channel] = Field(default=climate.MODEL_CHANNELS, description="Channels that the network reads")


class Train(Block):
    """The recipe of the weights, for `snakemake train` only."""

    seed: Seed = Field(default=1, description="Seed of samples, weights and crops")
    samples: Positive = Field(default=64, description="Samples to train on; all are in memory, 14 MB each at full size")
    height: Length = Field(default=climate.HEIGHT, description="Rows of a sample and of a crop in pixels")
    width: Length = Field(default=climate.WIDTH, description="Columns of a sample in pixels")
    crop_width: Annotated[int, Field(strict=True, ge=16, le=2**15, multiple_of=16)] = Field(
        default=240, description="Columns of a crop in pixels, at most `width`"
    )
    batch_size: Annotated[Positive, Field(ge=2)] = Field(
        default=2, description="Crops per step; batch normalisation needs at least 2"
    )
    steps: Positive = Field(default=2500, description="Number of training steps")
    learning_rate: Fraction = Field(
        default=0.001, description="Peak of a schedule that rises linearly and falls like a cosine"
    )
    checkpoint_steps: Positive = Field(default=200, description="Steps between two checkpoints")
    evaluation_samples: Positive = Field(default=64, description="Held-out samples on which the IoU is computed")


class Engine(Block):
    """How the network is run."""

    backend: Backend = Field(description="What runs the network")
    precision: Precision = Field(
        default="auto", description="`auto` is the fastest that the device has in hardware; `tf32` needs a GPU"
    )
    cuda_graphs: Flag = Field(default=False, description="Replay one CUDA graph per batch size; needs a GPU")

    @property
    def name(self) -> str:
        """Backend, precision as configured, and graphs, such as aotinductor-auto-graphs."""
        return f"{self.backend}-{self.precision}" + ("-graphs" if self.cuda_graphs else "")


class ModeOverrides(Block):
    """The keys that replace those of `benchmark` in one mode."""

    readers: Values[Reader] | None = None
    cache: Values[Cache] | None = None
    ranks: Values[Ranks] | None = None
    local_batch_sizes: Values[BatchSize] | None = None
    inter_threads: Values[Threads] | None = None
    intra_threads: Values[Threads] | None = None
    runs: Positive | None = None

    @pydantic.model_serializer(mode="wrap")
    def _given(self, serialize: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in serialize(self).items() if value is not None}


class EngineModeOverrides(ModeOverrides):
    """The keys that replace those of `benchmark` in one mode that uses engines."""

    engines: Values[Text] | None = Field(default=None, description="Names of engines; without this key, all engines")


class PerMode(Block):
    """What differs in single modes."""

    io: ModeOverrides = ModeOverrides()
    compute: EngineModeOverrides = EngineModeOverrides()
    inference: EngineModeOverrides = EngineModeOverrides()
    train: ModeOverrides = ModeOverrides()


PER_MODE = PerMode(
    io=ModeOverrides(local_batch_sizes=(2,)),
    compute=EngineModeOverrides(ranks=(1,), local_batch_sizes=(2,)),
    inference=EngineModeOverrides(
        readers=("pread",), cache=("cold",), ranks=(1,), local_batch_sizes=(2,), inter_threads=(1,), runs=1
    ),
)
"""What differs in single modes unless it is configured."""


class Benchmark(Block):
    """The grid, and how each of its cells is measured."""

    modes: Values[Mode] = Field(default=("io", "compute", "inference"), description="What to measure")
    readers: Values[Reader] = Field(
        default=("dali-mmap", "pread", "pread-discard"), description="What reads the samples"
    )
    cache: Values[Cache] = Field(default=("cold", "warm"), description="State of the page cache before each run")
    shuffle: Literal["none", "rank", "global"] = Field(
        default="none",
        description="Shuffle samples in each epoch, within each rank or across all ranks",
    )
    drop_caches: Flag = Field(
        default=False, description="Drop all of the kernel's caches before each cold run; needs root"
    )
    ranks: Values[Ranks] = Field(default=(1, 2), description="MPI processes of a job")
    ranks_per_node: Positive = Field(default=8, description="Ranks on each node of a cluster")
    local_batch_sizes: Values[BatchSize] = Field(default=(1, 2), description="Samples per batch and rank")
    inter_threads: Values[Threads] = Field(default=(1, 4), description="Samples that a rank reads at the same time")
    intra_threads: Values[Threads] = Field(default=(1,), description="Chunks of a sample that are read in parallel")
    max_threads: Positive = Field(
        default=32, description="Leave out cells in which inter_threads x intra_threads is more than this"
    )
    max_node_threads: Positive = Field(
        default=4,
        description="Leave out cells in which the ranks of a node together have more reader threads than this",
    )
    warmup_runs: Natural = Field(default=1, description="Runs before those that count, in the same processes")
    runs: Positive = Field(default=2, description="Runs that count, in the same processes")
    min_seconds: Seconds = Field(default=0.2, description="Runs last at least this many seconds")
    precision: Fraction = Field(
        default=0.1, description="Half-width of the 95 % confidence interval to reach, relative to the throughput"
    )
    min_starts: Positive = Field(default=4, description="Starts of each configuration, in fresh processes, at least")
    max_starts: Positive = Field(default=8, description="Starts of each configuration at most")
    max_seconds: Positive = Field(
        default=120, description="No start beyond min_starts once those of a configuration have taken this long"
    )
    minutes: Positive = Field(
        default=5, description="No start beyond min_starts once those of the whole grid have taken this long"
    )
    timeout_seconds: Positive = Field(default=1800, description="A start that takes more seconds is ended and fails")
    per_mode: PerMode = Field(default=PER_MODE, description="Keys that differ in one mode")
    launcher: Launcher = Field(
        default="mpirun --allow-run-as-root --bind-to none --map-by :OVERSUBSCRIBE --mca pml ob1 --mca btl self,sm"
        " -n {ranks}",
        description="Command that starts `{ranks}` processes on this machine; not for one rank",
    )

    @pydantic.field_validator("max_starts")
    @classmethod
    def _not_below_the_least(cls, starts: int, info: pydantic.ValidationInfo) -> int:
        if starts < info.data.get("min_starts", 1):
            raise ValueError(f"must be at least min_starts, {info.data['min_starts']}")
        return starts

    @pydantic.field_validator("max_seconds", "timeout_seconds")
    @classmethod
    def _enough_for_a_start(cls, seconds: int, info: pydantic.ValidationInfo) -> int:
        known = info.data
        if {"warmup_runs", "runs", "min_seconds"} <= known.keys():
            least = math.ceil((known["warmup_runs"] + known["runs"]) * known["min_seconds"])
            if seconds < least:
                raise ValueError(f"must be at least {least}, because the runs of a start take that long")
        return seconds

    def of_mode(self, mode: str) -> Benchmark:
        """This block with the keys of `per_mode` for `mode` in place of the common ones."""
        return self.model_copy(update=getattr(self.per_mode, mode).model_dump(exclude={"engines"}))


class Cluster(Block):
    """Resources that jobs request from a cluster; ignored on a single machine."""

    account: Name = Field(default="", description="Account that jobs are charged to; empty: the user's default")
    partition: Name = Field(default="", description="Partition that jobs are sent to; empty: the cluster's default")
    minutes: Positive = Field(default=60, description="Time limit of each job in minutes")
    launcher: Launcher = Field(
        default="srun --mpi=pmix --cpu-bind=none --kill-on-bad-exit=1 --ntasks={ranks}"
        " --ntasks-per-node={ranks_per_node}",
        description="Command that starts `{ranks}` processes, `{ranks_per_node}` on each node; not for one rank",
    )


class Report(Block):
    """What the report has only if it is configured."""

    time_series: Flag = Field(default=False, description="Draw the throughput over time of each configuration")


class Config(Block):
    """Configuration of the DeepCAM benchmark workflow."""

    data: Data = Data()
    model: Model = Model()
    train: Train = Train()
    engines: Values[Engine] = Field(
        default=(Engine(backend="eager", precision="fp32"), Engine(backend="aotinductor")),
        description="Engines that are built for each device",
    )
    devices: Devices = Field(
        default="cpu", description="`cpu`, a list of GPU indices, or `auto`: all GPUs, else the CPU"
    )
    benchmark: Benchmark = Benchmark()
    report: Report = Report()
    cluster: Cluster = Cluster()


def parse(mapping: Mapping[str, Any]) -> Config:
    """The configuration with defaults in place of missing keys. Raises InputError with one line per mistake."""
    try:
        return Config.model_validate(dict(mapping))
    except pydantic.ValidationError as error:
        raise InputError(*explain(error, Config, RENAMED)) from None
