"""The metrics of one configuration, from all its records. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import numpy as np

from deepcam.record import metrics, precision, validity
from deepcam.record.checking import ERROR, WARNING
from deepcam.record.columns import Metrics
from deepcam.record.schema import Check, Measurement


def summarize(records: Sequence[Measurement], checks: Iterable[Check]) -> Metrics:
    """Pool the starts of one configuration, a record each; `checks` are those of all records."""
    checks = [*checks, *validity.checks_of_starts(records)]
    first = records[0]
    cell = first.cell
    rates = precision.start_medians(records)
    rate = precision.geometric_mean(rates)
    low, high = precision.interval(rates) or (None, None)
    runs = [(record, run) for record in records for run in record.runs]
    intervals = [seconds for _, run in runs for rank in run.ranks for seconds in rank.batch_interval_seconds]
    p50, p90, p95, p99 = (float(value) for value in np.percentile(intervals, (50, 90, 95, 99)))
    reasons = validity.failures(checks, ERROR)
    usages = [metrics.device_usage(record, run) for record, run in runs]
    energies = [
        (run, usage.energy_joules)
        for (_, run), usage in zip(runs, usages, strict=True)
        if usage.energy_joules is not None
    ]
    return Metrics(
        samples_per_second=rate,
        gigabytes_per_second=rate * metrics.sample_bytes(first) / 1e9 if cell.mode != "compute" else None,
        seconds_per_sample=1 / rate,
        batch_interval_p50_seconds=p50,
        batch_interval_p90_seconds=p90,
        batch_interval_p99_seconds=p99,
        cv_between_starts=metrics.coefficient_of_variation(rates),
        cv_within_starts=_mean(metrics.coefficient_of_variation(metrics.throughputs(record)) for record in records),
        cpu_utilisation=float(np.median([metrics.cpu_utilisation(record, run) for record, run in runs])),
        valid=not reasons,
        invalid_reasons=reasons,
        warnings=validity.failures(checks, WARNING),
        batch_interval_p95_seconds=p95,
        batch_interval_max_seconds=max(intervals),
        samples_per_second_ci_low=low,
        samples_per_second_ci_high=high,
        relative_half_width=precision.relative_half_width(rates),
        samples_per_second_min=min(rates),
        samples_per_second_max=max(rates),
        samples_per_second_per_rank=rate / cell.ranks,
        straggler_gap=float(np.median([metrics.straggler_gap(run) for _, run in runs])),
        straggler_node=statistics.mode(metrics.straggler_node(record, run) for record, run in runs),
        node_cpu_utilisation=float(np.median([metrics.node_cpu_utilisation(run) for _, run in runs])),
        peak_rss_bytes=max(sum(rank.peak_rss_bytes for rank in run.ranks) for _, run in runs),
        page_faults_per_batch=None
        if cell.mode == "io"
        else _median(metrics.page_faults_per_batch(run) for _, run in runs),
        global_batch_size=cell.ranks * cell.local_batch_size,
        precision=first.engine.precision if first.engine else "",
        num_starts=len(records),
        num_runs=len(runs),
        num_batches=len(intervals),
        sample_bytes=metrics.sample_bytes(first),
        num_devices=metrics.num_devices(first),
        num_nodes=metrics.num_nodes(first),
        joules_per_sample=_median(joules / metrics.run_samples(run) for run, joules in energies),
        device_watts=_median(joules / metrics.run_seconds(run) for run, joules in energies),
        device_utilisation=_median(usage.utilisation for usage in usages),
        device_memory_bytes=_median(usage.memory_bytes for usage in usages),
    )


def _median(values: Iterable[float | None]) -> float | None:
    """Median of the known values; None without any."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean of the known values; None without any."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
