"""Tables of what was measured: a row per cell, per engine and device, or per channel."""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deepcam import files
from deepcam.climate import CLASSES
from deepcam.data.dataset import Channel
from deepcam.grid import NONE, READERS, Cell
from deepcam.record import bottleneck, cell_summary, metrics, start_facts, store
from deepcam.record.columns import Bottleneck, Metrics
from deepcam.record.schema import Check, Record
from deepcam.record.start_facts import StartFacts
from deepcam.text import printable

FORMULA_MARKS = ("=", "+", "-", "@")
"""How a formula starts in spreadsheets."""

BaselineKey = tuple[str, str, int, int]
"""Storage, cache, ranks and local batch size."""

DEVICES = (1, 8, 64, 1024)
"""Numbers of devices for which the required storage bandwidth is computed."""

STOPPED = "stopped"
"""The column with the reason why measuring a configuration ended: precise, max_starts, max_seconds or minutes."""

ACCURACY = (
    "engine", "device", "samples", *CLASSES, "mean_iou", *(f"reference {name}" for name in CLASSES),
    "reference_mean_iou", "required_mean_iou", "pixel_agreement", "required_pixel_agreement", "max_logit_margin_loss",
    "median_logit_margin", "passed",
)  # fmt: skip
"""Columns of the table of accuracy. A class's column is its IoU, and margins are differences of logits."""


@dataclasses.dataclass(frozen=True)
class Tables:
    """The tables that figures are drawn from."""

    summary: pd.DataFrame
    accuracy: pd.DataFrame
    channels: pd.DataFrame
    storages: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    """The named storages side by side; empty without names."""

    @classmethod
    def read(cls, folder: Path) -> Tables:
        """Read the tables that `write` has written to `folder`."""
        return cls(
            pd.read_parquet(folder / "summary.parquet"),
            pd.read_csv(folder / "accuracy.csv"),
            pd.read_csv(folder / "channels.csv"),
            pd.read_csv(path) if (path := folder / "storages.csv").exists() else pd.DataFrame(),
        )


