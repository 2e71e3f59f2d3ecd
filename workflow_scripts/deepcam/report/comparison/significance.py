"""Is B slower than A? Cell by cell: the ratio of their throughputs, its uncertainty, and a verdict. Pure functions.

The interval and the test assume that runs are independent, but the runs of one start share a process. If two starts of
the same program differ, both are too confident. Simulated with 1 % variation between starts and 1 % within, the 95 %
interval contains the true ratio three times in four, and one unchanged cell in six is called slower or faster. Such
differences are small, and `regressions` looks for large ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from deepcam.grid import Cell
from deepcam.record import metrics, validity
from deepcam.record.schema import Record

SLOWER, TOO_FEW, NO_DIFFERENCE, FASTER = "slower", "too few runs", "no difference seen", "faster"
NOT_VALID, ONLY_A, ONLY_B = "not valid", "only in A", "only in B"
VERDICTS = (SLOWER, TOO_FEW, NO_DIFFERENCE, FASTER, NOT_VALID, ONLY_A, ONLY_B)
"""All verdicts in the order of the report."""

FDR_LEVEL = 0.05
"""False discovery rate: the accepted share of false ones among the differences that are found."""

MIN_RUNS = 3
"""Minimum number of runs in A and in B for an interval."""

MOST_EXACT_RUNS = 100
"""Number of runs in A or B up to which the test is exact. It takes seconds for more, whose p the normal distribution
gives to three digits."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One cell in A and B. `ratio` is B's median samples/s divided by A's, below 1 if B is slower.

    `ci_low` and `ci_high` are its 95 % confidence interval, None for fewer than MIN_RUNS runs. `p` is the result of
    the test, `p_corrected` the same after the correction for all tests; both are None if the cell was not tested.
    `reasons` says why a cell is not valid. Values that A or B lacks are None.
    """

    cell: Cell
    verdict: str
    ratio: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    p_corrected: float | None
    a_samples_per_second: float | None
    b_samples_per_second: float | None
    a_runs: int
    b_runs: int
    a_starts: int
    b_starts: int
    a_valid: bool
    b_valid: bool
    reasons: str


def compare(a: Mapping[Cell, Sequence[Record]], b: Mapping[Cell, Sequence[Record]]) -> list[Comparison]:
    """Compare every cell of A and B, with the runs of all starts pooled.

    The cells are sorted by verdict in the order of VERDICTS, then slowest first. A cell is slower or faster if its
    interval excludes 1 and the two-sided Mann-Whitney U test is significant after Benjamini and Hochberg's correction
    for the number of cells. It has too few runs if even runs without any overlap would not be significant. Otherwise
    no difference is seen.
    """
    cells = [_measured(cell, a.get(cell, []), b.get(cell, [])) for cell in sorted(a.keys() | b.keys())]
    tested = [c for c in cells if c.p is not None]
    judged = {c.cell: c for c in _judged(tested)}
    cells = [judged.get(c.cell, c) for c in cells]
    return sorted(cells, key=lambda c: (VERDICTS.index(c.verdict), math.inf if c.ratio is None else c.ratio, c.cell))


def runs_needed(tests: int) -> int:
    """Number of runs in A and in B with which a single slower cell among `tests` cells can be significant."""
    runs = MIN_RUNS
    while _smallest_p(runs, runs) * tests > FDR_LEVEL:
        runs += 1
    return runs


def regressions(cells: Sequence[Comparison], least: float) -> list[str]:
    """The reasons why B is slower than `least` times A or cannot be judged, a line each; empty if B passes.

    A cell is a regression if its whole interval is below `least`. Noise alone must be as large as that slowdown to
    cause one, and no correction hides one slow cell among many good ones. Cells that are valid in A must be judged, so
    one that is invalid or missing in B or has no interval is reported too, and so is an A without any valid cell.
    """
    found = []
    for c in cells:
        if not c.a_valid:
            continue
        if c.verdict in (ONLY_A, NOT_VALID):
            found.append(f"{c.cell.id}: valid in A, {'missing' if c.verdict == ONLY_A else 'not valid'} in B")
        elif c.ci_high is None:
            found.append(f"{c.cell.id}: fewer than {MIN_RUNS} runs in A or B, so no interval to judge by")
        elif c.ci_high < least:
            found.append(f"{c.cell.id}: {c.ratio:.3f} ({c.ci_low:.3f} to {c.ci_high:.3f}) is under {least:g}")
    if not any(c.a_valid for c in cells):
        found.append("A has no valid cell to hold B against")
    return found


def _measured(cell: Cell, a: Sequence[Record], b: Sequence[Record]) -> Comparison:
    """Compare one cell without the correction for the number of cells, which `_judged` adds."""
    a_rates, b_rates = metrics.throughputs(a), metrics.throughputs(b)
    a_failures, b_failures = _failures(a), _failures(b)
    ratio = low = high = p = None
    if a and b:
        ratio = float(np.median(b_rates) / np.median(a_rates))
        if min(len(a_rates), len(b_rates)) >= MIN_RUNS:
            low, high = _interval(a_rates, b_rates)
    verdict = TOO_FEW
    if not a or not b:
        verdict = ONLY_A if a else ONLY_B
    elif a_failures or b_failures:
        verdict = NOT_VALID
    elif low is not None and _smallest_p(len(a_rates), len(b_rates)) <= FDR_LEVEL:
        method = "exact" if max(len(a_rates), len(b_rates)) <= MOST_EXACT_RUNS else "asymptotic"
        p = float(stats.mannwhitneyu(a_rates, b_rates, method=method).pvalue)
    return Comparison(
        cell=cell,
        verdict=verdict,
        ratio=ratio,
        ci_low=low,
        ci_high=high,
        p=p,
        p_corrected=None,
        a_samples_per_second=float(np.median(a_rates)) if a else None,
        b_samples_per_second=float(np.median(b_rates)) if b else None,
        a_runs=len(a_rates),
        b_runs=len(b_rates),
        a_starts=len(a),
        b_starts=len(b),
        a_valid=bool(a) and not a_failures,
        b_valid=bool(b) and not b_failures,
        reasons="; ".join(f"{side}: {failed}" for side, failed in (("A", a_failures), ("B", b_failures)) if failed),
    )


def _failures(records: Sequence[Record]) -> str:
    return validity.failures((check for record in records for check in record.checks), validity.ERROR)


def _interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the ratio of medians, by bootstrap of both sides (percentile method, seeded)."""
    found = stats.bootstrap(
        (b, a),
        lambda b, a, axis: np.median(b, axis=axis) / np.median(a, axis=axis),
        vectorized=True,
        n_resamples=metrics.RESAMPLES,
        batch=metrics.resamples_at_once(len(a) + len(b)),
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def _smallest_p(a_runs: int, b_runs: int) -> float:
    """p of a two-sided Mann-Whitney U test if every run of one side is faster than every run of the other."""
    return 2 / math.comb(a_runs + b_runs, a_runs)


def _judged(tested: Sequence[Comparison]) -> list[Comparison]:
    """Correct the tests for their number, and give each cell its verdict."""
    if not tested:
        return []
    p = np.array([c.p for c in tested])
    corrected = stats.false_discovery_control(p)
    smallest = np.array([_smallest_p(c.a_runs, c.b_runs) for c in tested])
    at_best = np.empty_like(p)
    for value in set(smallest.tolist()):
        at_best[smallest == value] = _corrected_alone(p, value)[smallest == value]
    found = []
    for i, c in enumerate(tested):
        verdict = NO_DIFFERENCE
        if corrected[i] <= FDR_LEVEL and c.ci_high is not None and c.ci_high < 1:
            verdict = SLOWER
        elif corrected[i] <= FDR_LEVEL and c.ci_low is not None and c.ci_low > 1:
            verdict = FASTER
        elif at_best[i] > FDR_LEVEL:
            verdict = TOO_FEW
        found.append(dataclasses.replace(c, verdict=verdict, p_corrected=float(corrected[i])))
    return found


def _corrected_alone(p: np.ndarray, smallest: float) -> np.ndarray:
    """Each test's p after the correction if it alone had the p `smallest`, which is at most its own.

    Benjamini and Hochberg: the minimum of p x number / rank over all tests from this one's rank on. The test moves to
    the rank of `smallest`, so those between there and its own rank move up by one, and those beyond keep theirs.
    """
    order = np.argsort(p)
    scaled, ranks = p[order] * len(p), np.arange(1, len(p) + 1)
    first = int(np.searchsorted(p[order], smallest))
    moved = np.append(math.inf, scaled / (ranks + 1))
    moved[: first + 1] = math.inf
    kept = np.append(scaled / ranks, math.inf)
    lowest = np.minimum(np.minimum.accumulate(moved)[:-1], np.minimum.accumulate(kept[::-1])[::-1][1:])
    found = np.empty_like(p)
    found[order] = np.minimum(lowest, smallest * len(p) / (first + 1))
    return np.minimum(found, 1)
