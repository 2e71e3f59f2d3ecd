"""From raw timings to metrics. Pure functions over records; units are in the names."""

from __future__ import annotations

import collections
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from deepcam.record.environment_schema import RankPlace
from deepcam.record.run_schema import DeviceUsage, RankRun, Run
from deepcam.record.schema import Measurement

Number = TypeVar("Number", int, float)

MIN_UTILISATION = 0.9
"""Accelerator utilisation that storage must sustain, as in MLPerf Storage."""


def run_seconds(run: Run) -> float:
    """Duration of a run: the slowest rank's time in each of its parts, added up."""
    return sum(map(max, zip(*(rank.part_seconds for rank in run.ranks), strict=True)))


def run_samples(run: Run) -> int:
    """Samples that all ranks read in all epochs of a run."""
    return sum(rank.num_samples for rank in run.ranks)


def throughputs(record: Measurement) -> list[float]:
    """Samples per second of each run: the total number of samples divided by the slowest rank's time."""
    return [run_samples(run) / run_seconds(run) for run in record.runs]


def sample_bytes(record: Measurement) -> float:
    """Size of a sample's npy file, bytes."""
    return record.dataset.bytes / len(record.dataset.samples)


def coefficient_of_variation(rates: Sequence[float]) -> float | None:
    """Sample standard deviation / mean; None for a single rate."""
    return statistics.stdev(rates) / statistics.fmean(rates) if len(rates) > 1 else None


def num_devices(record: Measurement) -> int:
    """Number of devices that computed: GPUs, or CPUs of nodes."""
    return len({(place.node, place.device) for place in record.environment.ranks})


def num_nodes(record: Measurement) -> int:
    """Number of nodes that the ranks ran on."""
    return len(record.environment.nodes)


def device_usage(record: Measurement, run: Run) -> DeviceUsage:
    """Usage of all devices in one run: the sum of energy, the mean of utilisation, the maximum of memory.

    Ranks that share a GPU all see the whole of it, so it counts once, at its highest reading. A field is None if any
    device lacks it.
    """
    of_devices: dict[tuple[str, str], list[DeviceUsage]] = collections.defaultdict(list)
    for place, rank in places(record, run):
        of_devices[place.node, place.device].append(rank.device)
    devices = list(of_devices.values())
    return DeviceUsage(
        energy_joules=_combined(sum, [_highest(usage.energy_joules for usage in usages) for usages in devices]),
        utilisation=_combined(_mean, [_highest(usage.utilisation for usage in usages) for usages in devices]),
        memory_bytes=_combined(max, [_highest(usage.memory_bytes for usage in usages) for usages in devices]),
    )


def _highest(readings: Iterable[Number | None]) -> Number | None:
    return max((reading for reading in readings if reading is not None), default=None)


def _combined(combine: Callable[[list[Number]], Number], readings: Sequence[Number | None]) -> Number | None:
    known = [reading for reading in readings if reading is not None]
    return combine(known) if len(known) == len(readings) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def gigabytes_per_second_needed(samples_per_second: float, size: float, devices: int) -> float:
    """Storage bandwidth in GB/s that keeps devices at MIN_UTILISATION.

    Each device computes `samples_per_second` samples of `size` bytes if it never waits.
    """
    return samples_per_second * MIN_UTILISATION * devices * size / 1e9


def straggler_gap(run: Run) -> float:
    """(slowest rank's time - fastest rank's time) / slowest rank's time."""
    seconds = [sum(rank.part_seconds) for rank in run.ranks]
    return 1 - min(seconds) / max(seconds)


def straggler_node(record: Measurement, run: Run) -> str:
    """The node of a run's slowest rank."""
    place, _ = max(places(record, run), key=lambda pair: sum(pair[1].part_seconds))
    return place.node


def node_cpu_utilisation(run: Run) -> float:
    """Share of all nodes' cores that any process kept busy; one rank of each node reports it."""
    return float(np.mean([rank.node_cpu_utilisation for rank in run.ranks if rank.node_cpu_utilisation is not None]))


def background_cpu_load(run: Run) -> float:
    """Share of the job's own cores that other processes kept busy, on the node where it was largest.

    One rank of each node reports it.
    """
    return max(rank.background_cpu_load for rank in run.ranks if rank.background_cpu_load is not None)


def cpu_utilisation(record: Measurement, run: Run) -> float:
    """CPU time of all ranks / (wall time x number of their cores)."""
    return sum(rank.cpu_seconds for rank in run.ranks) / (run_seconds(run) * _num_cores(record))


def reader_cpu_utilisation(record: Measurement, run: Run) -> float:
    """CPU time of all ranks / (wall time x number of cores that their reader threads can keep busy).

    A reader with one thread is busy if it uses one core, however many cores its rank has.
    """
    cores, threads = _num_cores(record), record.cell.ranks * record.cell.inter_threads * record.cell.intra_threads
    return cpu_utilisation(record, run) * cores / min(cores, threads)


def _num_cores(record: Measurement) -> int:
    """Number of logical cores that the ranks have. Ranks may share cores."""
    return len({(place.node, core) for place in record.environment.ranks for core in place.cores})


def page_faults_per_batch(run: Run) -> float | None:
    """Page faults of all ranks / number of their batches; None if they were not recorded."""
    faults = _combined(sum, [rank.page_faults for rank in run.ranks])
    return None if faults is None else faults / sum(rank.num_batches for rank in run.ranks)


def places(record: Measurement, run: Run) -> Iterable[tuple[RankPlace, RankRun]]:
    """Where each rank ran, and what it did in one run."""
    return zip(record.environment.ranks, run.ranks, strict=True)