def summary(records: Iterable[Record], stopped: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row per cell in the order of cells: the cell's fields, its metrics over all starts, and its bottleneck.

    `stopped` maps the id of a cell to the reason why its measuring ended, which is empty for others.
    An inference cell has a bottleneck if it and the io and compute cells with the same settings are valid.
    """
    by_cell: dict[Cell, list[Record]] = collections.defaultdict(list)
    for record in records:
        by_cell[record.cell].append(record)
    return summary_of_cells(by_cell.values(), stopped)


def summary_of_cells(cells: Iterable[Iterable[Record]], stopped: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The same from the records of each cell. No two of them need to be in memory at the same time."""
    metrics_of: dict[Cell, Metrics] = {}
    utilisations: dict[Cell, float] = {}
    for records in cells:
        starts: list[StartFacts] = []
        checks: list[Check] = []
        for record in records:
            starts.append(start_facts.of(record))
            checks += record.checks
        cell = starts[0].cell
        metrics_of[cell] = cell_summary.pool(starts, checks)
        utilisations[cell] = statistics.median(run.reader_cpu_utilisation for start in starts for run in start.runs)
    table = with_bottlenecks(dict(sorted(metrics_of.items())), utilisations)
    reasons = [(stopped or {}).get(cell.id, "") for cell in sorted(metrics_of)]
    table.insert(table.columns.get_loc("num_starts") + 1, STOPPED, reasons)
    return table


def with_bottlenecks(metrics_of: Mapping[Cell, Metrics], utilisations: Mapping[Cell, float]) -> pd.DataFrame:
    """A row per cell: its fields, its metrics and its bottleneck. `utilisations` are those of readers' threads."""
    valid = {cell: found for cell, found in metrics_of.items() if found.valid}
    baselines: dict[BaselineKey, float] = {}
    for cell, found in valid.items():
        if cell.mode == "io" and cell.reader in READERS and READERS[cell.reader].discards:
            key = _baseline_key(cell)
            baselines[key] = max(baselines.get(key, 0.0), found.samples_per_second)
    table = pd.DataFrame(
        [_row(cell, found, _bottleneck(cell, valid, baselines, utilisations)) for cell, found in metrics_of.items()]
    )
    return table.astype(dict.fromkeys(table.columns[table.isna().all()], float))


def _baseline_key(cell: Cell) -> BaselineKey:
    """What a configuration and its read-and-discard baseline have in common."""
    return cell.storage, cell.cache, cell.ranks, cell.local_batch_size


def _bottleneck(
    cell: Cell,
    valid: Mapping[Cell, Metrics],
    baselines: Mapping[BaselineKey, float],
    utilisations: Mapping[Cell, float],
) -> Bottleneck | None:
    io = dataclasses.replace(cell, mode="io", engine=NONE)
    compute = dataclasses.replace(
        cell, mode="compute", reader=NONE, cache=NONE, inter_threads=1, intra_threads=1, storage=""
    )
    if cell.mode != "inference" or not valid.keys() >= {cell, io, compute}:
        return None
    return bottleneck.judge(
        *(bottleneck.rate(valid[part]) for part in (cell, io, compute)),
        cache=cell.cache,
        baseline=baselines.get(_baseline_key(cell)),
        reader_cpu_utilisation=utilisations[io],
    )


def _row(cell: Cell, found: Metrics, judged: Bottleneck | None) -> dict[str, Any]:
    row = dataclasses.asdict(cell) | found.model_dump()
    if judged is None:
        return row | dict.fromkeys(Bottleneck.model_fields)
    if judged.overlap_efficiency > bottleneck.CONFLICT_ABOVE:
        row["warnings"] = "; ".join(filter(None, [found.warnings, _too_fast(judged)]))
    return row | judged.model_dump()


def _too_fast(judged: Bottleneck) -> str:
    return (
        f"bottleneck: expected at most {bottleneck.CONFLICT_ABOVE:.0%} of the lower of I/O-only and compute-only "
        f"throughput, got {judged.overlap_efficiency:.0%}"
    )


def best(table: pd.DataFrame) -> pd.DataFrame:
    """The fastest valid cell for each mode, reader, cache, engine and storage, in that order."""
    keys = ["mode", "reader", "cache", "engine", "storage"]
    fastest = table[table["valid"]].sort_values("samples_per_second", kind="stable", ascending=False)
    return fastest.drop_duplicates(keys).sort_values(keys, kind="stable").reset_index(drop=True)


def sizing(table: pd.DataFrame) -> pd.DataFrame:
    """Storage bandwidth in GB/s that keeps DEVICES 90 % utilised, for each engine's fastest valid compute cell."""
    compute = table[table["valid"] & (table["mode"] == "compute")].copy()
    compute["samples_per_second_per_device"] = compute["samples_per_second"] / compute["num_devices"]
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
    """The accuracy verdicts in files <engine>/<device>.json, a row each, sorted."""
    return pd.DataFrame([_accuracy_row(path) for path in sorted(verdicts)], columns=list(ACCURACY))


def _accuracy_row(path: Path) -> dict[str, Any]:
    verdict = store.read_verdict(path)
    return {
        **verdict.model_dump(),
        **verdict.iou,
        **{f"reference {name}": value for name, value in verdict.reference_iou.items()},
        "engine": path.parent.name,
        "device": path.stem,
        "required_mean_iou": verdict.min_iou_ratio * verdict.reference_mean_iou,
        "required_pixel_agreement": verdict.min_pixel_agreement,
    }


def channels(described: Sequence[Channel], used: Collection[int]) -> pd.DataFrame:
    """Statistics of each channel of a dataset, in the channel's own unit; the network sees the channels `used`."""
    return pd.DataFrame(
        {
            "channel": channel.name,
            "used": index in used,
            "mean": channel.mean,
            "standard_deviation": math.sqrt(max(0.0, channel.mean_square - channel.mean**2)),
            "minimum": channel.minimum,
            "maximum": channel.maximum,
            "nonfinite": channel.nonfinite,
        }
        for index, channel in enumerate(described)
    )


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, depending on the suffix, atomically.

    In CSV, an apostrophe precedes text that spreadsheets would take for a formula.
    """
    with files.atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.map(_without_formula).to_csv(temporary, index=False, float_format="%.6g")


def _without_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(FORMULA_MARKS) else text
