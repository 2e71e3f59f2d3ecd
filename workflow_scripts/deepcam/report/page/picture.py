"""The picture of the verdict: the same settings, measured three ways, on one logarithmic axis. Pure functions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import pandas as pd

from deepcam.record import bottleneck
from deepcam.report.page.rows import Comparison, is_cold
from deepcam.report.page.words import digits, factor, interval, page_cache, percent, settings

STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))
"""Ticks of a decade, from few to many."""

FEWEST_TICKS = 4

ROOM = 36
"""Width in percent of the axis that the label of the headroom needs."""


@dataclasses.dataclass(frozen=True)
class Bar:
    """A row of the picture. Positions are percent of the axis."""

    kind: str
    label: str
    at: float
    start: float
    end: float
    rate: str
    interval: str
    gigabytes: str


@dataclasses.dataclass(frozen=True)
class Headroom:
    """The bracket from end-to-end to the higher limit."""

    words: str
    where: str
    spoken: str
    start: float
    end: float
    label_at: float
    anchor: str


@dataclasses.dataclass(frozen=True)
class Group:
    """A state of the page cache."""

    title: str
    notes: str
    bars: list[Bar]
    band: tuple[float, float]
    """Where end-to-end falls if one side is the limit."""
    headroom: Headroom


@dataclasses.dataclass(frozen=True)
class Picture:
    """All groups, and the ticks of both scales: position and text."""

    groups: list[Group]
    ticks: list[tuple[float, str]]
    gigabyte_ticks: list[tuple[float, str]]


def picture(found: Sequence[Comparison]) -> Picture | None:
    """The picture; None without a comparison."""
    rows = [row for one in found for row in (*one.measured, one.baseline) if row is not None]
    if not rows:
        return None
    low, high = min(row["low"] for row in rows) / 1.6, max(row["high"] for row in rows) * 1.15

    def at(value: float) -> float:
        return round(100 * math.log(value / low) / math.log(high / low), 2)

    scale = rows[0]["sample_bytes"] / 1e9
    return Picture(
        groups=[_group(one, at) for one in found],
        ticks=[(at(tick), f"{tick:,g}") for tick in _ticks(low, high)],
        gigabyte_ticks=[(at(tick / scale), f"{tick:,g}") for tick in _ticks(low * scale, high * scale)],
    )


def _ticks(low: float, high: float) -> list[float]:
    """At least FEWEST_TICKS plain numbers from low to high, where there are so many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in STEPS:
        found = [tick for decade in decades for step in steps if low <= (tick := round(step * 10.0**decade, 9)) <= high]
        if len(found) >= FEWEST_TICKS:
            break
    return found


def _group(comparison: Comparison, at: Callable[[float], float]) -> Group:
    io, compute, end_to_end = comparison.io, comparison.compute, comparison.end_to_end
    bars = [
        _bar("io", f"I/O-only ({io['reader']})", io, at),
        _bar("compute", f"Compute-only ({compute['engine']})", compute, at),
        _bar("e2e", "End-to-end", end_to_end, at),
    ]
    if comparison.baseline is not None:
        bars.insert(0, _bar("baseline", "Read-and-discard baseline", comparison.baseline, at))
    limit = comparison.lower["samples_per_second"]
    return Group(
        title=f"{page_cache(comparison.cache).capitalize()}: bytes come from {_source(comparison)}",
        notes=" ".join(filter(None, [f"{settings(end_to_end)}.", _shares(comparison), _skipped(comparison)])),
        bars=bars,
        band=(at(bottleneck.OVERLAP_LIMITED_BELOW * limit), at(bottleneck.CONFLICT_ABOVE * limit)),
        headroom=_headroom(comparison, at),
    )


def _bar(kind: str, label: str, row: pd.Series, at: Callable[[float], float]) -> Bar:
    return Bar(
        kind,
        label,
        at(row["samples_per_second"]),
        at(row["low"]),
        at(row["high"]),
        digits(row["samples_per_second"]),
        interval(row),
        "" if kind == "compute" else digits(row["gigabytes_per_second"]),
    )


def _shares(comparison: Comparison) -> str:
    if comparison.io_is_lower:
        utilisation = percent(comparison.end_to_end["accelerator_utilisation"])
        return f"End-to-end is {comparison.overlap} of I/O-only and {utilisation} of compute-only (AU)."
    return f"End-to-end is {comparison.overlap} of compute-only (AU)."


def _skipped(comparison: Comparison) -> str:
    faster = comparison.faster
    if faster is None:
        return ""
    why = "has no valid I/O-only and compute-only results to compare with" if faster["valid"] else "INVALID"
    return f"{faster['engine']} is faster, but {why} in this cache state."


def _headroom(comparison: Comparison, at: Callable[[float], float]) -> Headroom:
    """The bracket and its label, which is beside the bracket if that is short."""
    end_to_end, upper = comparison.end_to_end, comparison.upper
    least, most = upper["low"] / end_to_end["high"], upper["high"] / end_to_end["low"]
    words = f"{factor(end_to_end['headroom'])}× headroom" if least > 1 else "no headroom"
    where = f" in {'compute' if comparison.io_is_lower else _source(comparison)}" if least > 1 else ""
    start, end = at(end_to_end["samples_per_second"]) + 3.5, at(upper["samples_per_second"])
    if end - start > ROOM - 3.5:
        label_at, anchor = (start + end) / 2, "middle"
    elif end < 100 - ROOM:
        label_at, anchor = max(start, end) + 1.5, "start"
    else:
        label_at, anchor = start - 9.5, "end"
    return Headroom(
        words,
        where,
        f"{words}{where}, between {factor(least)} and {factor(most)} times",
        round(min(start, end), 2),
        round(max(start, end), 2),
        round(label_at, 2),
        anchor,
    )


def _source(comparison: Comparison) -> str:
    return "storage" if is_cold(comparison.cache) else "memory"
