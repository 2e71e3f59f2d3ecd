"""The grid: from the configuration to benchmark cells. Pure functions."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from deepcam.errors import InputError

NONE = "none"
"""What a field holds where the mode has no use for it."""


@dataclasses.dataclass(frozen=True)
class ModeTraits:
    """What sets a mode apart from the others."""

    reads: bool = True
    """Reads samples, so that its cells have a reader, a state of the page cache, and threads."""
    infers: bool = False
    """Turns samples into masks, so that its cells have an engine."""
    trains: bool = False
    """Trains the network with each batch, which batch normalisation does not allow for a batch of one sample."""


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
    """Reads a sample in as many pieces as intra-sample threads; others have cells with one such thread only."""
    gpu: bool = False
    """Reads into the memory of a GPU, and of nothing else."""
    direct: bool = False
    """Always goes past the page cache: it reads storage whatever that holds, so it has no warm cells."""
    discards: bool = False
    """Throws away what it reads: no engine can follow it, so it has io cells only."""


READERS = {
    "dali-mmap": ReaderTraits("dali"),
    "dali-buffered": ReaderTraits("dali"),
    "dali-direct": ReaderTraits("dali", chunks=True, direct=True),
    "dali-gds": ReaderTraits("dali", chunks=True, gpu=True, direct=True),
    "pread": ReaderTraits("pread", chunks=True),
    "torch": ReaderTraits("torch"),
    "numpy": ReaderTraits("numpy"),
    "pread-discard": ReaderTraits("pread", chunks=True, discards=True),
}

RENAMED_READERS = {"raw": "pread-discard"}
"""Names of an earlier version, which are understood in this version only."""


def current_reader(name: str) -> str:
    """The present name of a reader. An old one is answered with a warning on stderr."""
    if name not in RENAMED_READERS:
        return name
    print(f"warning: reader {name} is now called {RENAMED_READERS[name]}; use the new name", file=sys.stderr)
    return RENAMED_READERS[name]


CELL_ID = re.compile(
    r"(?P<mode>io|compute|inference|train)"
    r"_(?P<reader>[a-z]+(?:-[a-z]+)?)_(?P<cache>cold|warm|none)_(?P<engine>[a-z0-9]+(?:-[a-z0-9]+)*)"
    r"_r(?P<ranks>\d{4})_b(?P<local_batch_size>\d{3})_t(?P<inter_threads>\d{2})x(?P<intra_threads>\d{2})"
)


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One point of the grid. `local_batch_size` is per rank; threads are per rank too."""

    mode: Annotated[str, Field(pattern="^(io|compute|inference|train)$", description="What is measured.")]
    reader: Annotated[str, Field(description="How samples are read; none in mode compute.")]
    cache: Annotated[str, Field(pattern="^(cold|warm|none)$", description="State of the page cache before each run.")]
    engine: Annotated[str, Field(description="What computes; none in modes io and train.")]
    ranks: Annotated[int, Field(ge=1, description="Number of MPI ranks.")]
    local_batch_size: Annotated[int, Field(ge=1, description="Samples in a batch of one rank.")]
    inter_threads: Annotated[int, Field(ge=1, description="Samples that one rank reads at the same time.")]
    intra_threads: Annotated[int, Field(ge=1, description="Chunks of one sample that are read at the same time.")]

    @property
    def id(self) -> str:
        """Readable, sortable, and safe as a file name."""
        return (
            f"{self.mode}_{self.reader}_{self.cache}_{self.engine}"
            f"_r{self.ranks:04d}_b{self.local_batch_size:03d}_t{self.inter_threads:02d}x{self.intra_threads:02d}"
        )

    @classmethod
    def from_id(cls, identifier: str) -> Cell:
        """The inverse of `id`."""
        match = CELL_ID.fullmatch(identifier)
        if match is None:
            raise InputError(f"{identifier}: not a cell id; ids look like {_EXAMPLE.id}")
        fields = match.groupdict()
        return cls(**{k: int(v) if v.isdigit() else v for k, v in fields.items()})


_EXAMPLE = Cell("io", "dali-mmap", "cold", NONE, 1, 1, 2, 1)


def engine_name(engine: Mapping[str, Any]) -> str:
    """Name of an entry of `engines`: backend, precision as asked for, and graphs, such as aotinductor-auto-graphs."""
    return f"{engine['backend']}-{engine['precision']}" + ("-graphs" if engine["cuda_graphs"] else "")


