"""What the records of one cell come to: its metrics and whether they are valid. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepcam.record import metrics, validity
from deepcam.record.metrics import Record


def row(records: Sequence[Record]) -> dict[str, Any]:
    """All repeats of one cell as a row of the summary.

    `samples_per_second` is the median over runs, `ci_low_` and `ci_high_` its 95 % confidence interval, `lowest_` and
    `highest_` the extremes; `gigabytes_per_second` (1e9 bytes of npy files) is empty where nothing is read. Percentiles
    are over all ranks' batches. `spread` is the standard deviation over the mean of the runs. `rank_imbalance` is how
    much sooner than the last rank the first one was done, over the last one's time, and `slowest_node` where that last
    rank was in most runs. `cpu_utilisation` is the CPU time
    of all ranks over wall time and the cores that they had, `node_cpu_utilisation` that of all processes on the nodes,
    over all their cores; 1 is all cores busy. `memory_bytes` is the sum of the ranks' peaks, mapped files included.
    Energy, power, utilisation and memory of devices are those of all GPUs of the job, empty without one.
    """
    rates = metrics.throughputs(records)
    median = float(np.median(rates))
    low, high = metrics.median_interval(rates)
    runs = [(record, run) for record in records for run in record["runs"]]
    batches = [seconds for _, run in runs for rank in run["ranks"] for seconds in rank["batch_seconds"]]
    p50, p90, p95, p99 = (float(value) for value in np.percentile(batches, (50, 90, 95, 99)))
    cell = records[0]["cell"]
    reasons = validity.failures(records, validity.ERROR)
    return {
        **cell,
        "samples_per_second": median,
        "gigabytes_per_second": median * metrics.sample_bytes(records[0]) / 1e9 if cell["mode"] != "compute" else None,
        "seconds_per_sample": 1 / median,
        "p50_seconds": p50,
        "p90_seconds": p90,
        "p99_seconds": p99,
        "spread": metrics.spread(rates),
        "cpu_utilisation": float(np.median([metrics.cpu_utilisation(record, run) for record, run in runs])),
        "valid": not reasons,
        "invalid_reasons": reasons,
        "warnings": validity.failures(records, validity.WARNING),
        "p95_seconds": p95,
        "max_seconds": max(batches),
        "ci_low_samples_per_second": low,
        "ci_high_samples_per_second": high,
        "lowest_samples_per_second": min(rates),
        "highest_samples_per_second": max(rates),
        "samples_per_second_per_rank": median / cell["ranks"],
        "rank_imbalance": float(np.median([metrics.imbalance(run) for _, run in runs])),
        "slowest_node": statistics.mode(metrics.slowest_node(record, run) for record, run in runs),
        "node_cpu_utilisation": float(np.median([metrics.node_cpu_utilisation(run) for _, run in runs])),
        "memory_bytes": max(sum(rank["peak_memory_bytes"] for rank in run["ranks"]) for _, run in runs),
        "global_batch_size": cell["ranks"] * cell["local_batch_size"],
        "precision": records[0]["engine"]["precision"] if records[0]["engine"] else "",
        "runs": len(rates),
        "batches": len(batches),
        "sample_bytes": metrics.sample_bytes(records[0]),
        "devices": metrics.devices(records[0]),
        "nodes": metrics.nodes(records[0]),
        **metrics.device_metrics(records),
    }
