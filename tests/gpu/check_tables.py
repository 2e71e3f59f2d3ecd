"""The tables of check.py: a line per configuration."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

COLUMNS = (
    "mode", "reader", "engine", "local_batch_size", "samples_per_second", "gigabytes_per_second", "cv_within_starts",
    "device_memory_bytes", "accelerator_utilisation", "overlap_efficiency", "bottleneck", "invalid_reasons",
)  # fmt: skip
"""Columns of the summary that are printed. Its joules are left out, because the runs in it are too short for them."""

DIRECT = (
    "step", "mode", "reader", "inter_threads", "engine", "local_batch_size", "starts", "shortest_run_seconds",
    "samples_per_second", "half_width", "gigabytes_per_second", "joules_per_sample", "joules_half_width", "watts",
    "lowest_sm_megahertz", "problems",
)  # fmt: skip
"""Columns of the runs outside the workflow. Half-widths are those of 95 % confidence intervals, as shares."""


def cells(summary: Path) -> list[str]:
    """The configurations of the workflow, from its summary."""
    if not summary.exists():
        return ["no configuration was measured"]
    with open(summary, newline="") as file:
        return [" ".join(COLUMNS), *(" ".join(row.get(c) or "-" for c in COLUMNS) for row in csv.DictReader(file))]


def direct(folder: Path) -> list[str]:
    """The configurations that were measured outside the workflow, from records STEP/CELL-START.json."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/*.json")):
        key = path.parent.name, path.stem.partition("-")[0]
        groups.setdefault(key, []).append(json.loads(path.read_text(encoding="utf-8")))
    return [" ".join(DIRECT), *(_line(step, records) for (step, _), records in groups.items())]


def _line(step: str, records: Sequence[dict[str, Any]]) -> str:
    from deepcam.report.page.results import LONG_RUN  # only then does PYTHONPATH know it

    cell, metrics = records[0]["cell"], [record["metrics"] for record in records]
    ranks = [run["ranks"][0] for record in records for run in record["runs"]]
    shortest = min(sum(rank["part_seconds"]) for rank in ranks)
    joules = [of["joules_per_sample"] for of in metrics] if shortest >= LONG_RUN else [None]
    clocks = [clock["lowest"] for rank in ranks if (clock := (rank["device"] or {}).get("sm_clock"))]
    values = [
        step, *(cell[key] for key in ("mode", "reader", "inter_threads", "engine", "local_batch_size")), len(records),
        shortest, *_mean(of["samples_per_second"] for of in metrics),
        _mean(of["gigabytes_per_second"] for of in metrics)[0], *_mean(joules),
        _mean(of["device_watts"] for of in metrics)[0] if None not in joules else None, min(clocks, default=None),
        ";".join(sorted({of[level] for of in metrics for level in ("invalid_reasons", "warnings") if of[level]})),
    ]  # fmt: skip
    return " ".join(f"{value:.4g}" if isinstance(value, float) else str(value or "-") for value in values)


def _mean(values: Iterable[float | None]) -> tuple[float | None, float | None]:
    """The mean of all starts and its relative half-width; None if one is unknown."""
    from deepcam.record import precision

    given = list(values)
    known = [value for value in given if value is not None]
    if len(known) < len(given):
        return None, None
    return statistics.fmean(known), precision.relative_half_width(known)
