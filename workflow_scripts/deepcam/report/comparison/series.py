"""Several results in their order, such as commits, weeks or sites: each configuration's throughput in each of them.

Nothing is tested here: `significance` compares two results. Pure functions.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from deepcam.grid import Cell
from deepcam.record import precision
from deepcam.record.schema import Record
from deepcam.report.comparison import differences, drift, significance
from deepcam.report.comparison.differences import Difference
from deepcam.report.comparison.drift import Drift
from deepcam.report.comparison.sides import Results


@dataclasses.dataclass(frozen=True)
class Point:
    """A configuration in one result: the geometric mean of its starts, with the 95 % confidence interval.

    The interval is None for fewer than MIN_STARTS starts. `reasons` says why the configuration is not valid.
    """

    samples_per_second: float
    ci_low: float | None
    ci_high: float | None
    starts: int
    reasons: str

    @property
    def valid(self) -> bool:
        """Whether no check of level error has failed."""
        return not self.reasons


@dataclasses.dataclass(frozen=True)
class Change:
    """What differs between a result and the next one: what was recorded, and the speed of the machine itself."""

    differences: Sequence[Difference]
    drifts: Mapping[str, Drift]


def throughput(results: Sequence[Mapping[Cell, Sequence[Record]]]) -> dict[Cell, list[Point | None]]:
    """The points of each configuration, sorted, one for each result in the given order; None if it has no record."""
    cells = sorted(set(itertools.chain.from_iterable(results)))
    return {cell: [_point(records.get(cell, [])) for records in results] for cell in cells}


def changes(results: Sequence[Results]) -> list[Change]:
    """What changed from each result to the next."""
    return [
        Change(differences.differences(a, b), drift.between(a.all_records(), b.all_records()))
        for a, b in itertools.pairwise(results)
    ]


def _point(records: Sequence[Record]) -> Point | None:
    if not records:
        return None
    rates = precision.start_medians(records)
    low, high = precision.interval(rates) or (None, None)
    return Point(precision.geometric_mean(rates), low, high, len(records), significance.failures(records))
