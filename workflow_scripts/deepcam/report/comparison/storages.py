"""Which storage is faster? Configurations that differ only in the place that is read, side by side. Pure functions.

Places are compared as two results are, see `significance`. Their starts were made in the same rounds, so a drift of the
machine affects them alike. Ratios are also pooled over configurations.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from deepcam.grid import Cell
from deepcam.record import metrics, precision
from deepcam.record.schema import Record
from deepcam.report.comparison import significance
from deepcam.report.comparison.significance import Comparison
from deepcam.report.comparison.welch import LEAST_VARIANCE, Means
from deepcam.report.page.storages import Ratio

COLUMNS = [
    *(field.name for field in dataclasses.fields(Cell) if field.name != "storage"),
    "a",
    "b",
    *(
        field.name
        for field in dataclasses.fields(Comparison)
        if field.name != "cell" and not field.name.endswith("without_drift")
    ),
]
"""Columns of the table: the fields of a configuration, both places, and the fields of the comparison."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two places, A and B, and the comparison of each configuration that was measured at one of them.

    The cells have no place. `tested` has the starts at A and at B of each configuration that is valid, and has enough
    starts for an interval, at both.
    """

    a: str
    b: str
    compared: Sequence[Comparison]
    tested: Mapping[Cell, tuple[Sequence[Record], Sequence[Record]]]


def pairs(records: Iterable[Record]) -> list[Pair]:
    """Each named place (B) beside the slowest one (A); none if fewer than two places are named.

    Starts that belong to no round are left out.
    """
    places: dict[str, dict[Cell, list[Record]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for record in records:
        if record.cell.storage and record.start:
            places[record.cell.storage][dataclasses.replace(record.cell, storage="")].append(record)
    if len(places) < 2:
        return []
    slowest = _slowest(places)
    return [_pair(slowest, place, places) for place in sorted(places) if place != slowest]


def _slowest(places: Mapping[str, Mapping[Cell, Sequence[Record]]]) -> str:
    """The place with the lowest mean throughput over the configurations that all have; without these, the first one."""
    common = set.intersection(*(set(of_place) for of_place in places.values()))

    def speed(place: str) -> float:
        means = [precision.geometric_mean(precision.start_medians(places[place][cell])) for cell in sorted(common)]
        return precision.geometric_mean(means) if means else 0.0

    return min(sorted(places), key=speed)


def _pair(a: str, b: str, places: Mapping[str, Mapping[Cell, Sequence[Record]]]) -> Pair:
    compared = significance.compare(places[a], places[b], {})
    tested = sorted(one.cell for one in compared if one.p is not None)
    return Pair(a, b, compared, {cell: (places[a][cell], places[b][cell]) for cell in tested})


def ratios(found: Iterable[Pair]) -> list[Ratio]:
    """The ratio of each pair for each mode and state of the page cache, cold ones first."""
    return sorted(
        (
            _ratio(pair, mode, cache)
            for pair in found
            for mode, cache in sorted({(cell.mode, cell.cache) for cell in pair.tested})
        ),
        key=lambda one: (one.mode != "io", one.mode, one.cache, one.b),
    )


def _ratio(pair: Pair, mode: str, cache: str) -> Ratio:
    """The pooled ratio of these configurations.

    What disturbs a storage in a round, such as its other users, disturbs all configurations that read it then. Their
    deviations from their means are therefore added up for each round, those at A with a minus, and these sums are what
    is independent. A drift that both places share cancels out.
    """
    tested = [starts for cell, starts in pair.tested.items() if (cell.mode, cell.cache) == (mode, cache)]
    mean, of_round = 0.0, collections.defaultdict[tuple[int, int], float](float)
    for starts in tested:
        for side, weight in zip(starts, (-1 / len(tested), 1 / len(tested)), strict=True):
            number, logs = len(side), np.log(precision.start_medians(side))
            mean += weight * float(logs.mean())
            deviations = weight * (logs - logs.mean()) / math.sqrt(number * (number - 1))
            for record, deviation in zip(side, deviations, strict=True):
                assert record.start is not None, "starts of no round are left out"
                of_round[metrics.num_nodes(record), record.start.round] += float(deviation)
    variance = precision.WIDENING**2 * sum(deviation**2 for deviation in of_round.values())
    fewest = min(len(side) for starts in tested for side in starts)
    pooled = Means(np.array([mean]), np.array([max(variance, LEAST_VARIANCE)]), np.array([fewest - 1]))
    (ratio,), ((low,), (high,)) = pooled.ratios(), pooled.intervals()
    return Ratio(mode, cache, pair.a, pair.b, float(ratio), float(low), float(high), len(tested))


def table(found: Iterable[Pair]) -> pd.DataFrame:
    """A row per pair and configuration."""
    rows = [
        {**dataclasses.asdict(one.cell), "a": pair.a, "b": pair.b, **dataclasses.asdict(one)}
        for pair in found
        for one in pair.compared
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
