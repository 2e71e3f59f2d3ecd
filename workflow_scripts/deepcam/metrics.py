"""From raw timings to metrics and validity. Pure functions over records; units are in the names."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Record = Mapping[str, Any]

COLD_LIMIT = 0.01
WARM_LIMIT = 0.99
"""Largest resident fraction of the files that counts as cold, smallest that counts as warm."""


CONTENDED_BELOW = 0.9
"""Overlap efficiency under which neither storage nor compute alone explains the rate of inference."""


def check(name: str, expected: Any, actual: Any, ok: bool) -> dict[str, Any]:
    """One validity check as it stands in a record."""
    return {"name": name, "expected": expected, "actual": actual, "ok": bool(ok)}


def checks(record: Record) -> list[dict[str, Any]]:
    """All validity checks of a record that has `cell`, `settings`, `dataset` and `runs`."""
    cell, runs = record["cell"], record["runs"]
    found = [
        check("run_count", record["settings"]["runs"], len(runs), len(runs) == record["settings"]["runs"]),
        check("rank_count", cell["ranks"], len(runs[0]["ranks"]), all(len(r["ranks"]) == cell["ranks"] for r in runs)),
        _coverage(record),
    ]
    if cell["cache"] == "cold":
        worst = max(run["residency_high"] for run in runs)
        found.append(check("residency_cold", f"at most {COLD_LIMIT}", worst, worst <= COLD_LIMIT))
    if cell["cache"] == "warm":
        worst = min(run["residency_low"] for run in runs)
        found.append(check("residency_warm", f"at least {WARM_LIMIT}", worst, worst >= WARM_LIMIT))
    if cell["reader"] == "dali-direct":
        direct = all(rank["reader"].get("o_direct") for run in runs for rank in run["ranks"])
        found.append(check("o_direct", True, direct, direct))
    if cell["reader"] == "dali-gds":
        gds = all(rank["reader"].get("gds") for run in runs for rank in run["ranks"])
        found.append(
            check("gpudirect_storage", "nvidia-fs", "nvidia-fs" if gds else "cuFile's compatibility mode", gds)
        )
    if record["engine"]:
        found += map(_accuracy, record["engine"]["accuracy"])
    return found


def _accuracy(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """The accuracy gate's verdict on the engine, one per device."""
    return check(
        "accuracy",
        f"{verdict['min_iou_ratio']:.0%} of the reference's mean IoU, {verdict['reference_mean_iou']:.4f}, and "
        f"{verdict['min_agreement']:.1%} of its pixels",
        f"mean IoU {verdict['mean_iou']:.4f} and {verdict['agreement']:.2%} of the pixels",
        verdict["passed"],
    )


def _coverage(record: Record) -> dict[str, Any]:
    """Every sample exactly once per pass over all ranks, in every run: proven by what the readers reported."""
    expected = set(record["dataset"]["samples"])
    wrong: set[str] = set()
    for run in record["runs"]:
        counts: collections.Counter[str] = collections.Counter()
        for rank in run["ranks"]:
            counts.update(rank["samples"])
        wrong |= {name for name in expected | set(counts) if counts[name] != run["passes"] or name not in expected}
    first = f" (first: {min(wrong)})" if wrong else ""
    return check("samples_once", "every sample once a pass", f"{len(wrong)} samples differ{first}", not wrong)


def run_seconds(run: Mapping[str, Any]) -> float:
    """A run lasts as long as its slowest rank."""
    return max(rank["seconds"] for rank in run["ranks"])


def run_samples(run: Mapping[str, Any]) -> int:
    """Samples of all ranks and passes."""
    return sum(sum(rank["batch_samples"]) for rank in run["ranks"])


def throughputs(records: Iterable[Record]) -> list[float]:
    """Samples per second of each run: all ranks' samples over the slowest rank's time."""
    return [run_samples(run) / run_seconds(run) for record in records for run in record["runs"]]


