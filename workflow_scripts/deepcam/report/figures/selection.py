"""From the summary's cells to those that a figure shows."""

from __future__ import annotations

import dataclasses

import pandas as pd

from deepcam.grid import Cell

CELL = [field.name for field in dataclasses.fields(Cell)]


def fastest(cells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The fastest cell for each combination of `keys`, a valid one if there is one, in the order of `keys`."""
    ordered = by_speed(cells).sort_values("valid", ascending=False, kind="stable")
    return ordered.drop_duplicates(keys).sort_values(keys, kind="stable").reset_index(drop=True)


def by_speed(cells: pd.DataFrame) -> pd.DataFrame:
    """Fastest first; of equally fast ones the first in the order of cells, wherever they stood."""
    return cells.sort_values(["samples_per_second", *CELL], ascending=[False, *[True] * len(CELL)])


def with_threads(cells: pd.DataFrame) -> pd.DataFrame:
    """With `threads`: all that read for a rank."""
    return cells.assign(threads=cells["inter_threads"] * cells["intra_threads"])


def with_interval(cells: pd.DataFrame, scale: pd.Series | float = 1.0) -> pd.DataFrame:
    """With `low` and `high`: the 95 % confidence interval of samples/s, or of few runs the extremes."""
    low = cells["ci_low_samples_per_second"].astype(float).fillna(cells["lowest_samples_per_second"])
    high = cells["ci_high_samples_per_second"].astype(float).fillna(cells["highest_samples_per_second"])
    return cells.assign(low=low * scale, high=high * scale)


def worst_devices(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Each engine's verdict on the device where its mean IoU is lowest, in the order of engines."""
    worst = accuracy.sort_values(["mean_iou", "device"], kind="stable").drop_duplicates("engine")
    return worst.sort_values("engine", kind="stable")


def engine_labels(cells: pd.DataFrame) -> pd.Series:
    """Engines' names, with the precision that auto came to."""
    return pd.Series(
        [
            f"{name} ({precision})" if precision and "auto" in name else name
            for name, precision in zip(cells["engine"], cells["precision"], strict=True)
        ],
        index=cells.index,
        dtype=object,
    )
