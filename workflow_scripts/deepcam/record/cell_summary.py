"""The metrics of one configuration, from all its records. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import numpy as np

from deepcam.record import metrics, precision, start_facts, validity
from deepcam.record.checking import ERROR, WARNING
from deepcam.record.columns import Metrics
from deepcam.record.schema import Check, Measurement
from deepcam.record.start_facts import StartFacts


def summarize(records: Iterable[Measurement], checks: Iterable[Check]) -> Metrics:
    """Pool the starts of one configuration, a record each; `checks` are those of all records."""
    return pool([start_facts.of(record) for record in records], checks)


def pool(starts: Sequence[StartFacts], checks: Iterable[Check]) -> Metrics:
    """Pool the starts of one configuration, without their records; `checks` are those of all records."""
    checks = [*checks, *validity.checks_of_starts(starts)]
    first, runs = starts[0], [run for start in starts for run in start.runs]
    cell = first.cell
    rates = [statistics.median(start.throughputs) for start in starts]
    rate = precision.geometric_mean(rates)
    low, high = precision.interval(rates) or (None, None)
    intervals = np.concatenate([run.batch_interval_seconds for run in runs])
    longest = float(intervals.max())
    p50, p90, p95, p99 = (float(value) for value in np.percentile(intervals, (50, 90, 95, 99), overwrite_input=True))
    reasons = validity.failures(checks, ERROR)
    usages = [run.device_usage for run in runs]
    energies = [(run, run.device_usage.energy_joules) for run in runs if run.device_usage.energy_joules is not None]
    return Metrics(
        samples_per_second=rate,
        gigabytes_per_second=rate * first.sample_bytes / 1e9 if cell.mode != "compute" else None,
        seconds_per_sample=1 / rate,
        batch_interval_p50_seconds=p50,
        batch_interval_p90_seconds=p90,
        batch_interval_p99_seconds=p99,
        cv_between_starts=metrics.coefficient_of_variation(rates),
        cv_within_starts=_mean(metrics.coefficient_of_variation(start.throughputs) for start in starts),
        cpu_utilisation=float(np.median([run.cpu_utilisation for run in runs])),
        valid=not reasons,
        invalid_reasons=reasons,
        warnings=validity.failures(checks, WARNING),
        batch_interval_p95_seconds=p95,
        batch_interval_max_seconds=longest,
        samples_per_second_ci_low=low,
        samples_per_second_ci_high=high,
        relative_half_width=precision.relative_half_width(rates),
        samples_per_second_min=min(rates),
        samples_per_second_max=max(rates),
        samples_per_second_per_rank=rate / cell.ranks,
        straggler_gap=float(np.median([run.straggler_gap for run in runs])),
        straggler_node=statistics.mode(run.straggler_node for run in runs),
        node_cpu_utilisation=float(np.median([run.node_cpu_utilisation for run in runs])),
        peak_rss_bytes=max(run.peak_rss_bytes for run in runs),
        page_faults_per_batch=None if cell.mode == "io" else _median(run.page_faults_per_batch for run in runs),
        global_batch_size=cell.ranks * cell.local_batch_size,
        precision=first.precision,
        num_starts=len(starts),
        num_runs=len(runs),
        num_batches=len(intervals),
        sample_bytes=first.sample_bytes,
        num_devices=first.num_devices,
        num_nodes=first.num_nodes,
        joules_per_sample=_median(joules / run.run_samples for run, joules in energies),
        device_watts=_median(joules / run.run_seconds for run, joules in energies),
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
