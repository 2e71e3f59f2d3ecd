"""What the figures of I/O-only throughput share: the states of the page cache, and the finding on readers."""

from __future__ import annotations

import pandas as pd

from deepcam.report.page.rows import fastest, is_cold, states
from deepcam.report.page.words import digits, joined, page_cache, percent
from deepcam.report.selection import BASELINE

NOTHING_VALID = "No VALID I/O-only result"


def heading(state: str) -> str:
    """A state of the page cache, and where the bytes come from."""
    return f"{page_cache(state).capitalize()} ({'storage' if is_cold(state) else 'memory'})"


def of_all_places(cells: pd.DataFrame, state: str) -> pd.DataFrame:
    """The cells with the page cache of this state at all places, whose panels have the same scale."""
    return cells[cells["cache"].str.split().str[0] == state.split()[0]]


def name(reader: str) -> str:
    """A reader as figures call it."""
    return "baseline" if reader == BASELINE else reader


def without_baseline(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of readers that keep what they read, or all cells if there are none of these."""
    readers = cells[cells["reader"] != BASELINE]
    return cells if readers.empty else readers


def finding(io: pd.DataFrame, where: str = "") -> str:
    """The fastest valid reader of each state of the page cache, and its share of the read-and-discard baseline.

    `where` says which part of the grid this is, such as " with 8 ranks".
    """
    found: dict[str, list[str]] = {}
    for cache in states(io):
        here = io[io["cache"] == cache]
        best, baseline = fastest(here[here["reader"] != BASELINE]), fastest(here[here["reader"] == BASELINE])
        if best is not None:
            share = "" if baseline is None else f" ({percent(_rate(best) / _rate(baseline))} of the baseline)"
            found.setdefault(best["reader"], []).append(f"{digits(_rate(best))} GB/s {cache}{share}")
        elif baseline is not None:
            found.setdefault(BASELINE, []).append(f"{digits(_rate(baseline))} GB/s {cache}")
    if not found:
        return NOTHING_VALID
    if list(found) == [BASELINE]:
        return f"Read-and-discard baseline{where}: {joined(found[BASELINE])}"
    readers = [f"{name(reader)}, {joined(parts)}" for reader, parts in found.items()]
    return f"Fastest reader{'s' if len(readers) > 1 else ''}{where}: {'; '.join(readers)}"


def _rate(row: pd.Series) -> float:
    return float(row["gigabytes_per_second"])
