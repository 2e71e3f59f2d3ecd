"""Is B slower than A? Cell by cell: the ratio of their throughputs, its uncertainty, and a verdict. Pure functions.

The unit is the start: its value is the median throughput of its runs. Runs of one start share a process, so they are
not independent, and more of them do not make a number more certain. Intervals and tests are widened by
`precision.WIDENING`, because measuring ends as soon as the starts agree.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from deepcam.grid import Cell
from deepcam.record import precision, validity
from deepcam.record.checking import ERROR
from deepcam.record.precision import MIN_STARTS
from deepcam.record.schema import Record
from deepcam.report.comparison import drift, welch
from deepcam.report.comparison.drift import Drift
from deepcam.report.comparison.welch import Means

SLOWER, TOO_FEW, NO_DIFFERENCE, FASTER = "slower", "too few starts", "no difference seen", "faster"
NOT_VALID, ONLY_A, ONLY_B = "not valid", "only in A", "only in B"
VERDICTS = (SLOWER, TOO_FEW, NO_DIFFERENCE, FASTER, NOT_VALID, ONLY_A, ONLY_B)
"""All verdicts in the order of the report."""

FDR_LEVEL = 0.05
"""False discovery rate: the accepted share of false ones among the differences that are found."""

MOST_STARTS = 1000
"""No more starts are ever advised."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One cell in A and B. `ratio` is B's samples/s divided by A's, below 1 if B is slower.

    `ci_low` and `ci_high` are its 95 % confidence interval. `p` is the result of the test, `p_corrected` the same after
    the correction for all tests. The fields that end in `without_drift` are the same for the ratio divided by the drift
    of the speed on which the cell depends most; its uncertainty is added. `deviation_between_starts` is the standard
    deviation of the logarithms, pooled over A and B. `reasons` says why a cell is not valid.

    A value is None if A or B lacks it, an interval and a deviation for fewer than MIN_STARTS starts, a p also if the
    cell is not valid, and what is without drift if the probes do not tell it.
    """

    cell: Cell
    verdict: str
    ratio: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    ratio_without_drift: float | None = None
    ci_low_without_drift: float | None = None
    ci_high_without_drift: float | None = None
    p_corrected_without_drift: float | None = None
    a_samples_per_second: float | None = None
    b_samples_per_second: float | None = None
    a_starts: int = 0
    b_starts: int = 0
    deviation_between_starts: float | None = None
    a_valid: bool = False
    b_valid: bool = False
    reasons: str = ""


def compare(
    a: Mapping[Cell, Sequence[Record]], b: Mapping[Cell, Sequence[Record]], drifts: Mapping[str, Drift]
) -> list[Comparison]:
    """Compare every cell of A and B by its starts.

    The cells are sorted by verdict in the order of VERDICTS, then slowest first. A cell is slower or faster if Welch's
    two-sided t test of the logarithms is significant after Benjamini and Hochberg's correction for the number of cells.
    It has too few starts if A or B has fewer than MIN_STARTS. Otherwise no difference is seen.
    """
    cells = [_described(cell, a.get(cell, []), b.get(cell, []), drifts) for cell in sorted(a.keys() | b.keys())]
    known = [c for c in cells if min(c.a_starts, c.b_starts) >= MIN_STARTS]
    rates_a, rates_b = ([precision.start_medians(side[c.cell]) for c in known] for side in (a, b))
    judged = {c.cell: c for c in _judged(known, rates_a, rates_b, drifts)}
    cells = [judged.get(c.cell, c) for c in cells]
    return sorted(cells, key=lambda c: (VERDICTS.index(c.verdict), math.inf if c.ratio is None else c.ratio, c.cell))


def tested_deviations(cells: Sequence[Comparison]) -> list[float]:
    """The deviation between starts of each cell that was tested."""
    return [c.deviation_between_starts for c in cells if c.p is not None and c.deviation_between_starts is not None]


def starts_needed(deviations: Sequence[float], difference: float) -> int | None:
    """Number of starts in A and in B to find a relative difference of one cell, such as 0.1, in four cases of five.

    `deviations` are those of all tested cells, for whose number the test is corrected; the cell has the median one, so
    half of the cells need fewer starts. None if it takes more than MOST_STARTS.
    """
    level = FDR_LEVEL / len(deviations)
    return welch.starts_needed(difference, statistics.median(deviations), level, precision.WIDENING, MOST_STARTS)


def regressions(cells: Sequence[Comparison], least: float) -> list[str]:
    """The reasons why B is slower than `least` times A or cannot be judged, a line each; empty if B passes.

    A cell is a regression if its whole interval is below `least`. No correction for the number of cells hides one slow
    cell among many good ones. Cells that are valid in A must be judged, so one that is invalid or missing in B or has
    no interval is reported too, and so is an A without any valid cell.
    """
    found = []
    for c in cells:
        if not c.a_valid:
            continue
        if c.verdict in (ONLY_A, NOT_VALID):
            found.append(f"{c.cell.id}: valid in A, {'missing' if c.verdict == ONLY_A else 'not valid'} in B")
        elif c.ci_high is None:
            found.append(f"{c.cell.id}: fewer than {MIN_STARTS} starts in A or B, so no interval to judge by")
        elif c.ci_high < least:
            found.append(f"{c.cell.id}: {c.ratio:.3f} ({c.ci_low:.3f} to {c.ci_high:.3f}) is under {least:g}")
    if not any(c.a_valid for c in cells):
        found.append("no configuration is valid in A, so there is nothing to compare B with")
    return found


def _described(cell: Cell, a: Sequence[Record], b: Sequence[Record], drifts: Mapping[str, Drift]) -> Comparison:
    """One cell without intervals and tests, which `_judged` adds for all at once."""
    rate_a, rate_b = (precision.geometric_mean(precision.start_medians(side)) if side else None for side in (a, b))
    ratio = None if rate_a is None or rate_b is None else rate_b / rate_a
    of_machine = drifts.get(drift.limiting_speed(cell))
    failures_a, failures_b = failures(a), failures(b)
    verdict = TOO_FEW
    if ratio is None:
        verdict = ONLY_A if a else ONLY_B
    elif failures_a or failures_b:
        verdict = NOT_VALID
    return Comparison(
        cell=cell,
        verdict=verdict,
        ratio=ratio,
        ratio_without_drift=None if ratio is None or of_machine is None else ratio / of_machine.ratio,
        a_samples_per_second=rate_a,
        b_samples_per_second=rate_b,
        a_starts=len(a),
        b_starts=len(b),
        a_valid=bool(a) and not failures_a,
        b_valid=bool(b) and not failures_b,
        reasons="; ".join(f"{side}: {failed}" for side, failed in (("A", failures_a), ("B", failures_b)) if failed),
    )


def failures(records: Sequence[Record]) -> str:
    return validity.failures((check for record in records for check in record.checks), ERROR)


def _judged(
    known: Sequence[Comparison],
    rates_a: Sequence[Sequence[float]],
    rates_b: Sequence[Sequence[float]],
    drifts: Mapping[str, Drift],
) -> list[Comparison]:
    """Add intervals, tests and verdicts to cells with enough starts, given the throughput of each start."""
    if not known:
        return []
    valid = np.array([c.a_valid and c.b_valid for c in known])
    difference = Means.of(rates_b, precision.WIDENING) - Means.of(rates_a, precision.WIDENING)
    low, high, p, corrected = _tested(difference, valid)
    low_without, high_without, _, corrected_without = _tested(difference - _drift_of(known, drifts), valid)
    return [
        dataclasses.replace(
            c,
            verdict=_verdict(c, corrected[i]),
            ci_low=_known(low[i]),
            ci_high=_known(high[i]),
            p=_known(p[i]),
            p_corrected=_known(corrected[i]),
            ci_low_without_drift=_known(low_without[i]),
            ci_high_without_drift=_known(high_without[i]),
            p_corrected_without_drift=_known(corrected_without[i]),
            deviation_between_starts=_deviation(rates_a[i], rates_b[i]),
        )
        for i, c in enumerate(known)
    ]


def _tested(difference: Means, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Interval ends, p, and p corrected for the number of tests. NaN stands for what is unknown or was not tested."""
    p = np.where(valid, difference.p(), math.nan)
    corrected = p.copy()
    tested = ~np.isnan(p)
    if tested.any():
        corrected[tested] = stats.false_discovery_control(p[tested])
    return *difference.intervals(), p, corrected


def _drift_of(cells: Sequence[Comparison], drifts: Mapping[str, Drift]) -> Means:
    """The drift of the speed on which each cell depends most; NaN if it or its uncertainty is unknown."""
    unknown = Means(*(np.array([math.nan]) for _ in dataclasses.fields(Means)))
    found = [drifts.get(drift.limiting_speed(c.cell)) for c in cells]
    each = [of_machine.difference or unknown if of_machine else unknown for of_machine in found]
    return Means(*(np.concatenate([getattr(one, field.name) for one in each]) for field in dataclasses.fields(Means)))


def _verdict(cell: Comparison, corrected: float) -> str:
    if math.isnan(corrected):
        return cell.verdict
    if corrected > FDR_LEVEL or cell.ratio is None:
        return NO_DIFFERENCE
    return SLOWER if cell.ratio < 1 else FASTER


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _deviation(a: Sequence[float], b: Sequence[float]) -> float:
    """Standard deviation of the logarithms, pooled over two samples."""
    squares = sum(float(np.var(np.log(rates))) * len(rates) for rates in (a, b))
    return math.sqrt(squares / (len(a) + len(b) - 2))
