"""The grid: which cells a configuration asks for, and which cells there can be. Pure functions."""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from deepcam.errors import InputError

if TYPE_CHECKING:  # config takes the names of modes and readers from here
    from deepcam.config import Benchmark, Config

MAX_JOBS = 100_000
"""The largest number of cells, of records and of shards. Snakemake would be busy with more of them for hours."""

NONE = "none"
"""The value of a field for which the cell's mode has no use."""

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""A name of a reader or an engine, which is part of file names, tables and figures."""

LARGEST_NUMBER = 2**16
"""Of ranks, of samples in a batch, and of threads."""

Number = Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]


@dataclasses.dataclass(frozen=True)
class ModeTraits:
    """What sets a mode apart from the others."""

    reads: bool = True
    """Reads samples, so that its cells have a reader, a state of the page cache, and threads."""
    infers: bool = False
    """Turns samples into masks, so that its cells have an engine."""
    trains: bool = False
    """Trains the network with each batch."""


MODES = {
    "io": ModeTraits(),
    "compute": ModeTraits(reads=False, infers=True),
    "inference": ModeTraits(infers=True),
    "train": ModeTraits(trains=True),
}


@dataclasses.dataclass(frozen=True)
class ReaderTraits:
    """What sets a reader apart from the others. How it reads is in its module of the package `readers`."""

    module: str
    chunks: bool = False
    """Reads a sample in as many pieces as there are intra-sample threads. Other readers have one such thread."""
    gpu: bool = False
    """Reads into the memory of a GPU only."""
    direct: bool = False
    """Always bypasses the page cache, so that it has no warm cells."""
    discards: bool = False
    """Discards what it reads, so that no engine can follow it: it has cells of mode io only."""
    calls: bool = True
    """Reads with read calls, which the kernel counts. Mapped files and GPUDirect Storage are not counted."""


READERS = {
    "dali-mmap": ReaderTraits("dali", calls=False),
    "dali-buffered": ReaderTraits("dali"),
    "dali-direct": ReaderTraits("dali", chunks=True, direct=True),
    "dali-gds": ReaderTraits("dali", chunks=True, gpu=True, direct=True, calls=False),
    "kvikio": ReaderTraits("kvikio", gpu=True),
    "pread": ReaderTraits("pread", chunks=True),
    "torch": ReaderTraits("torch"),
    "numpy": ReaderTraits("numpy"),
    "pread-discard": ReaderTraits("pread", chunks=True, discards=True),
}

RENAMED_READERS = {"raw": "pread-discard"}
"""Names of the previous version, which are still understood in this one."""


def current_reader(name: str) -> str:
    """The present name of a reader. An old name is answered with a warning on stderr."""
    if name not in RENAMED_READERS:
        return name
    print(f"warning: reader {name} is now called {RENAMED_READERS[name]}; use the new name", file=sys.stderr)
    return RENAMED_READERS[name]


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One point of the grid. The batch size and both numbers of threads are per rank."""

    mode: Annotated[str, Field(pattern="^(io|compute|inference|train)$", description="What is measured.")]
    reader: Annotated[str, Field(pattern=NAME, description="How samples are read; none in mode compute.")]
    cache: Annotated[str, Field(pattern="^(cold|warm|none)$", description="State of the page cache before each run.")]
    engine: Annotated[str, Field(pattern=NAME, description="What computes; none in modes io and train.")]
    ranks: Annotated[Number, Field(description="Number of MPI ranks.")]
    local_batch_size: Annotated[Number, Field(description="Samples in a batch of one rank.")]
    inter_threads: Annotated[Number, Field(description="Samples that one rank reads at the same time.")]
    intra_threads: Annotated[Number, Field(description="Chunks of one sample that are read at the same time.")]
    storage: Annotated[
        str,
        Field(
            pattern=f"^$|{NAME}",
            description="Place that is read, a name in data.dir; empty if the only place has no name, and in mode "
            "compute.",
        ),
    ] = ""

    @property
    def id(self) -> str:
        """A name that is readable, sortable, and safe as a file name."""
        return (
            f"{self.mode}_{self.reader}_{self.cache}_{self.engine}"
            f"_r{self.ranks:04d}_b{self.local_batch_size:03d}_t{self.inter_threads:02d}x{self.intra_threads:02d}"
            + (f"_{self.storage}" if self.storage else "")
        )

    def problem(self, devices: Sequence[str] = ()) -> str | None:
        """Why there can be no such cell, or None if there can be.

        With `devices`, those that the cell would run on count too: cpu, or the names of GPUs.
        """
        mode = MODES[self.mode]
        if not mode.reads:
            for field, value in (("reader", self.reader), ("cache", self.cache)):
                if value != NONE:
                    return f"mode {self.mode} and {field} {value} contradict each other: nothing is read"
            if self.storage:
                return f"mode {self.mode} and storage {self.storage} contradict each other: nothing is read"
            return None
        for field, value in (("reader", self.reader), ("cache", self.cache)):
            if value == NONE:
                return f"mode {self.mode} and {field} none contradict each other: samples are read"
        if mode.trains and self.local_batch_size == 1:
            return (
                f"mode {self.mode} and 1 sample per batch and rank contradict each other: batch normalisation needs at "
                "least 2"
            )
        return self._problem_of_reader(devices)

    def _problem_of_reader(self, devices: Sequence[str]) -> str | None:
        reader = READERS[self.reader]
        if reader.discards and self.mode != "io":
            return f"reader {self.reader} and mode {self.mode} contradict each other: it discards what it reads"
        if reader.direct and self.cache == "warm":
            return f"reader {self.reader} and cache warm contradict each other: it bypasses the page cache"
        if reader.gpu and "cpu" in devices:
            return f"reader {self.reader} needs a GPU, but the device is the CPU"
        if self.intra_threads > 1 and not reader.chunks:
            return (
                f"reader {self.reader} and {self.intra_threads} intra-sample threads contradict each other: it reads a "
                "sample in one piece"
            )
        return None