def cells(config: Mapping[str, Any]) -> list[Cell]:
    """All cells of a validated configuration, sorted. An empty grid is an InputError that names what to widen."""
    found: set[Cell] = set()
    built = [engine_name(engine) for engine in config["engines"]]
    for mode in config["benchmark"]["modes"]:
        for name in of_mode(mode, config)["readers"]:
            if name not in READERS:
                raise InputError(f"benchmark.readers: {name} is unknown; known are {', '.join(READERS)}")
        for name in of_mode(mode, config).get("engines", []):
            if name not in built:
                raise InputError(
                    f"benchmark.per_mode.{mode}.engines: {name} is not built; built are {', '.join(built)}"
                )
        found_of_mode = _cells_of_mode(mode, config)
        if not found_of_mode:
            raise InputError(
                f"benchmark: mode {mode} has no cell; widen readers, cache, threads, or batches (train: 2)"
            )
        found |= found_of_mode
    needed = max(cell.ranks * cell.local_batch_size for cell in found)
    if needed > config["data"]["num_files"]:
        raise InputError(
            f"data.num_files: {config['data']['num_files']} is less than the largest global batch, {needed} "
            "(ranks x local batch size); raise it, or lower benchmark.ranks or benchmark.local_batch_sizes"
        )
    return sorted(found)


def refuse_gpu_readers(cells: Iterable[Cell]) -> None:
    """Raise InputError where a cell's reader needs a GPU: for machines without one."""
    for cell in cells:
        if cell.reader != NONE and READERS[cell.reader].gpu:
            raise InputError(f"benchmark.readers: {cell.reader} needs a GPU, and devices: here that is the CPU")


def refuse_on_cluster(devices: str | list[int], ranks_per_node: int) -> None:
    """Raise InputError where `devices` says not what a cluster's jobs have, or a node has more ranks than GPUs."""
    if devices == "cpu":
        return
    if isinstance(devices, str):
        raise InputError(
            "devices: auto looks at this machine, but jobs run on others; state cpu, or indices of a node's GPUs"
        )
    counted = list(range(len(devices)))
    if devices != counted:
        raise InputError(
            f"devices: {devices}: a job counts the GPUs that it is given from 0; {len(counted)} on a node are {counted}"
        )
    if ranks_per_node > len(devices):
        raise InputError(
            f"benchmark.ranks_per_node: {ranks_per_node} ranks would share the {len(devices)} GPUs of a node that "
            f"devices names; lower it to {len(devices)}"
        )


def of_mode(mode: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The benchmark's settings for the cells of one mode."""
    return {**config["benchmark"], **config["benchmark"]["per_mode"].get(mode, {})}


def _cells_of_mode(mode: str, config: Mapping[str, Any]) -> set[Cell]:
    axes = of_mode(mode, config)
    engines = axes.get("engines", [engine_name(engine) for engine in config["engines"]])
    if mode == "compute":
        return {
            Cell(mode, NONE, NONE, *x, 1, 1)
            for x in itertools.product(engines, axes["ranks"], axes["local_batch_sizes"])
        }
    readers = axes["readers"]
    if mode in ("inference", "train"):
        readers = [reader for reader in readers if not READERS[reader].discards]
    product = (
        Cell(mode, *fields)
        for fields in itertools.product(
            readers,
            axes["cache"],
            engines if mode == "inference" else [NONE],
            axes["ranks"],
            axes["local_batch_sizes"],
            axes["inter_threads"],
            axes["intra_threads"],
        )
    )
    return {cell for cell in product if _exists(cell, axes["max_threads"])}


def _exists(cell: Cell, max_threads: int) -> bool:
    if cell.mode == "train" and cell.local_batch_size == 1:  # batch norm of the pooled features has no variance then
        return False
    if cell.cache == "warm" and READERS[cell.reader].direct:
        return False
    if cell.intra_threads > 1 and not READERS[cell.reader].chunks:
        return False
    return cell.inter_threads * cell.intra_threads <= max_threads


def shard_ids(num_files: int, files_per_shard: int) -> list[str]:
    """Five-digit ids of the shards that hold `num_files` files."""
    return [f"{i:05d}" for i in range(-(-num_files // files_per_shard))]
