"""The columns of the summary table, with their units. A record's metrics are the same, for that record alone.

A column that is null here is an empty field of the table.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Limit = Literal["storage", "reader", "compute", "overlap-limited", "balanced", "measurement-conflict"]

Confidence = Literal["high", "medium", "low"]


class Model(BaseModel):
    """Base of everything in a record: frozen, no unknown fields, no conversion of types, no NaN and no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Metrics(Model):
    """Metrics over all starts of a configuration. Percentiles are over the batches of all ranks and runs."""

    samples_per_second: float = Field(
        ge=1e-9,
        description="Throughput: the geometric mean over starts of each start's median run; a run's throughput is the "
        "total number of samples divided by the slowest rank's time.",
    )
    gigabytes_per_second: float | None = Field(
        description="Throughput in GB (1e9 bytes) of npy files; null in mode compute."
    )
    seconds_per_sample: float = Field(description="1 / samples_per_second.")
    batch_interval_p50_seconds: float = Field(description="Median time from one finished batch of a rank to the next.")
    batch_interval_p90_seconds: float = Field(description="90th percentile of that time.")
    batch_interval_p99_seconds: float = Field(description="99th percentile of that time.")
    cv_between_starts: float | None = Field(
        description="Coefficient of variation of the starts' throughput: standard deviation / mean; null for one start."
    )
    cv_within_starts: float | None = Field(
        description="Coefficient of variation of the throughput of a start's runs, mean over starts; null for one run."
    )
    cpu_utilisation: float = Field(
        description="CPU time of all ranks / (wall time x number of their cores); 1 means all cores were busy."
    )
    valid: bool = Field(description="True if no check of level error failed.")
    invalid_reasons: str = Field(description="Failed checks of level error.")
    warnings: str = Field(description="Failed checks of level warning.")
    batch_interval_p95_seconds: float = Field(description="95th percentile of the batch interval.")
    batch_interval_max_seconds: float = Field(description="Longest batch interval.")
    samples_per_second_ci_low: float | None = Field(
        description="Lower end of the 95 % confidence interval of samples_per_second; null for fewer than 3 starts."
    )
    samples_per_second_ci_high: float | None = Field(description="Upper end of that interval.")
    relative_half_width: float | None = Field(
        description="Half the width of that interval / samples_per_second: the precision reached; null for fewer than "
        "3 starts."
    )
    samples_per_second_min: float = Field(description="Throughput of the slowest start.")
    samples_per_second_max: float = Field(description="Throughput of the fastest start.")
    samples_per_second_per_rank: float = Field(description="samples_per_second / ranks.")
    straggler_gap: float = Field(
        description="(slowest rank's time - fastest rank's time) / slowest rank's time; the median over runs."
    )
    straggler_node: str = Field(description="The node of the slowest rank in most runs.")
    node_cpu_utilisation: float = Field(
        description="Share of all cores of the job's nodes that any process kept busy; the median over runs."
    )
    peak_rss_bytes: int = Field(description="Sum of the ranks' peak resident memory, with mapped files, bytes.")
    page_faults_per_batch: float | None = Field(
        description="Page faults of all ranks / their batches, the median over runs; null in mode io and if not "
        "recorded."
    )
    global_batch_size: int = Field(description="ranks x local_batch_size.")
    precision: str = Field(description="Precision that the engine computes in; empty in mode io.")
    num_starts: int = Field(description="Number of starts.")
    num_runs: int = Field(description="Number of measured runs of all starts.")
    num_batches: int = Field(description="Number of measured batches.")
    sample_bytes: float = Field(description="Size of a sample's npy file, bytes.")
    num_devices: int = Field(description="Number of devices: GPUs, or nodes if their CPUs compute.")
    num_nodes: int = Field(description="Number of nodes.")
    joules_per_sample: float | None = Field(description="Energy of all GPUs / samples; null without a GPU.")
    device_watts: float | None = Field(description="Power of all GPUs, watts; null without a GPU.")
    device_utilisation: float | None = Field(
        description="Mean share of the time in which the GPUs ran a kernel; null without a GPU."
    )
    device_memory_bytes: float | None = Field(
        description="Memory in use on the fullest GPU, bytes; null without a GPU."
    )


class Bottleneck(Model):
    """What limits a configuration of mode inference: its throughput beside the I/O-only and compute-only ones."""

    io_only_samples_per_second: float = Field(description="Throughput of mode io with the same settings.")
    compute_only_samples_per_second: float = Field(description="Throughput of mode compute with the same settings.")
    accelerator_utilisation: float = Field(description="samples_per_second / compute_only_samples_per_second.")
    overlap_efficiency: float = Field(
        description="samples_per_second / the lower of the I/O-only and compute-only throughput."
    )
    headroom: float = Field(description="The higher of the I/O-only and compute-only throughput / samples_per_second.")
    baseline_ratio: float | None = Field(
        description="io_only_samples_per_second / the fastest read-and-discard throughput with the same ranks, batch "
        "size and page cache; null if that was not measured."
    )
    reader_cpu_utilisation: float = Field(
        description="CPU time of the I/O-only configuration / (wall time x number of cores that its reader threads can "
        "keep busy)."
    )
    limit_separation: float = Field(
        description="Low end of the higher limit's interval / high end of the lower limit's interval. The limits are "
        "the I/O-only and compute-only throughput."
    )
    bottleneck_margin: float = Field(
        description="limit_separation / the square of the drift, which overlap_efficiency or baseline_ratio above 1 "
        "shows."
    )
    bottleneck: Limit = Field(
        description="storage, reader or compute: the side of the lower limit; overlap-limited: overlap_efficiency is "
        "below 0.9 even at the favourable ends of the intervals; balanced: bottleneck_margin is below 1; "
        "measurement-conflict: it is, and overlap_efficiency is above 1.1."
    )
    bottleneck_confidence: Confidence = Field(
        description="high: bottleneck_margin is at least 1.5; medium: at least 1; low: below 1."
    )
