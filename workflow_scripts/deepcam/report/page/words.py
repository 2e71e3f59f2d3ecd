"""Numbers and settings in the words of the results page. Pure functions."""

from __future__ import annotations

import math

import pandas as pd

from deepcam.text import count

MODES = {"io": "I/O-only", "compute": "compute-only", "inference": "end-to-end", "train": "training"}

SPACE = "\u00a0"
"""A space at which no line ends."""

DASH = "\u2013"
"""The en dash of a range."""


def digits(value: float, significant: int = 3) -> str:
    """Three significant digits without an exponent, and all digits before the point."""
    if value == 0:
        return "0"
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def percent(share: float, decimals: int = 0) -> str:
    """A share such as 0.964 as 96 %."""
    return f"{100 * share:.{decimals}f}{SPACE}%"


def ratio(value: float, limit: float) -> str:
    """A share in per cent, with as many decimals as show that it is below a limit of whole per cent, if it is."""
    decimals = 0
    while value < limit and decimals < 3 and round(100 * value, decimals) >= 100 * limit:
        decimals += 1
    return percent(value, decimals)


def factor(value: float) -> str:
    """A factor such as 18 or 2.4."""
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}"


def span(low: str, high: str) -> str:
    """A range, or the number if both ends are the same."""
    return low if low == high else f"{low}{DASH}{high}"


def interval(row: pd.Series, scale: float = 1.0) -> str:
    """The interval of a row's throughput times `scale`.

    A star marks the slowest and fastest of two starts, and a single start has no range.
    """
    if row["num_starts"] == 1:
        return "1 start"
    star = "*" if pd.isna(row["samples_per_second_ci_low"]) else ""
    return span(digits(row["low"] * scale), digits(row["high"] * scale)) + star


def settings(row: pd.Series, reader: bool = True) -> str:
    """Ranks, batch size and threads of a row; threads only with `reader`."""
    parts = [count(row["ranks"], "rank"), f"batch {row['local_batch_size']}"]
    if reader and row["reader"] != "none":
        inter, intra = row["inter_threads"], row["intra_threads"]
        parts.append(count(inter, "thread") if intra == 1 else f"{inter} × {intra} threads")
    return ", ".join(parts)


def page_cache(state: str) -> str:
    """A state of the page cache in words, such as cold page cache, or cold page cache on nvme."""
    cache, space, place = state.partition(" ")
    return f"{cache} page cache{space}{place}"


def joined(parts: list[str]) -> str:
    """Parts of a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
