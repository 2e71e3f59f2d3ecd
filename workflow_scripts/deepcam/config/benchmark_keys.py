"""The keys of the block `benchmark`: the grid, and how its cells are measured."""

from __future__ import annotations

import math
from typing import Any, Literal

import pydantic
from pydantic import Field

from deepcam.config.block import Block
from deepcam.config.types import (
    BatchSize,
    Cache,
    Flag,
    Fraction,
    Launcher,
    Mode,
    Name,
    Natural,
    Positive,
    Ranks,
    Reader,
    Seconds,
    Threads,
    Values,
)


class ModeOverrides(Block):
    """The keys that replace those of `benchmark` in this mode."""

    readers: Values[Reader] | None = None
    cache: Values[Cache] | None = None
    ranks: Values[Ranks] | None = None
    local_batch_sizes: Values[BatchSize] | None = None
    inter_threads: Values[Threads] | None = None
    intra_threads: Values[Threads] | None = None
    runs: Positive | None = None
    min_seconds: Seconds | None = None

    @pydantic.model_serializer(mode="wrap")
    def _given(self, serialize: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in serialize(self).items() if value is not None}


class EngineModeOverrides(ModeOverrides):
    """The keys that replace those of `benchmark` in this mode."""

    engines: Values[Name] | None = Field(default=None, description="Names of engines; without this key, all engines")


class PerMode(Block):
    """What differs in single modes."""

    io: ModeOverrides = ModeOverrides()
    compute: EngineModeOverrides = EngineModeOverrides()
    inference: EngineModeOverrides = EngineModeOverrides()
    train: ModeOverrides = ModeOverrides()


PER_MODE = PerMode(
    io=ModeOverrides(local_batch_sizes=(2,)),
    compute=EngineModeOverrides(ranks=(1,), local_batch_sizes=(2,), runs=2),
    inference=EngineModeOverrides(
        engines=("aotinductor-auto",),
        readers=("pread",),
        cache=("cold",),
        ranks=(1,),
        local_batch_sizes=(2,),
        inter_threads=(1,),
        runs=1,
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
    ranks_per_node: Positive = Field(
        default=8, description="Ranks on a node, at most; `max_node_threads` counts with it on one machine, too"
    )
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
    runs: Positive = Field(default=3, description="Runs that count, in the same processes")
    min_seconds: Seconds = Field(default=0.2, description="Runs last at least this many seconds")
    precision: Fraction = Field(
        default=0.1, description="Half-width of the 95 % confidence interval to reach, relative to the throughput"
    )
    min_starts: Positive = Field(default=4, description="Starts of each configuration, in fresh processes, at least")
    max_starts: Positive = Field(default=8, description="Starts of each configuration at most")
    max_seconds: Positive = Field(
        default=120,
        description="Seconds for the starts of one configuration; once they have taken longer, only min_starts counts",
    )
    minutes: Positive = Field(
        default=5,
        description="Minutes for the starts of the whole grid; once they have taken longer, only min_starts counts",
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
