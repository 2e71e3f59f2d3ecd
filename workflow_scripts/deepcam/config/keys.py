"""The configuration: every key with its type, default, unit and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from deepcam import climate, paths
from deepcam.config.benchmark_keys import PER_MODE, Benchmark
from deepcam.config.block import Block
from deepcam.config.layers import merge
from deepcam.config.types import (
    Backend,
    Channel,
    Devices,
    Flag,
    Folders,
    Fraction,
    HeaderBytes,
    Launcher,
    Length,
    Name,
    Natural,
    NumFiles,
    Path,
    Positive,
    Precision,
    Seed,
    Share,
    Source,
    Values,
)
from deepcam.errors import InputError, explain

RENAMED = {"benchmark.repeats": "benchmark.min_starts", "benchmark.starts": "benchmark.min_starts"}
"""Keys of earlier versions, and their successors."""


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
    npy_header_bytes: HeaderBytes = Field(
        default=128,
        description="Bytes of the header of npy files that are made; with 4096, the data begin at a page boundary",
    )
    allow_nonfinite: Flag = Field(default=False, description="Count values that are not finite instead of failing")
    dir: Folders = Field(
        default="results/data",
        description="Folder of the data, on the storage to be measured; to compare storages, a block with a name and a "
        "folder for each",
    )

    @pydantic.field_validator("streams")
    @classmethod
    def _limited(cls, streams: int, info: pydantic.ValidationInfo) -> int:
        if streams > 4 and not info.data.get("allow_more_streams"):
            raise ValueError("must be at most 4; more need data.allow_more_streams and the server owner's consent")
        return streams

    @pydantic.field_validator("dir")
    @classmethod
    def _outside_the_source(cls, given: str | dict[str, str], info: pydantic.ValidationInfo) -> str | dict[str, str]:
        source = info.data.get("source", "")
        folders = [given] if isinstance(given, str) else given.values()
        if paths.is_local(source) and any(paths.is_inside(folder, source) for folder in folders):
            raise ValueError("must not lie in data.source, where nothing is written")
        return given

    @property
    def places(self) -> dict[str, str]:
        """The folders of `dir` by the names of their places; the name of a single one is empty.

        The samples are made at the first place, and copied to the others.
        """
        return {"": self.dir} if isinstance(self.dir, str) else self.dir

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
    samples: Positive = Field(
        default=128, description="Samples to train on; all are in memory, 14 MB each at full size"
    )
    height: Length = Field(default=climate.HEIGHT, description="Rows of a sample and of a crop in pixels")
    width: Length = Field(default=climate.WIDTH, description="Columns of a sample in pixels")
    crop_width: Annotated[int, Field(strict=True, ge=16, le=2**15, multiple_of=16)] = Field(
        default=240, description="Columns of a crop in pixels, at most `width`"
    )
    event_crops: Share = Field(
        default=0.5, description="Share of crops that are chosen for their events; the others are random"
    )
    batch_size: Annotated[Positive, Field(ge=2)] = Field(
        default=2, description="Crops per step; batch normalisation needs at least 2"
    )
    steps: Positive = Field(default=5000, description="Number of training steps")
    learning_rate: Fraction = Field(
        default=0.002, description="Peak of a schedule that rises linearly and falls like a cosine"
    )
    checkpoint_steps: Positive = Field(default=200, description="Steps between two checkpoints")
    evaluation_samples: Positive = Field(default=64, description="Held-out samples on which the IoU is computed")


class Engine(Block):
    """How the network is run."""

    backend: Backend = Field(
        description="What runs the network; `auto` measures the candidates that are accurate enough and takes the "
        "most precise one that needs at most 10 % more time than the fastest"
    )
    precision: Precision = Field(
        default="auto",
        description="`auto` chooses as it does for `backend`; `tf32` needs a GPU, `int8` needs OpenVINO",
    )
    cuda_graphs: Flag = Field(default=False, description="Replay one CUDA graph per batch size; needs a GPU")

    @property
    def name(self) -> str:
        """Backend, precision as configured, and graphs, such as aotinductor-auto-graphs."""
        return f"{self.backend}-{self.precision}" + ("-graphs" if self.cuda_graphs else "")


class Cluster(Block):
    """Resources that jobs request from a cluster; ignored on a single machine."""

    account: Name = Field(default="", description="Account that jobs are charged to; empty: the site's profile decides")
    partition: Name = Field(
        default="", description="Partition that jobs are sent to; empty: the site's profile decides"
    )
    minutes: Natural = Field(default=0, description="Time limit of each job in minutes; 0: the site's profile decides")
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


def parse(*layers: Mapping[str, Any]) -> Config:
    """Merge the layers into one configuration. A later layer overrides an earlier one; defaults fill missing keys.

    Raises InputError with one line per mistake.
    """
    defaults = {"benchmark": {"per_mode": PER_MODE.model_dump()}}
    try:
        return Config.model_validate(merge([defaults, *layers]))
    except pydantic.ValidationError as error:
        raise InputError(*explain(error, Config, RENAMED)) from None