def cells(settings: Config) -> list[Cell]:
    """All cells of a configuration, sorted.

    Raises InputError for a mode without any, for too few samples, and for more jobs than Snakemake can handle.
    """
    found = {cell for mode in settings.benchmark.modes for cell in _cells_of_mode(mode, settings)}
    needed = max(cell.ranks * cell.local_batch_size for cell in found)
    if needed > settings.data.num_samples:
        raise InputError(
            f"data.num_files: {settings.data.num_samples} is less than the largest global batch, {needed} "
            "(ranks x local batch size); raise it, or lower benchmark.ranks or benchmark.local_batch_sizes"
        )
    _limit("benchmark.max_starts", len(found) * settings.benchmark.max_starts, "records")
    _limit("data.files_per_shard", math.ceil(settings.data.num_samples / settings.data.files_per_shard), "shards")
    return sorted(found)


def node_count(ranks: int, ranks_per_node: int) -> int:
    """The number of nodes that ranks take."""
    return math.ceil(ranks / ranks_per_node)


def ranks_on_node(ranks: int, ranks_per_node: int) -> int:
    """The most ranks on one node if they are spread evenly over as few nodes as hold them."""
    return math.ceil(ranks / node_count(ranks, ranks_per_node))


def groups(cells: Iterable[Cell], ranks_per_node: int) -> dict[str, list[Cell]]:
    """The cells by the number of nodes that they need. Those of a group are measured together, in one job."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(f"nodes-{node_count(cell.ranks, ranks_per_node)}", []).append(cell)
    return found


def _limit(key: str, number: int, things: str) -> None:
    if number > MAX_JOBS:
        raise InputError(f"{key}: makes {number:,} {things}; at most {MAX_JOBS:,} are possible")


def _cells_of_mode(mode: str, settings: Config) -> list[Cell]:
    axes, reads = settings.benchmark.of_mode(mode), MODES[mode].reads
    values: list[Sequence[Any]] = [
        axes.readers if reads else [NONE],
        axes.cache if reads else [NONE],
        _engines(mode, settings) if MODES[mode].infers else [NONE],
        axes.ranks,
        axes.local_batch_sizes,
        axes.inter_threads if reads else [1],
        axes.intra_threads if reads else [1],
        list(settings.data.places) if reads else [""],
    ]
    _limit("benchmark", math.prod(map(len, values)), f"combinations in mode {mode}")
    asked = [Cell(mode, *fields) for fields in itertools.product(*values)]
    problems = {cell: cell.problem() for cell in asked}
    possible = [cell for cell, problem in problems.items() if problem is None]
    if not possible:
        raise InputError(f"benchmark: mode {mode} has no cell; {problems[asked[0]]}")
    if not reads:
        return possible
    excesses = {cell: _excess_of_threads(cell, axes) for cell in possible}
    left = [cell for cell, excess in excesses.items() if excess is None]
    for key in ("ranks", "inter_threads", "intra_threads"):
        kept = {getattr(cell, key) for cell in left}
        for cell, excess in excesses.items():
            if getattr(cell, key) not in kept:  # leaving out single cells is what the limits are for, but not a value
                raise InputError(f"benchmark.{key}: mode {mode} has no cell with {getattr(cell, key)}; {excess}")
    return left


def _excess_of_threads(cell: Cell, axes: Benchmark) -> str | None:
    """Why a cell has more threads than a rank or a node may have, or None if it has not."""
    ranks = ranks_on_node(cell.ranks, axes.ranks_per_node)
    words, threads = f"{cell.inter_threads} x {cell.intra_threads}", cell.inter_threads * cell.intra_threads
    if threads > axes.max_threads:
        return f"{words} threads are more than max_threads, {axes.max_threads}"
    if ranks * threads > axes.max_node_threads:
        return f"{ranks} x {words} threads on a node are more than max_node_threads, {axes.max_node_threads}"
    return None


def _engines(mode: str, settings: Config) -> Sequence[str]:
    """Names of the engines of a mode."""
    built = [engine.name for engine in settings.engines]
    asked = getattr(settings.benchmark.per_mode, mode).engines or built
    for name in asked:
        if name not in built:
            raise InputError(f"benchmark.per_mode.{mode}.engines: {name} is not built; built are {', '.join(built)}")
    return asked


def check_devices(cells: Iterable[Cell], devices: Sequence[str]) -> None:
    """Raise InputError for a cell that cannot run on `devices`: cpu, or the names of GPUs."""
    for cell in cells:
        if problem := cell.problem(devices):
            raise InputError(f"benchmark: {problem}; change benchmark.readers or devices")


def check_training(cells: Iterable[Cell], devices: Sequence[str]) -> None:
    """Raise InputError for a cell that trains with more ranks than `devices` has GPUs: NCCL refuses to share one."""
    for cell in cells:
        if MODES[cell.mode].trains and "cpu" not in devices and cell.ranks > len(devices):
            raise InputError(
                f"benchmark.ranks: mode {cell.mode} needs a GPU for each of {cell.ranks} ranks, but devices has "
                f"{len(devices)}; lower benchmark.per_mode.{cell.mode}.ranks"
            )


def check_cluster(devices: str | Sequence[int], ranks_per_node: int) -> None:
    """Raise InputError if `devices` does not say what a cluster's jobs have, or a node has more ranks than GPUs."""
    if devices == "cpu":
        return
    if isinstance(devices, str):
        raise InputError(
            "devices: auto looks at this machine, but jobs run on others; state cpu, or indices of a node's GPUs"
        )
    counted = list(range(len(devices)))
    if list(devices) != counted:
        raise InputError(
            f"devices: {list(devices)} is not possible on a cluster, because each job numbers its GPUs from 0; for "
            f"{len(counted)} GPUs per node, write {counted}"
        )
    if ranks_per_node > len(devices):
        raise InputError(
            f"benchmark.ranks_per_node: {ranks_per_node} ranks would share the {len(devices)} GPUs of a node that "
            f"devices names; lower it to {len(devices)}"
        )


def shard_ids(num_files: int, files_per_shard: int) -> list[str]:
    """Five-digit ids of the shards that hold `num_files` files."""
    return [f"{i:05d}" for i in range(math.ceil(num_files / files_per_shard))]
