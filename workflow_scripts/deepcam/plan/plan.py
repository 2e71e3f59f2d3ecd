"""What a run has to do: samples, bytes, cells and jobs, less what is there. Pure functions of the configuration.

Jobs and bytes are exact, but for the few KB of headers of an archive's file; times are rough, see `durations`.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from deepcam import climate, grid
from deepcam.config import parse
from deepcam.grid import Cell
from deepcam.plan import estimates
from deepcam.record.model import Record

PIXEL_BYTES = 4 * (len(climate.CHANNELS) + len(climate.LABELS))
HDF5_HEADER_BYTES, NPY_HEADER_BYTES = 4728, 2 * 128
"""Of a synthetic HDF5 file; of a sample's two npy files."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What is there already."""

    index: bool
    npy_shards: int
    dataset: bool
    engines: frozenset[tuple[str, str]]
    """Names of engine and device, of engines that are built and have a verdict on their accuracy."""
    records: Sequence[Record]
    tables: bool


@dataclasses.dataclass(frozen=True)
class Stage:
    """Jobs of a stage that are still to run, and about how long they take."""

    name: str
    jobs: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """What there is to do. What is called new is not there yet."""

    samples: int
    shards: int
    new_samples: int
    download_bytes: int
    disk_bytes: int
    """To be written, as npy and as HDF5; of HDF5 files that are not kept two shards, one made and one converted."""
    cells: Sequence[Cell]
    records: int
    new_records: Sequence[Cell]
    """The cell of each."""
    guessed: int
    """New records whose rate is assumed, since nothing like them was measured."""
    too_long: int
    """New records whose jobs benchmark.timeout_seconds would end."""
    engines: int
    new_engines: int
    stages: Sequence[Stage]


def make(config: Mapping[str, Any], devices: Sequence[str], report_jobs: int, cores: int, found: Found) -> Plan:
    """The plan of a validated configuration for `devices` (cpu, cuda0, ...), with so many jobs after the records."""
    data, starts = config["data"], config["benchmark"]["starts"]
    samples = climate.sample_count(*(data[key] for key in ("source", "split", "num_files")))
    shards = len(grid.shard_ids(samples, data["files_per_shard"]))
    new_shards = max(0, shards - found.npy_shards)
    new_samples = max(0, samples - found.npy_shards * data["files_per_shard"])
    hdf5, npy = sample_bytes(data["height"], data["width"])
    at_a_time = new_samples if data["keep_hdf5"] else min(new_samples, 2 * data["files_per_shard"])

    cells = grid.cells(parse(config))
    there = collections.Counter(r.cell for r in found.records if is_current(r, samples, config))
    new_records = [cell for cell in cells for _ in range(starts - there[cell])]
    rates = estimates.measured(found.records, config)
    seconds = [estimates.benchmark(cell, config, samples, devices, cores, rates) for cell in new_records]

    engines = {(cell.engine, device) for cell in cells if cell.engine != grid.NONE for device in devices}
    new_engines = engines - found.engines
    report_jobs = report_jobs if new_records or not found.tables else 0
    return Plan(
        samples=samples,
        shards=shards,
        new_samples=new_samples,
        download_bytes=0 if data["source"] == "synthetic" else new_samples * hdf5,
        disk_bytes=new_samples * npy + at_a_time * hdf5,
        cells=cells,
        records=len(cells) * starts,
        new_records=new_records,
        guessed=sum(estimates.like(cell) not in rates for cell in new_records),
        too_long=sum(each > config["benchmark"]["timeout_seconds"] for each in seconds),
        engines=len(engines),
        new_engines=len(new_engines),
        stages=[
            Stage(
                "data",
                2 * new_shards + (new_shards > 0 or not found.dataset) + (not found.index),
                estimates.data(config, new_samples, new_samples * hdf5, samples * npy, cores) if new_samples else 0,
            ),
            Stage(
                "engines",
                2 * len(new_engines) + len({device for _, device in new_engines}) + (new_engines == engines != set()),
                estimates.engines(engine for engine, _ in new_engines),
            ),
            Stage("benchmark", len(new_records), sum(seconds)),
            Stage("tables and figures", report_jobs, report_jobs * estimates.REPORT_SECONDS),
        ],
    )


def sample_bytes(height: int, width: int) -> tuple[int, int]:
    """Bytes of a sample's HDF5 file, and of its two npy files together."""
    pixels = height * width
    return pixels * PIXEL_BYTES + HDF5_HEADER_BYTES, pixels * PIXEL_BYTES + NPY_HEADER_BYTES


def is_current(record: Record, samples: int, config: Mapping[str, Any]) -> bool:
    """Whether a record is of as many samples of the same shape, measured with the same settings."""
    cell, benchmark = record.cell, parse(config).benchmark.of_mode(record.cell.mode)
    settings = {
        key: getattr(benchmark, key) for key in ("warmup_runs", "runs", "min_seconds", "shuffle", "drop_caches")
    }
    settings["drop_caches"] &= cell.cache == "cold"
    dataset = record.dataset
    return (
        record.settings.model_dump() == settings
        and len(dataset.samples) == samples
        and list(dataset.sample_shape) == estimates.sample_shape(config)
    )
