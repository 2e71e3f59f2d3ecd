"""From records to tables: one row per cell."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from deepcam import cell_summary, files, metrics
from deepcam.grid import NONE, Cell

DEVICES = (1, 8, 64, 1024)
"""Numbers of devices that storage is sized for."""


def summary(records: Iterable[metrics.Record]) -> pd.DataFrame:
    """One row per cell in the order of cells, all its repeats pooled.

    Inference cells whose reader and engine were also measured alone, with the same settings, name their bottleneck.
    """
    by_cell: dict[Cell, list[metrics.Record]] = collections.defaultdict(list)
    for record in records:
        by_cell[Cell(**record["cell"])].append(record)
    rows = {cell: cell_summary.row(by_cell[cell]) for cell in sorted(by_cell)}
    # A verdict that leans on an invalid cell would be none.
    rates = {cell: row["samples_per_second"] for cell, row in rows.items() if row["valid"]}
    for cell in rows:
        if cell.mode == "inference" and cell in rates:
            io = rates.get(dataclasses.replace(cell, mode="io", engine=NONE))
            compute = rates.get(
                dataclasses.replace(cell, mode="compute", reader=NONE, cache=NONE, inter_threads=1, intra_threads=1)
            )
            if io and compute:
                rows[cell] |= metrics.bottleneck(rates[cell], io, compute)
    return pd.DataFrame(list(rows.values()))


def best(table: pd.DataFrame) -> pd.DataFrame:
    """The fastest valid cell per mode, reader, cache and engine, in that order."""
    keys = ["mode", "reader", "cache", "engine"]
    fastest = table[table["valid"]].sort_values("samples_per_second", kind="stable", ascending=False)
    return fastest.drop_duplicates(keys).sort_values(keys, kind="stable").reset_index(drop=True)


def sizing(table: pd.DataFrame) -> pd.DataFrame:
    """GB/s that storage must deliver to keep many of the devices measured here busy, by each engine's best cell."""
    compute = table[table["valid"] & (table["mode"] == "compute")].copy()
    compute["samples_per_second_per_device"] = compute["samples_per_second"] / compute["devices"]
    fastest = compute.sort_values("samples_per_second_per_device", kind="stable", ascending=False)
    fastest = fastest.drop_duplicates("engine").sort_values("engine", kind="stable").reset_index(drop=True)
    sized = fastest[["engine", "local_batch_size", "samples_per_second_per_device"]].copy()
    for devices in DEVICES:
        sized[f"gigabytes_per_second_for_{devices}"] = [
            metrics.gigabytes_per_second_needed(rate, size, devices)
            for rate, size in zip(sized["samples_per_second_per_device"], fastest["sample_bytes"], strict=True)
        ]
    return sized


def write(table: pd.DataFrame, path: Path) -> None:
    """Write as CSV or Parquet, by the suffix, atomically."""
    with files.atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False, float_format="%.6g")
