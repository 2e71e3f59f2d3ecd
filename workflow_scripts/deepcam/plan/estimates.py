"""How long jobs take, estimated for planning. Pure functions; seconds, and samples per second.

Readers and engines that were measured before are assumed to keep their rates. For others there are assumed rates: those
of two cores of an Intel Xeon with a virtual disk, and of an NVIDIA H100, in tests/performance/README.md.
"""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from deepcam import climate
from deepcam.benchmark.calibration import MARGIN
from deepcam.config import Config, Data
from deepcam.grid import Cell
from deepcam.record.schema import Record

RateKey = tuple[str, str, str, str, str]
"""Mode, reader, cache, engine and storage. Cells with the same ones are assumed to have the same rate."""

DOWNLOAD_RATE = 50e6
"""Bytes per second from the archive. A guess: it depends on the network."""

DISK_RATE = 1e9
"""Bytes per second of converting, and of describing."""

COLD_RATE, WARM_RATE = 2e9, 5e9
"""Bytes per second that all ranks together read."""

SYNTHESIS_SECONDS = 0.5
"""Time in which one core makes a sample of full size."""

CPU_SECONDS, GPU_SECONDS = 7.0, 0.004
"""Time in which one core, or one GPU, runs the full network on a sample of full size."""

WIDTH_POWER = 1.7
"""Compute time grows with this power of the network's width: 3.57 s at 1.0, 0.34 s at 0.25, on two cores."""

TRAINING_FACTOR = 3
"""A training step takes as long as this many inferences: forward, and backward to inputs and to weights."""

LAUNCH_SECONDS = {"io": 1, "compute": 3, "inference": 3, "train": 3}
"""Time in which a start launches its ranks, measures the background load, and loads the engine."""

EAGER_SECONDS, COMPILE_SECONDS, CHECK_SECONDS = 4, 40, 5
"""Time to save an engine that is not compiled, to compile one, and to compute predictions for the accuracy check."""

REPORT_SECONDS = 2
"""Time to make a table or a figure."""


def synthesis(samples: int, data: Data, cores: int) -> float:
    """Seconds to make samples of the configured shape."""
    return samples * SYNTHESIS_SECONDS * relative_size(data) / cores


def engine(name: str) -> float:
    """Seconds to build an engine of this name."""
    return EAGER_SECONDS if name.startswith("eager-") else COMPILE_SECONDS


def start(
    cell: Cell, config: Config, samples: int, devices: Sequence[str], cores: int, rates: Mapping[RateKey, float]
) -> float:
    """Seconds of one start: its launch, the loading of the page cache, and its runs of at least `min_seconds`."""
    settings = config.benchmark.of_mode(cell.mode)
    rate = rates.get(rate_key(cell), assumed_rate(cell, config, devices, cores))
    epoch = cell.local_batch_size * cell.ranks / rate if cell.mode == "compute" else samples / rate
    loading = samples * sample_bytes(config.data) / COLD_RATE if cell.cache == "warm" else 0.0
    run = max(epoch, settings.min_seconds * MARGIN)
    return LAUNCH_SECONDS[cell.mode] + loading + settings.warmup_runs * epoch + settings.runs * run


def measured_rates(records: Iterable[Record], data: Data) -> dict[RateKey, float]:
    """Median rates of the valid records whose samples have the configured shape."""
    found = collections.defaultdict(list)
    for record in records:
        if record.metrics.valid and record.dataset.sample_shape == sample_shape(data):
            found[rate_key(record.cell)].append(record.metrics.samples_per_second)
    return {key: statistics.median(rates) for key, rates in found.items()}


def assumed_rate(cell: Cell, config: Config, devices: Sequence[str], cores: int) -> float:
    """Samples per second of all ranks together."""
    reading = (COLD_RATE if cell.cache == "cold" else WARM_RATE) / sample_bytes(config.data)
    in_parallel = cores / CPU_SECONDS if devices == ["cpu"] else min(len(devices), cell.ranks) / GPU_SECONDS
    computing = in_parallel / (relative_size(config.data) * config.model.width_multiplier**WIDTH_POWER)
    return {
        "io": reading,
        "compute": computing,
        "inference": min(reading, computing),
        "train": min(reading, computing / TRAINING_FACTOR),
    }[cell.mode]


def rate_key(cell: Cell) -> RateKey:
    return cell.mode, cell.reader, cell.cache, cell.engine, cell.storage


def sample_shape(data: Data) -> tuple[int, int, int]:
    """Height, width and channels of the configured samples."""
    return data.height, data.width, len(climate.CHANNELS)


def sample_bytes(data: Data) -> int:
    """Bytes of a configured sample's values."""
    return 4 * math.prod(sample_shape(data))


def relative_size(data: Data) -> float:
    """The pixels of a configured sample divided by those of one of full size."""
    return data.height * data.width / (climate.HEIGHT * climate.WIDTH)
