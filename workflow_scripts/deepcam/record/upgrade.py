"""Records of version 4 and accuracy verdicts of that time, brought to the names of today. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepcam.record import validity
from deepcam.record.schema import SCHEMA_VERSION, Check

OLD_VERSION = 4
"""The one older version that is still read."""

READERS = {"raw": "pread-discard"}

ENVIRONMENT = {"other_load": "background_cpu_load"}

RUN = {
    "passes": "epochs",
    "residency_low": "page_cache_residency_min",
    "residency_high": "page_cache_residency_max",
}

RANK_RUN = {
    "batch_seconds": "batch_interval_seconds",
    "other_load": "background_cpu_load",
    "peak_memory_bytes": "peak_rss_bytes",
    "storage_bytes": "bytes_read_from_storage",
}

CHECKS = {
    "samples_once": "every_sample_once",
    "spread": "throughput_cv",
    "spread_small": "throughput_cv_small",
    "other_load": "background_cpu_load",
    "nodes_alike": "homogeneous_nodes",
    "fetched_from_storage": "bytes_read_from_storage",
}

VERDICT = {
    "agreement": "pixel_agreement",
    "min_agreement": "min_pixel_agreement",
    "largest_margin_lost": "max_logit_margin_loss",
    "median_margin": "median_logit_margin",
}

METRICS = {
    "p50_seconds": "batch_interval_p50_seconds",
    "p90_seconds": "batch_interval_p90_seconds",
    "p95_seconds": "batch_interval_p95_seconds",
    "p99_seconds": "batch_interval_p99_seconds",
    "max_seconds": "batch_interval_max_seconds",
    "spread": "throughput_cv",
    "ci_low_samples_per_second": "samples_per_second_ci_low",
    "ci_high_samples_per_second": "samples_per_second_ci_high",
    "lowest_samples_per_second": "samples_per_second_min",
    "highest_samples_per_second": "samples_per_second_max",
    "rank_imbalance": "straggler_gap",
    "slowest_node": "straggler_node",
    "memory_bytes": "peak_rss_bytes",
    "runs": "num_runs",
    "batches": "num_batches",
    "devices": "num_devices",
    "nodes": "num_nodes",
}


def upgrade_record(old: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a record of version 4 as that of SCHEMA_VERSION.

    Only names change. Raises KeyError, TypeError, AttributeError or pydantic's ValidationError for anything else.
    """
    cell, engine = old["cell"], old["engine"]
    checks = [{**check, "name": CHECKS.get(check["name"], check["name"])} for check in old["checks"]]
    found = [Check.model_validate(check) for check in checks]
    # The metrics of version 4 repeated the cell.
    own_metrics = {key: value for key, value in old["metrics"].items() if key not in cell}
    return {
        **old,
        "schema_version": SCHEMA_VERSION,
        "cell": {**cell, "reader": READERS.get(cell["reader"], cell["reader"])},
        "engine": {**engine, "accuracy": [upgrade_verdict(v) for v in engine["accuracy"]]} if engine else None,
        "environment": _renamed(old["environment"], ENVIRONMENT),
        "runs": [
            {**_renamed(run, RUN), "ranks": [_renamed(rank, RANK_RUN) for rank in run["ranks"]]} for run in old["runs"]
        ],
        "checks": checks,
        "metrics": {
            **_renamed(own_metrics, METRICS),
            "invalid_reasons": validity.failures(found, validity.ERROR),
            "warnings": validity.failures(found, validity.WARNING),
        },
    }


def upgrade_verdict(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """The content of an accuracy verdict under the names of today, whichever it has."""
    return _renamed(verdict, VERDICT)


def _renamed(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in content.items()}
