"""How long jobs may take: roughly, for planning. Pure functions; seconds, and samples per second.

Readers and engines that were measured before are taken at that rate. Else rates are assumed: those of two cores of an
Intel Xeon with a virtual disk, and of an NVIDIA H100, in tests/performance/README.md.
"""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deepcam import climate
from deepcam.benchmark.timed_loop import MARGIN
from deepcam.config import parse
from deepcam.grid import Cell
from deepcam.record.model import Record

Config = Mapping[str, Any]
Like = tuple[str, str, str, str]
"""Mode, reader, cache and engine: what cells have in common that are taken at the same rate."""

DOWNLOAD_RATE = 50e6
"""Bytes a second from the archive. A guess: the network on the way decides."""

DISK_RATE = 1e9
"""Bytes a second of converting, and of describing."""

COLD_RATE, WARM_RATE = 2e9, 5e9
"""Bytes a second of reading samples, by all ranks together."""

SYNTHESIS_SECONDS = 0.5
"""Of one core, for a sample of full size."""

CPU_SECONDS, GPU_SECONDS = 7.0, 0.004
"""Of one core, or of one GPU, for a sample of full size through the full network."""

WIDTH_POWER = 1.7
"""With this power of the network's width that grows: 3.57 s at 1.0, 0.34 s at 0.25, on two cores."""

TRAINING = 3
"""Inferences that a training step is as long as: forward, and backward to inputs and to weights."""

LAUNCH_SECONDS = {"io": 3, "compute": 5, "inference": 5, "train": 5}
"""To start a benchmark's ranks, listen for other load, and load what computes."""

EAGER_SECONDS, COMPILE_SECONDS, CHECK_SECONDS = 4, 40, 5
"""To save an engine that is not compiled, to compile one, and for its predictions or the reference's."""

REPORT_SECONDS = 2
"""For a table or a figure."""


def data(config: Config, new_samples: int, new_bytes: int, all_bytes: int, cores: int) -> float:
    """Download or synthesis of so many bytes of HDF5, their conversion, and the description of all samples' bytes."""
    if config["data"]["source"] == "synthetic":
        made = new_samples * SYNTHESIS_SECONDS * size(config) / cores
    else:
        made = new_bytes / DOWNLOAD_RATE
    return made + (new_bytes + all_bytes) / DISK_RATE


def engines(names: Iterable[str]) -> float:
    """Compilation and check of engines of these names, and the reference's predictions."""
    each = [(EAGER_SECONDS if name.startswith("eager-") else COMPILE_SECONDS) + CHECK_SECONDS for name in names]
    return sum(each) + (CHECK_SECONDS if each else 0)


def benchmark(
    cell: Cell, config: Config, samples: int, devices: Sequence[str], cores: int, rates: Mapping[Like, float]
) -> float:
    """One job: its start, and its runs over all samples, of which warm and compute ones last `min_seconds`."""
    settings = parse(config).benchmark.of_mode(cell.mode)
    run = samples / rates.get(like(cell), assumed_rate(cell, config, devices, cores))
    runs = settings.warmup_runs + settings.runs
    if cell.cache != "cold":
        run = max(run, settings.min_seconds * MARGIN)
        runs += 1  # to learn how many passes last that long
    return LAUNCH_SECONDS[cell.mode] + runs * run


def measured(records: Iterable[Record], config: Config) -> dict[Like, float]:
    """Median rates of the records whose samples have the configured shape."""
    found = collections.defaultdict(list)
    for record in records:
        if list(record.dataset.sample_shape) == sample_shape(config):
            found[like(record.cell)].append(record.metrics.samples_per_second)
    return {key: statistics.median(rates) for key, rates in found.items()}


def assumed_rate(cell: Cell, config: Config, devices: Sequence[str], cores: int) -> float:
    """Of all ranks together."""
    reading = (COLD_RATE if cell.cache == "cold" else WARM_RATE) / (4 * math.prod(sample_shape(config)))
    in_parallel = cores / CPU_SECONDS if devices == ["cpu"] else min(len(devices), cell.ranks) / GPU_SECONDS
    computing = in_parallel / (size(config) * config["model"]["width_multiplier"] ** WIDTH_POWER)
    return {
        "io": reading,
        "compute": computing,
        "inference": min(reading, computing),
        "train": min(reading, computing / TRAINING),
    }[cell.mode]


def like(cell: Cell) -> Like:
    return cell.mode, cell.reader, cell.cache, cell.engine


def sample_shape(config: Config) -> list[int]:
    """[H, W, C] of the configured samples."""
    return [config["data"]["height"], config["data"]["width"], len(climate.CHANNELS)]


def size(config: Config) -> float:
    """Pixels of a configured sample over those of full size."""
    height, width, _ = sample_shape(config)
    return height * width / (climate.HEIGHT * climate.WIDTH)
