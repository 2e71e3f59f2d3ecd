"""What a run takes: samples, bytes, jobs and time. Pure functions of the configuration and the jobs of a dry run.

Numbers of jobs are exact, and bytes except for a few KB in the header of an archive's file. Times are estimates.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from deepcam import climate, grid
from deepcam.config import Config, Data
from deepcam.grid import Cell
from deepcam.plan import estimates
from deepcam.plan.dry_run import Job

PIXEL_BYTES = 4 * (len(climate.CHANNELS) + len(climate.LABELS))
HDF5_HEADER_BYTES = 4728
"""Of a synthetic HDF5 file."""

LAST_STAGE = "tables and figures"
"""The stage of all rules that are not in STAGES."""

STAGES = {
    "fetch_file_index": "data",
    "download_shard": "data",
    "synthesize_shard": "data",
    "link_shard": "data",
    "convert_shard": "data",
    "describe_dataset": "data",
    "describe_npy_in_place": "data",
    "assemble_model": "engines",
    "compile_engine": "engines",
    "predict_reference": "engines",
    "check_accuracy": "engines",
    "choose_engine": "engines",
    "run_rounds": "benchmark",
}
"""Rules and their stages."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """The jobs of a stage, and about how long they take."""

    name: str
    jobs: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """What there is to do. `new` is what the jobs make, whether or not an earlier version of it exists."""

    samples: int
    shards: int
    new_samples: int
    download_bytes: int
    disk_bytes: Mapping[str, int]
    """Bytes of the new files at each place. If HDF5 files are removed, two shards of them exist at a time."""
    cells: Sequence[Cell]
    new_cells: Sequence[Cell]
    """The cells that have fewer starts than benchmark.min_starts."""
    new_starts: int
    """Number of starts that they lack. Cells that are not precise enough then get more."""
    assumed: int
    """Number of new cells whose rate is assumed because nothing like them was measured."""
    too_long: int
    """Number of new cells whose starts would exceed benchmark.timeout_seconds."""
    engines: int
    new_engines: int
    stages: Sequence[Stage]


def make(
    config: Config,
    devices: Sequence[str],
    jobs: Sequence[Job],
    rates: Mapping[estimates.RateKey, float],
    starts: Mapping[str, int],
    cores: int,
) -> Plan:
    """The plan for `devices` (cpu, cuda0, ...).

    `rates` are measured ones, in samples per second. `starts` is the number of records that cells have, by their ids.
    """
    data, samples = config.data, config.data.num_samples
    hdf5, npy = sample_bytes(data)
    copy = estimates.sample_bytes(data) + data.npy_header_bytes
    downloaded, synthesized, converted = (
        samples_in(_wildcards(jobs, rule, "shard"), data)
        for rule in ("download_shard", "synthesize_shard", "convert_shard")
    )
    copied = {
        place: samples_in(_wildcards(jobs, f"copy_shard_to_{place}", "shard"), data) for place in list(data.places)[1:]
    }
    new_hdf5 = downloaded + synthesized
    hdf5_at_a_time = new_hdf5 if data.keep_hdf5 else min(new_hdf5, 2 * data.files_per_shard)

    cells = grid.cells(config)
    groups = grid.groups(cells, config.benchmark.ranks_per_node)
    lacking = {
        cell: max(0, config.benchmark.min_starts - starts.get(cell.id, 0))
        for group in _wildcards(jobs, "run_rounds", "group")
        for cell in groups[group]
    }
    new_cells = [cell for cell, number in lacking.items() if number]
    start_seconds = {cell: estimates.start(cell, config, samples, devices, cores, rates) for cell in new_cells}
    new_engines = _wildcards(jobs, "compile_engine", "engine")

    of_rule = collections.Counter(job.rule for job in jobs)
    of_copies = [f"{rule}_{place}" for place in copied for rule in ("copy_shard_to", "describe_copies_on")]
    stages = STAGES | dict.fromkeys(of_copies, "data")
    of_stage = collections.Counter(stages.get(job.rule, LAST_STAGE) for job in jobs)
    described = samples if of_rule["describe_dataset"] else 0
    predictions = sum(of_rule[rule] for rule in ("predict_reference", "check_accuracy", "choose_engine"))
    seconds = {
        "data": downloaded * hdf5 / estimates.DOWNLOAD_RATE
        + estimates.synthesis(synthesized, data, cores)
        + (converted * hdf5 + described * npy + sum(copied.values()) * copy) / estimates.DISK_RATE,
        "engines": sum(map(estimates.engine, new_engines)) + predictions * estimates.CHECK_SECONDS,
        "benchmark": sum(lacking[cell] * start for cell, start in start_seconds.items()),
        LAST_STAGE: of_stage[LAST_STAGE] * estimates.REPORT_SECONDS,
    }
    return Plan(
        samples=samples,
        shards=len(grid.shard_ids(samples, data.files_per_shard)),
        new_samples=converted,
        download_bytes=downloaded * hdf5,
        disk_bytes={next(iter(data.places)): converted * npy + hdf5_at_a_time * hdf5}
        | {place: number * copy for place, number in copied.items()},
        cells=cells,
        new_cells=new_cells,
        new_starts=sum(lacking.values()),
        assumed=sum(estimates.rate_key(cell) not in rates for cell in new_cells),
        too_long=sum(start > config.benchmark.timeout_seconds for start in start_seconds.values()),
        engines=len({cell.engine for cell in cells} - {grid.NONE}) * len(devices),
        new_engines=len(new_engines),
        stages=[Stage(name, of_stage[name], seconds[name]) for name in seconds],
    )


def _wildcards(jobs: Iterable[Job], rule: str, wildcard: str) -> list[str]:
    return [job.wildcards[wildcard] for job in jobs if job.rule == rule]


def samples_in(shards: Iterable[str], data: Data) -> int:
    """Number of samples in these shards. The last shard may be smaller than the others."""
    firsts = (int(shard) * data.files_per_shard for shard in shards)
    return sum(min(data.files_per_shard, data.num_samples - first) for first in firsts)


def sample_bytes(data: Data) -> tuple[int, int]:
    """Bytes of a sample's HDF5 file, and of its two npy files together."""
    values = data.height * data.width * PIXEL_BYTES
    return values + HDF5_HEADER_BYTES, values + 2 * data.npy_header_bytes
