"""The explorer: one HTML file with all configurations, to filter, plot and save. It needs no library."""

from __future__ import annotations

from typing import Any

import pandas as pd

from deepcam.report import templates
from deepcam.report.page import problems, rows
from deepcam.report.page.verdict import TITLES
from deepcam.report.page.words import MODES

COLUMNS = (
    ("mode", "Mode", "set"), ("storage", "Storage", "set"), ("reader", "Reader", "set"), ("cache", "Page cache", "set"),
    ("engine", "Engine", "set"), ("ranks", "Ranks", "set"), ("batch", "Batch", "set"), ("threads", "Threads", "set"),
    ("chunks", "Chunks", "set"), ("rate", "samples/s", "number"), ("low", "low", "number"), ("high", "high", "number"),
    ("gb", "GB/s", "number"), ("p50", "p50, ms", "number"), ("p99", "p99, ms", "number"), ("half", "± %", "number"),
    ("cpu", "CPU, %", "number"), ("au", "AU, %", "number"), ("headroom", "Headroom", "number"),
    ("starts", "Starts", "number"), ("stopped", "Stopped", "set"), ("verdict", "Verdict", "set"),
    ("state", "State", "set"), ("why", "Problems", "reasons"),
)  # fmt: skip
"""Key, heading and kind of each column: a set of values to filter by, a number, or the failed checks.

The storage is left out if none has a name."""

LABELS = {
    "not_steady": "not steady", "background_cpu_load": "background load",
    "background_cpu_load_small": "some background load",
    "run_seconds": "run too short", "storage_local": "cache below", "bottleneck": "faster than its limit",
    "gpudirect_storage": "GDS fallback", "homogeneous_nodes": "different nodes", "residency_cold": "not cold",
    "bytes_read_from_servers": "bytes from servers", "reads_not_proved": "not proved", "storage_in_memory": "in memory",
    "background_storage_load": "storage load", "background_storage_load_small": "some storage load",
    "residency_warm": "not warm", "bytes_read_from_storage": "bytes read", "o_direct": "no O_DIRECT",
}  # fmt: skip
"""Short names of checks. Others keep their names."""


def render(summary: pd.DataFrame) -> str:
    """The HTML of the page. Equal tables give equal bytes."""
    table = rows.prepare(summary)
    columns = [column for column in COLUMNS if column[0] != "storage" or table["storage"].any()]
    found = [[values[key] for key, *_ in columns] for values in map(_values, (row for _, row in table.iterrows()))]
    return (
        templates.environment()
        .get_template("explorer.html.j2")
        .render(data={"columns": columns, "labels": LABELS, "rows": found})
    )


def _values(row: pd.Series) -> dict[str, Any]:
    """The values of a configuration by the keys of COLUMNS; None for an empty one, and numbers with four digits."""
    reads = row["reader"] != "none"
    reasons = row["warnings"] if row["valid"] else row["invalid_reasons"]
    return {
        "mode": MODES[row["mode"]],
        "storage": row["storage"] or None,
        "reader": _named(row["reader"]),
        "cache": _named(row["page_cache"]),
        "engine": _named(row["engine"]),
        "ranks": int(row["ranks"]),
        "batch": int(row["local_batch_size"]),
        "threads": int(row["inter_threads"]) if reads else None,
        "chunks": int(row["intra_threads"]) if reads else None,
        "rate": _four(row["samples_per_second"]),
        "low": _four(row["low"]),
        "high": _four(row["high"]),
        "gb": _four(row["gigabytes_per_second"]),
        "p50": _four(row["batch_interval_p50_seconds"], 1000),
        "p99": _four(row["batch_interval_p99_seconds"], 1000),
        "half": _four(row["relative_half_width"], 100),
        "cpu": _four(row["cpu_utilisation"], 100),
        "au": _four(row["accelerator_utilisation"], 100),
        "headroom": _four(row["headroom"]),
        "starts": int(row["num_starts"]),
        "stopped": row["stopped"] or None,
        "verdict": None if rows.is_missing(row["bottleneck"]) else TITLES[row["bottleneck"]].lower(),
        "state": "VALID" if row["valid"] else "INVALID",
        "why": [reason for _, reason in problems.reasons(reasons)],
    }


def _named(name: str) -> str | None:
    return None if name == "none" else name


def _four(value: float | None, scale: float = 1) -> float | None:
    return None if value is None or rows.is_missing(value) else float(f"{value * scale:.4g}")
