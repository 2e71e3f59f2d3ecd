"""What the numbers of a configuration need of each of its starts: a few numbers of each run, and all batch intervals.

It takes a tenth of a record's memory, so that the records of a large grid need not be in memory together.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepcam.grid import Cell
from deepcam.record import metrics
from deepcam.record.run_schema import DeviceUsage, Run
from deepcam.record.schema import Measurement, Start

ENGINE_KEYS = ("backend", "precision", "cuda_graphs", "weights_sha256", "width_multiplier", "channels")
"""Fields of an engine that are equal in all starts, even if it is built again between two of them."""


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """One run of all ranks. The names are those of functions in `metrics`."""

    run_seconds: float
    run_samples: int
    batch_interval_seconds: np.ndarray
    """Of all ranks, float64, shape (batches,)."""
    times: str
    """A hash of all times."""
    cpu_utilisation: float
    reader_cpu_utilisation: float
    node_cpu_utilisation: float
    straggler_gap: float
    straggler_node: str
    peak_rss_bytes: int
    """Of all ranks together."""
    page_faults_per_batch: float | None
    device_usage: DeviceUsage

    @property
    def samples_per_second(self) -> float:
        """Throughput: the total number of samples divided by the slowest rank's time."""
        return self.run_samples / self.run_seconds


@dataclasses.dataclass(frozen=True)
class StartFacts:
    """One start."""

    cell: Cell
    start: Start | None
    date: str
    subject: Mapping[str, str]
    """Keys of what is equal in all starts, and hashes of their values."""
    precision: str
    sample_bytes: float
    num_devices: int
    num_nodes: int
    runs: tuple[RunFacts, ...]

    @property
    def throughputs(self) -> list[float]:
        """Samples per second of each run."""
        return [run.samples_per_second for run in self.runs]


def of(record: Measurement) -> StartFacts:
    """The facts of a record."""
    return StartFacts(
        cell=record.cell,
        start=record.start,
        date=record.environment.date,
        subject={key: _hash(value) for key, value in _subject(record).items()},
        precision=record.engine.precision if record.engine else "",
        sample_bytes=metrics.sample_bytes(record),
        num_devices=metrics.num_devices(record),
        num_nodes=metrics.num_nodes(record),
        runs=tuple(_of_run(record, run) for run in record.runs),
    )


def times(run: Run) -> str:
    """A hash of what no other run has: at a resolution of nanoseconds, the times of two runs differ."""
    digest = hashlib.sha256()
    for rank in run.ranks:
        digest.update(f"{rank.part_seconds} {rank.batch_interval_nanoseconds}\n".encode())
    return digest.hexdigest()


def _of_run(record: Measurement, run: Run) -> RunFacts:
    return RunFacts(
        run_seconds=metrics.run_seconds(run),
        run_samples=metrics.run_samples(run),
        batch_interval_seconds=run.batch_interval_seconds,
        times=times(run),
        cpu_utilisation=metrics.cpu_utilisation(record, run),
        reader_cpu_utilisation=metrics.reader_cpu_utilisation(record, run),
        node_cpu_utilisation=metrics.node_cpu_utilisation(run),
        straggler_gap=metrics.straggler_gap(run),
        straggler_node=metrics.straggler_node(record, run),
        peak_rss_bytes=sum(rank.peak_rss_bytes for rank in run.ranks),
        page_faults_per_batch=metrics.page_faults_per_batch(run),
        device_usage=metrics.device_usage(record, run),
    )


def _subject(record: Measurement) -> dict[str, Any]:
    """What is equal in all starts: settings, dataset, engine and code."""
    engine = record.engine.model_dump(mode="json", include=set(ENGINE_KEYS)) if record.engine else {}
    return {
        **{f"settings.{key}": value for key, value in record.settings.model_dump(mode="json").items()},
        **{f"dataset.{key}": value for key, value in record.dataset.model_dump(mode="json").items()},
        **{f"engine.{key}": engine.get(key) for key in ENGINE_KEYS},
        "environment.code_sha256": record.environment.code_sha256,
    }


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
