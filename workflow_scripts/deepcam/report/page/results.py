"""The best results, and the tables of readers and engines. Pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pandas as pd

from deepcam.grid import READERS
from deepcam.report import selection
from deepcam.report.page.rows import fastest, is_missing, of_mode, states
from deepcam.report.page.sizing import Supply
from deepcam.report.page.words import digits, interval, percent, settings
from deepcam.text import count

LONG_RUN = 5.0
"""Seconds from which on a run is long enough for a GPU's energy counter."""


@dataclasses.dataclass(frozen=True)
class Best:
    """One of the best results."""

    colour: str
    label: str
    value: str
    unit: str
    basis: str
    settings: str
    number: float
    """The value, not rounded."""
    configuration: str
    """Id of the configuration; empty for a result of several."""


def best_results(table: pd.DataFrame, supplies: Sequence[Supply]) -> list[Best]:
    """The best valid result of each kind that was measured."""
    found = []
    readers = table[table["reader"] != selection.BASELINE]
    for cache in states(readers):
        row = fastest(of_mode(readers, "io", cache))
        if row is not None:
            number, basis = row["gigabytes_per_second"], _basis(row, row["sample_bytes"] / 1e9)
            words = f"{row['reader']}, {settings(row)}"
            found.append(Best("io", f"I/O-only, {cache}", digits(number), "GB/s", basis, words, number, row["id"]))
    for mode, colour, label in (("compute", "compute", "Compute-only"), ("inference", "e2e", "End-to-end")):
        row = fastest(of_mode(table, mode))
        if row is not None:
            label = label if mode == "compute" else f"{label}, {row['cache']}"
            number, words = row["samples_per_second"], f"{row['engine']}, {settings(row)}"
            found.append(Best(colour, label, digits(number), "samples/s", _basis(row), words, number, row["id"]))
    for supply in supplies:
        extrapolated = f"extrapolated from {count(supply.num_devices, 'device')}"
        basis = f"{supply.range}, from cold I/O-only"
        label = f"{supply.place or 'Storage'} feeds, at {percent(0.9)} AU"
        found.append(Best("io", label, supply.value, supply.unit, basis, extrapolated, supply.fed, ""))
    return found


def _basis(row: pd.Series, scale: float = 1.0) -> str:
    if row["num_starts"] == 1:
        return f"1 start, {count(row['num_runs'], 'run')}"
    return f"{interval(row, scale)}, {count(row['num_starts'], 'start')}"


@dataclasses.dataclass(frozen=True)
class ReaderResult:
    """A reader's best result in one state of the page cache, or why there is none."""

    why: str = ""
    gigabytes: str = ""
    interval: str = ""
    share: float | None = None
    settings: str = ""


@dataclasses.dataclass(frozen=True)
class ReaderRow:
    """A row of the table of readers."""

    name: str
    is_baseline: bool
    results: Mapping[str, ReaderResult]


def readers(table: pd.DataFrame) -> tuple[list[str], list[ReaderRow]]:
    """The measured states of the page cache, and each reader's best results, the baseline first, then the fastest."""
    io = of_mode(table, "io")
    caches = states(io)
    if not io["valid"].any():
        return caches, []
    baselines = {cache: fastest(of_mode(io[io["reader"] == selection.BASELINE], "io", cache)) for cache in caches}
    ranked = []
    for name, cells in io.groupby("reader"):
        best = {cache: fastest(of_mode(cells, "io", cache)) for cache in caches}
        results = {
            cache: _reader_result(row, baselines[cache], name, of_mode(cells, "io", cache))
            for cache, row in best.items()
        }
        first = best[caches[0]]
        speed = 0.0 if first is None else first["gigabytes_per_second"]
        ranked.append((name != selection.BASELINE, -speed, ReaderRow(name, name == selection.BASELINE, results)))
    return caches, [row for *_, row in sorted(ranked, key=lambda item: item[:2])]


def _reader_result(row: pd.Series | None, baseline: pd.Series | None, name: str, cells: pd.DataFrame) -> ReaderResult:
    if row is None:
        if len(cells):
            return ReaderResult(why=f"no valid result in {len(cells):,}")
        direct = name in READERS and READERS[name].direct
        return ReaderResult(why="bypasses the page cache" if direct else "not measured")
    rate = row["gigabytes_per_second"]
    return ReaderResult(
        gigabytes=digits(rate),
        interval=interval(row, row["sample_bytes"] / 1e9),
        share=None if baseline is None else rate / baseline["gigabytes_per_second"],
        settings=settings(row),
    )


@dataclasses.dataclass(frozen=True)
class EngineResult:
    """An engine's best result of one kind, or why there is none."""

    why: str = ""
    rate: str = ""
    interval: str = ""
    settings: str = ""


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """How accurate an engine is, on its worst device."""

    iou: str
    target: str
    agreement: str
    passed: bool


@dataclasses.dataclass(frozen=True)
class EngineRow:
    """A row of the table of engines."""

    name: str
    precision: str
    results: Mapping[str, EngineResult]
    joules: str
    accuracy: Accuracy | None


def engines(
    table: pd.DataFrame, accuracy: pd.DataFrame, shortest_runs: Mapping[str, float]
) -> tuple[dict[str, str], bool, list[EngineRow]]:
    """The columns that were measured, whether energy was measured, and each engine's best results, the fastest first.

    `shortest_runs` is the length of the shortest run of each configuration's id, seconds.
    """
    of_engines = table[table["engine"] != "none"]
    caches = states(of_mode(of_engines, "inference"))
    verdicts = selection.worst_devices(accuracy).set_index("engine")
    ranked = []
    for name, cells in of_engines.groupby("built"):
        parts = {"compute": of_mode(cells, "compute")} | {cache: of_mode(cells, "inference", cache) for cache in caches}
        best = {column: fastest(part) for column, part in parts.items()}
        results = {column: _engine_result(best[column], part) for column, part in parts.items()}
        compute = best["compute"]
        ranked.append(
            (
                0.0 if compute is None else -compute["samples_per_second"],
                EngineRow(
                    name=name,
                    precision=cells["precision"].iloc[0].upper(),
                    results=results,
                    joules=_joules(compute, shortest_runs),
                    accuracy=_accuracy(verdicts.loc[name]) if name in verdicts.index else None,
                ),
            )
        )
    rows = [row for _, row in sorted(ranked, key=lambda item: item[0])]
    columns = {"compute": "Compute-only"} if len(of_mode(of_engines, "compute")) else {}
    columns |= {cache: f"End-to-end, {cache}" for cache in caches}
    return columns, any(row.joules for row in rows), rows


def _engine_result(row: pd.Series | None, cells: pd.DataFrame) -> EngineResult:
    if row is None:
        return EngineResult(why="INVALID" if len(cells) else "not measured")
    return EngineResult("", digits(row["samples_per_second"]), interval(row), settings(row))


def _joules(row: pd.Series | None, shortest_runs: Mapping[str, float]) -> str:
    if row is None or is_missing(row["joules_per_sample"]) or shortest_runs[row["id"]] < LONG_RUN:
        return ""
    return digits(row["joules_per_sample"])


def _accuracy(verdict: pd.Series) -> Accuracy:
    return Accuracy(
        digits(verdict["mean_iou"]),
        digits(verdict["required_mean_iou"]),
        percent(verdict["pixel_agreement"], 2),
        bool(verdict["passed"]),
    )