def summarize(records: Sequence[Record]) -> dict[str, Any]:
    """One row of the summary for all repeats of one cell.

    `samples_per_second` is the median over runs, `lowest_` and `highest_` its extremes; `spread` is the standard
    deviation over the mean of the runs; percentiles are over all ranks' batches; `cpu_utilisation` is the CPU time
    of all ranks over wall time and the cores that they had, 1 being all cores busy. `gigabytes_per_second` (1e9 bytes
    of npy files) is empty where nothing is read. Energy, utilisation and memory are those of all GPUs of the job,
    empty without one.
    """
    rates = throughputs(records)
    median = float(np.median(rates))
    sample_bytes = records[0]["dataset"]["bytes"] / len(records[0]["dataset"]["samples"])
    batches = [
        seconds
        for record in records
        for run in record["runs"]
        for rank in run["ranks"]
        for seconds in rank["batch_seconds"]
    ]
    reasons = sorted(
        {
            f"{c['name']}: expected {c['expected']}, got {c['actual']}"
            for record in records
            for c in record["checks"]
            if not c["ok"]
        }
    )
    reads = records[0]["cell"]["mode"] != "compute"
    gigabytes = sample_bytes / 1e9
    return {
        **records[0]["cell"],
        "samples_per_second": median,
        "gigabytes_per_second": median * gigabytes if reads else None,
        "seconds_per_sample": 1 / median,
        "p50_seconds": float(np.percentile(batches, 50)),
        "p90_seconds": float(np.percentile(batches, 90)),
        "p99_seconds": float(np.percentile(batches, 99)),
        "spread": float(np.std(rates) / np.mean(rates)),
        "cpu_utilisation": float(np.median([_cpu_utilisation(r, run) for r in records for run in r["runs"]])),
        "valid": not reasons,
        "invalid_reasons": "; ".join(reasons),
        "lowest_samples_per_second": min(rates),
        "highest_samples_per_second": max(rates),
        "global_batch_size": records[0]["cell"]["ranks"] * records[0]["cell"]["local_batch_size"],
        "precision": records[0]["engine"]["precision"] if records[0]["engine"] else "",
        "runs": len(rates),
        **_device_metrics(records),
    }


def _device_metrics(records: Sequence[Record]) -> dict[str, Any]:
    """Medians over runs. Ranks that share a GPU all saw the whole of it: it counts once, at its highest reading."""
    found: dict[str, list[float]] = {"joules_per_sample": [], "device_utilisation": [], "device_memory_bytes": []}
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
                found["joules_per_sample"].append(sum(highest["energy_joules"]) / run_samples(run))
            if None not in highest["utilisation"]:
                found["device_utilisation"].append(sum(highest["utilisation"]) / len(usages))
            if None not in highest["memory_bytes"]:
                found["device_memory_bytes"].append(max(highest["memory_bytes"]))
    return {name: float(np.median(values)) if values else None for name, values in found.items()}


def bottleneck(inference: float, io: float, compute: float) -> dict[str, Any]:
    """What limits inference, from its rate and those of reading and computing alone (samples/s, same settings).

    `utilisation` is the share of the engine's own rate that is reached; `overlap_efficiency` the share of the lower of
    the two ceilings. Below 0.9 of that, reading and computing disturb each other: contended.
    """
    efficiency = inference / min(io, compute)
    limit = "storage" if io < compute else "compute"
    return {
        "io_samples_per_second": io,
        "compute_samples_per_second": compute,
        "utilisation": inference / compute,
        "overlap_efficiency": efficiency,
        "bottleneck": limit if efficiency >= CONTENDED_BELOW else "contended",
    }


def _cpu_utilisation(record: Record, run: Mapping[str, Any]) -> float:
    cores = len(set(itertools.chain.from_iterable(_cores_by_node(record))))
    return sum(rank["cpu_seconds"] for rank in run["ranks"]) / (run_seconds(run) * cores)


def _cores_by_node(record: Record) -> Iterable[set[tuple[str, int]]]:
    return ({(rank["node"], core) for core in rank["cores"]} for rank in record["environment"]["ranks"])
