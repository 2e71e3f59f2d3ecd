"""Problems by cause: how many configurations have it, how bad it is, and what to do. Pure functions."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable

import pandas as pd
from markupsafe import Markup

from deepcam.report.page.remedies import REMEDIES
from deepcam.report.page.words import MODES, percent
from deepcam.text import count

MOST_KINDS = 4

MISSING = Markup("Missing records"), Markup("Run the same command again. It measures only what is missing.")

WORST = {
    "background_cpu_load", "background_cpu_load_small", "background_storage_load", "background_storage_load_small",
    "bottleneck", "cpu_throttling", "gpu_throttled",
}  # fmt: skip
"""Checks that found percentages, of which a larger one is worse."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A row of the table of problems."""

    level: str
    cause: str
    title: Markup
    number: int
    remedy: Markup
    kinds: str


def problems(table: pd.DataFrame, missing: int) -> list[Problem]:
    """A row per level and cause, the most frequent first in each level; then the missing records."""
    found = []
    for level, column, cells in (
        ("INVALID", "invalid_reasons", table[~table["valid"]]),
        ("Warning", "warnings", table[table["valid"]]),
    ):
        causes: dict[str, list[tuple[pd.Series, str]]] = collections.defaultdict(list)
        for _, row in cells.iterrows():
            texts: dict[str, list[str]] = collections.defaultdict(list)  # starts may have failed the same check
            for name, reason in reasons(row[column]):
                texts[name].append(reason.partition(", got ")[2])
            for name, found_by_starts in texts.items():
                causes[name].append((row, " ".join(found_by_starts)))
        found += [_problem(level, *item) for item in sorted(causes.items(), key=lambda item: (-len(item[1]), item[0]))]
    if missing:
        title, remedy = MISSING
        found.append(Problem("Warning", "", title, missing, remedy, ""))
    return found


def reasons(text: str) -> list[tuple[str, str]]:
    """The failed checks in a cell of the table: names and texts."""
    parts = re.split(r"; (?=\w+: expected )", text)
    return [(part.partition(":")[0], part) for part in parts if part]


def _problem(level: str, cause: str, hits: list[tuple[pd.Series, str]]) -> Problem:
    title, remedy = REMEDIES.get(cause, (Markup.escape(cause), Markup()))
    return Problem(
        level,
        cause,
        title + _worst(cause, (reason for _, reason in hits)),
        len(hits),
        remedy,
        _kinds(row for row, _ in hits),
    )


def _worst(cause: str, texts: Iterable[str]) -> str:
    values = [float(value) for text in texts for value in re.findall(r"([\d.]+)%", text)]
    return f", up to {percent(max(values) / 100)}" if cause in WORST and values else ""


def _kinds(rows: Iterable[pd.Series]) -> str:
    """What configurations they are, the most frequent kinds first."""
    names = (
        " ".join([MODES[row["mode"]], *(row[key] for key in ("reader", "cache") if row[key] != "none")]) for row in rows
    )
    kinds = collections.Counter(names).most_common()
    words = [f"{number:,} × {kind}" for kind, number in kinds[:MOST_KINDS]]
    more = len(kinds) - MOST_KINDS
    return ", ".join(words) + (f", and {count(more, 'more kind')}" if more > 0 else "")
