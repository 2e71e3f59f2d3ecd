"""Has the machine itself become slower from A to B? The speeds that its probes measured. Pure functions.

A probe measures the machine before each start. Probes of the same round follow each other, so they are not
independent: the value of a round is the geometric mean of its probes, and rounds are compared.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

from deepcam.grid import Cell
from deepcam.record import metrics, precision
from deepcam.record.schema import Record, Start
from deepcam.report.comparison.welch import Means

STORAGE, MEMORY, COMPUTE = "storage", "memory", "compute"

FIELDS = {
    STORAGE: "storage_bytes_per_second",
    MEMORY: "memory_bytes_per_second",
    COMPUTE: "hashing_bytes_per_second",
}
"""The speeds of a probe, by what they measure."""

MIN_ROUNDS = 3
"""Fewest rounds in A and in B for an interval of the drift."""


@dataclasses.dataclass(frozen=True)
class Drift:
    """B's speed divided by A's. `difference` is its logarithm with its uncertainty, None for fewer than MIN_ROUNDS
    rounds in A or B."""

    ratio: float
    difference: Means | None

    def interval(self) -> tuple[float | None, float | None]:
        """95 % confidence interval of the ratio."""
        if self.difference is None:
            return None, None
        low, high = self.difference.intervals()
        return float(low[0]), float(high[0])


def limiting_speed(cell: Cell) -> str:
    """The speed on which a configuration depends most."""
    if cell.mode != "io":
        return COMPUTE
    return _of_place(STORAGE, cell) if cell.cache == "cold" else MEMORY


def between(a: Iterable[Record], b: Iterable[Record]) -> dict[str, Drift]:
    """The drift of each speed that probes of both sides have measured."""
    rounds_a, rounds_b = _by_round(a), _by_round(b)
    found = {}
    for speed in [speed for speed in rounds_a if speed in rounds_b]:
        values_a, values_b = rounds_a[speed], rounds_b[speed]
        enough = min(len(values_a), len(values_b)) >= MIN_ROUNDS
        found[speed] = Drift(
            precision.geometric_mean(values_b) / precision.geometric_mean(values_a),
            Means.of([values_b]) - Means.of([values_a]) if enough else None,
        )
    return found


def within(records: Iterable[Record]) -> dict[str, float]:
    """The speed in the last third of a side's probes divided by that in the first third, for each speed probed."""
    found = {}
    for speed, values in _in_order(records).items():
        third = len(values) // 3
        if third:
            found[speed] = precision.geometric_mean(values[-third:]) / precision.geometric_mean(values[:third])
    return found


def _in_order(records: Iterable[Record]) -> dict[str, list[float]]:
    """Each speed of all probes, in the order in which they were made."""
    probed = [(record.environment.date, record.start, record.cell) for record in records if record.start]
    probed.sort(key=lambda one: (one[0], one[1].round, one[1].position))
    return _known([(cell, start) for _, start, cell in probed])


def _by_round(records: Iterable[Record]) -> dict[str, list[float]]:
    """Each speed of each round. Configurations with other numbers of nodes have rounds of their own."""
    rounds: dict[tuple[int, int], list[tuple[Cell, Start]]] = collections.defaultdict(list)
    for record in records:
        if record.start:
            rounds[metrics.num_nodes(record), record.start.round].append((record.cell, record.start))
    found: dict[str, list[float]] = collections.defaultdict(list)
    for starts in rounds.values():
        for speed, values in _known(starts).items():
            found[speed].append(precision.geometric_mean(values))
    return found


def _known(starts: Iterable[tuple[Cell, Start]]) -> dict[str, list[float]]:
    """The speeds that were measured, those of storage for each place: a probe has 0 for one that it could not measure.

    A cell that reads nothing counts for the first place, whose name it does not know, so it is left out if there are
    named ones.
    """
    probed = list(starts)
    named = any(cell.storage for cell, _ in probed)
    found: dict[str, list[float]] = collections.defaultdict(list)
    for speed, field in FIELDS.items():
        for cell, start in probed:
            value = float(getattr(start.probe, field))
            if value > 0 and not (speed == STORAGE and named and not cell.storage):
                found[_of_place(speed, cell)].append(value)
    return found


def _of_place(speed: str, cell: Cell) -> str:
    return f"{speed} {cell.storage}" if speed == STORAGE and cell.storage else speed
