"""From what was measured to tables: a row per cell, per engine and device, per channel."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from deepcam import files
from deepcam.climate import CLASSES
from deepcam.grid import NONE, Cell
from deepcam.record import cell_summary, metrics

DEVICES = (1, 8, 64, 1024)
"""Numbers of devices that storage is sized for."""

ACCURACY = ("engine", "device", "samples", *CLASSES, "mean_iou", *(f"reference {name}" for name in CLASSES),
            "reference_mean_iou", "required_mean_iou", "agreement", "required_agreement", "largest_margin_lost",
            "median_margin", "passed")  # fmt: skip
"""Columns of the table of accuracy; a class's name is its IoU, and margins are differences of logits."""


@dataclasses.dataclass(frozen=True)
class Tables:
    """What figures are drawn from."""

    summary: pd.DataFrame
    accuracy: pd.DataFrame
    channels: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Tables:
        """The tables that `write` has left in `folder`."""
        return cls(
            pd.read_parquet(folder / "summary.parquet"),
            pd.read_csv(folder / "accuracy.csv"),
            pd.read_csv(folder / "channels.csv"),
        )


def summary(records: Iterable[metrics.Record]) -> pd.DataFrame:
    """One row per cell in the order of cells, all its repeats pooled.

    Inference cells whose reader and engine were also measured alone, with the same settings, name their bottleneck.
    """
    by_cell: dict[Cell, list[metrics.Record]] = collections.defaultdict(list)
    for record in records:
        by_cell[Cell(**record["cell"])].append(record)
    rows = {cell: cell_summary.row(by_cell[cell]) for cell in sorted(by_cell)}
    # A verdict that leans on an invalid cell would be none.
    rates = {cell: _rate(row) for cell, row in rows.items() if row["valid"]}
    verdicts = {}
    for cell in rows:
        if cell.mode == "inference" and cell in rates:
            io = rates.get(dataclasses.replace(cell, mode="io", engine=NONE))
            compute = rates.get(
                dataclasses.replace(cell, mode="compute", reader=NONE, cache=NONE, inter_threads=1, intra_threads=1)
            )
            if io and compute:
                verdicts[cell] = metrics.bottleneck(rates[cell], io, compute)
                if verdicts[cell]["bottleneck"] == "inconsistent":
                    known = rows[cell]["warnings"]
                    rows[cell]["warnings"] = "; ".join(filter(None, [known, _inconsistent(verdicts[cell])]))
    table = pd.DataFrame([row | verdicts.get(cell, metrics.NO_BOTTLENECK) for cell, row in rows.items()])
    return table.astype(dict.fromkeys(table.columns[table.isna().all()], float))


def _rate(row: Mapping[str, Any]) -> metrics.Rate:
    return metrics.Rate(*(row[f"{name}samples_per_second"] for name in ("", "lowest_", "highest_")))


def _inconsistent(verdict: Mapping[str, Any]) -> str:
    return (
        f"bottleneck: expected at most {metrics.INCONSISTENT_ABOVE:.0%} of the lower of reading and computing alone, "
        f"got {verdict['overlap_efficiency']:.0%}"
    )


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


def accuracy(verdicts: Iterable[Path]) -> pd.DataFrame:
    """The accuracy gate's verdicts, in files <engine>/<device>.json, a row each, sorted."""
    rows = []
    for path in sorted(verdicts):
        verdict = json.loads(path.read_text())
        rows.append(
            {name: verdict[name] for name in ACCURACY if name in verdict}
            | verdict["iou"]
            | {f"reference {name}": value for name, value in verdict["reference_iou"].items()}
            | {
                "engine": path.parent.name,
                "device": path.stem,
                "required_mean_iou": verdict["min_iou_ratio"] * verdict["reference_mean_iou"],
                "required_agreement": verdict["min_agreement"],
            }
        )
    return pd.DataFrame(rows, columns=list(ACCURACY))


def channels(dataset: Path, used: Collection[int]) -> pd.DataFrame:
    """What dataset.json says of each channel, in the channel's own unit; `used` are those that the network sees."""
    return pd.DataFrame(
        {
            "channel": channel["name"],
            "used": index in used,
            "mean": channel["mean"],
            "standard_deviation": math.sqrt(max(0.0, channel["mean_square"] - channel["mean"] ** 2)),
            "minimum": channel["minimum"],
            "maximum": channel["maximum"],
            "nonfinite": channel.get("nonfinite"),
        }
        for index, channel in enumerate(json.loads(dataset.read_text())["channels"])
    )


def write(table: pd.DataFrame, path: Path) -> None:
    """Write as CSV or Parquet, by the suffix, atomically."""
    with files.atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False, float_format="%.6g")
