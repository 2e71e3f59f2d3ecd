"""Selection of the summary's rows that a figure shows. A row of the summary is one configuration, called a cell."""

from __future__ import annotations

import dataclasses

import pandas as pd

from deepcam.grid import Cell

CELL = [field.name for field in dataclasses.fields(Cell)]

SETTINGS = ["ranks", "local_batch_size", "inter_threads", "intra_threads"]
"""What configurations of different readers or engines may have in common."""

BASELINE = "pread-discard"
"""The reader that discards what it reads. Its rate is the read-and-discard baseline of the other readers."""


def by_place(cells: pd.DataFrame) -> pd.DataFrame:
    """Add the name of the place, if it has one, to the state of the page cache, such as "cold on nvme".

    What is chosen or drawn for each state of the page cache is then so for each place, too.
    """
    named = cells["storage"].astype(str) != ""
    return cells.assign(cache=cells["cache"].where(~named, cells["cache"] + " on " + cells["storage"].astype(str)))


def fastest(cells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The fastest cell for each combination of `keys`, in the order of `keys`. Valid cells have precedence."""
    return valid_first(cells).drop_duplicates(keys).sort_values(keys, kind="stable").reset_index(drop=True)


def by_speed(cells: pd.DataFrame) -> pd.DataFrame:
    """Sort by throughput, the fastest cell first. Cells with equal throughput are sorted by their settings."""
    return cells.sort_values(["samples_per_second", *CELL], ascending=[False, *[True] * len(CELL)])


def valid_first(cells: pd.DataFrame) -> pd.DataFrame:
    """Sort by throughput, the fastest cell first, but all invalid cells after the valid ones."""
    return by_speed(cells).sort_values("valid", ascending=False, kind="stable")


def most_common(cells: pd.DataFrame, keys: list[str], counted: str) -> pd.DataFrame:
    """The cells with those values of `keys` that have the most values of `counted`, and of several such the largest."""
    counts = cells.groupby(keys)[counted].nunique().reset_index().sort_values([counted, *keys])
    return cells.merge(counts.tail(1)[keys], on=keys)


def with_threads(cells: pd.DataFrame) -> pd.DataFrame:
    """Add the column `threads`, the number of reader threads of a rank."""
    return cells.assign(threads=cells["inter_threads"] * cells["intra_threads"])


def with_interval(cells: pd.DataFrame, scale: pd.Series | float = 1.0) -> pd.DataFrame:
    """Add the columns `low` and `high`: the 95 % confidence interval of samples/s times `scale`.

    Cells with too few starts for an interval get their slowest and fastest start instead.
    """
    ends = {
        end: cells[f"samples_per_second_ci_{end}"].astype(float).fillna(cells[f"samples_per_second_{extreme}"]) * scale
        for end, extreme in (("low", "min"), ("high", "max"))
    }
    return cells.assign(**ends)


def worst_devices(accuracy: pd.DataFrame) -> pd.DataFrame:
    """The row of each engine for the device with its lowest mean IoU, sorted by engine."""
    worst = accuracy.sort_values(["mean_iou", "device"], kind="stable").drop_duplicates("engine")
    return worst.sort_values("engine", kind="stable")


def engine_labels(cells: pd.DataFrame) -> pd.Series:
    """The names of the engines. The precision that `auto` chose follows in brackets."""
    return pd.Series(
        [
            f"{name} ({precision})" if precision and "auto" in name else name
            for name, precision in zip(cells["engine"], cells["precision"], strict=True)
        ],
        index=cells.index,
        dtype=object,
    )
