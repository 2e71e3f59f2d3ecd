"""From raw timings to metrics. Pure functions over records; units are in the names."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Record = Mapping[str, Any]

RESAMPLES = 2000
"""Of the bootstrap: its interval moves by less than the runs differ."""

BUSY = 0.9
"""Share of its time that a device should compute, for sizing storage."""

CONTENDED_BELOW = 0.9
"""Overlap efficiency under which neither storage nor compute alone explains the rate of inference."""

INCONSISTENT_ABOVE = 1.1
"""Overlap efficiency over which the three rates do not belong together: nothing is faster with more to do."""


def run_seconds(run: Mapping[str, Any]) -> float:
    """A run lasts as long as its slowest rank."""
    return max(rank["seconds"] for rank in run["ranks"])


def run_samples(run: Mapping[str, Any]) -> int:
    """Samples of all ranks and passes."""
    return sum(sum(rank["batch_samples"]) for rank in run["ranks"])


def throughputs(records: Iterable[Record]) -> list[float]:
    """Samples per second of each run: all ranks' samples over the slowest rank's time."""
    return [run_samples(run) / run_seconds(run) for record in records for run in record["runs"]]


def sample_bytes(record: Record) -> float:
    """Bytes of a sample's npy file."""
    return record["dataset"]["bytes"] / len(record["dataset"]["samples"])


def spread(rates: Sequence[float]) -> float:
    """Coefficient of variation: standard deviation over mean."""
    return float(np.std(rates) / np.mean(rates))


FEWEST = 5
"""Values that an interval of the median takes: even the extremes of fewer hold it less than 94 times in 100."""


def median_interval(rates: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % confidence interval of the median by bootstrap (percentile method, seeded); None of fewer than FEWEST."""
    if len(rates) < FEWEST:
        return None, None
    from scipy import stats  # half a second, which one rank of a job needs at its end

    found = stats.bootstrap(
        (rates,), np.median, vectorized=True, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(found.low), float(found.high)


def devices(record: Record) -> int:
    """How many devices computed: GPUs, or CPUs of nodes."""
    return len({(place["node"], place["device"]) for place in record["environment"]["ranks"]})


def nodes(record: Record) -> int:
    """On how many nodes the ranks ran."""
    return len(record["environment"]["nodes"])


def device_metrics(records: Sequence[Record]) -> dict[str, Any]:
    """Medians over runs. Ranks that share a GPU all saw the whole of it: it counts once, at its highest reading."""
    names = ("joules_per_sample", "device_watts", "device_utilisation", "device_memory_bytes")
    found: dict[str, list[float]] = {name: [] for name in names}
    for record in records:
        for run in record["runs"]:
            usages: dict[tuple[str, str], list[Mapping[str, Any]]] = collections.defaultdict(list)
            for place, rank in zip(record["environment"]["ranks"], run["ranks"], strict=True):
                usages[place["node"], place["device"]].append(rank["device"])
            highest = {
                field: [
                    max((u[field] for u in of_device if u[field] is not None), default=None)
                    for of_device in usages.values()
                ]
                for field in ("energy_joules", "utilisation", "memory_bytes")
            }
            if None not in highest["energy_joules"]:
                joules = sum(highest["energy_joules"])
                found["joules_per_sample"].append(joules / run_samples(run))
                found["device_watts"].append(joules / run_seconds(run))
            if None not in highest["utilisation"]:
                found["device_utilisation"].append(sum(highest["utilisation"]) / len(usages))
            if None not in highest["memory_bytes"]:
                found["device_memory_bytes"].append(max(highest["memory_bytes"]))
    return {name: float(np.median(values)) if values else None for name, values in found.items()}


class Rate(NamedTuple):
    """Samples/s of a cell: its median run's, and its slowest and fastest run's."""

    median: float
    lowest: float
    highest: float


def bottleneck(inference: Rate, io: Rate, compute: Rate) -> dict[str, Any]:
    """What limits inference, from its rate and those of reading and computing alone, with the same settings.

    `utilisation` is the share of the engine's own rate that is reached; `overlap_efficiency` the share of the lower of
    the two ceilings, `_low` and `_high` with the runs' extremes. Below 0.9 of that, reading and computing disturb each
    other: contended. Above 1.1 of it the machine was not the same in all three measurements: inconsistent.
    `bottleneck_certain` is false where the extremes would come to another verdict.
    """
    efficiency = inference.median / min(io.median, compute.median)
    low = inference.lowest / min(io.highest, compute.highest)
    high = inference.highest / min(io.lowest, compute.lowest)
    limit = "storage" if io.median < compute.median else "compute"
    verdict = _verdict(efficiency, limit)
    return {
        "io_samples_per_second": io.median,
        "compute_samples_per_second": compute.median,
        "utilisation": inference.median / compute.median,
        "overlap_efficiency": efficiency,
        "overlap_efficiency_low": low,
        "overlap_efficiency_high": high,
        "bottleneck": verdict,
        "bottleneck_certain": _verdict(low, limit) == verdict == _verdict(high, limit),
    }


def _verdict(efficiency: float, limit: str) -> str:
    if efficiency < CONTENDED_BELOW:
        return "contended"
    return limit if efficiency <= INCONSISTENT_ABOVE else "inconsistent"


NO_BOTTLENECK = dict.fromkeys(bottleneck(*[Rate(1.0, 1.0, 1.0)] * 3))
"""What `bottleneck` returns, without values."""


def gigabytes_per_second_needed(samples_per_second: float, size: float, devices: int) -> float:
    """What storage must deliver to keep devices busy 90 % of the time, each with this rate when nothing holds it up."""
    return samples_per_second * BUSY * devices * size / 1e9


def imbalance(run: Mapping[str, Any]) -> float:
    """How much sooner than the last rank the first one was done, over the last one's time."""
    return 1 - min(rank["seconds"] for rank in run["ranks"]) / run_seconds(run)


def slowest_node(record: Record, run: Mapping[str, Any]) -> str:
    """The node of a run's last rank."""
    places = zip(run["ranks"], record["environment"]["ranks"], strict=True)
    return max(places, key=lambda pair: pair[0]["seconds"])[1]["node"]


def node_cpu_utilisation(run: Mapping[str, Any]) -> float:
    """Share of the nodes' cores that all processes on them kept busy; one rank of each node tells."""
    return float(np.mean([r["node_cpu_utilisation"] for r in run["ranks"] if r["node_cpu_utilisation"] is not None]))


def other_load(run: Mapping[str, Any]) -> float:
    """Share of the busiest node's cores that processes outside the job kept busy; one rank of each node tells."""
    return max(rank["other_load"] for rank in run["ranks"] if rank["other_load"] is not None)


def cpu_utilisation(record: Record, run: Mapping[str, Any]) -> float:
    """CPU time of all ranks over wall time and the cores that they had."""
    cores = len(set(itertools.chain.from_iterable(_cores_by_node(record))))
    return sum(rank["cpu_seconds"] for rank in run["ranks"]) / (run_seconds(run) * cores)


def _cores_by_node(record: Record) -> Iterable[set[tuple[str, int]]]:
    return ({(rank["node"], core) for core in rank["cores"]} for rank in record["environment"]["ranks"])
