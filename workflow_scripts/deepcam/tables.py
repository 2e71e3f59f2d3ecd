"""From records to tables: one row per cell."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from deepcam import files, metrics
from deepcam.grid import NONE, Cell


def summary(records: Iterable[metrics.Record]) -> pd.DataFrame:
    """One row per cell in the order of cells, all its repeats pooled.

    Inference cells whose reader and engine were also measured alone, with the same settings, name their bottleneck.
    """
    by_cell: dict[Cell, list[metrics.Record]] = collections.defaultdict(list)
    for record in records:
        by_cell[Cell(**record["cell"])].append(record)
    rows = {cell: metrics.summarize(by_cell[cell]) for cell in sorted(by_cell)}
    rates = {cell: row["samples_per_second"] for cell, row in rows.items()}
    for cell in rows:
        if cell.mode == "inference":
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


def write(table: pd.DataFrame, path: Path) -> None:
    """Write as CSV or Parquet, by the suffix, atomically."""
    with files.atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False, float_format="%.6g")
