"""Is B slower than A? Cell by cell: the ratio of their throughputs, its uncertainty, and a verdict. Pure functions.

What the numbers can bear: the interval and the test take runs as independent, but those of one repeat share a process.
Where two starts of the same program differ, both are too sure of themselves. Simulated with 1 % between starts and 1 %
within, the 95 % interval holds the true ratio three times in four, and one unchanged cell in six is called slower or
faster; such differences are small, and `shortfalls` asks for large ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from deepcam.grid import Cell
from deepcam.record import metrics, validity
from deepcam.record.metrics import Record

SLOWER, TOO_FEW, NO_DIFFERENCE, FASTER = "slower", "too few runs", "no difference seen", "faster"
NOT_VALID, ONLY_A, ONLY_B = "not valid", "only in A", "only in B"
VERDICTS = (SLOWER, TOO_FEW, NO_DIFFERENCE, FASTER, NOT_VALID, ONLY_A, ONLY_B)
"""In the order in which they are told."""

LEVEL = 0.05
"""Share of false ones among the differences that are called so (the false discovery rate)."""

FEWEST = 3
"""Runs of each side that an interval needs."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One cell in A and B. `ratio` is B's median samples/s over A's, under 1 where B is slower.

    `ci_low` and `ci_high` are its 95 % confidence interval, None of fewer than 3 runs. `p` is that of the test and
    `p_corrected` of all tests together; None where nothing was tested. `reasons` says why a cell is not valid. What A
    or B lacks is None.
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
    a_repeats: int
    b_repeats: int
    a_valid: bool
    b_valid: bool
    reasons: str


def compare(a: Mapping[Cell, Sequence[Record]], b: Mapping[Cell, Sequence[Record]]) -> list[Comparison]:
    """Every cell of A and of B, all its repeats pooled: by verdict in the order of VERDICTS, then slowest first.

    A cell is slower or faster if its interval leaves out 1 and the two-sided Mann-Whitney U test says so too, after
    Benjamini and Hochberg's correction for the number of cells. It has too few runs if not even runs that lie wholly
    apart would have passed that; a cell in which such runs would have passed shows no difference.
    """
    cells = [_measured(cell, a.get(cell, []), b.get(cell, [])) for cell in sorted(a.keys() | b.keys())]
    tested = [c for c in cells if c.p is not None]
    judged = {c.cell: c for c in _judged(tested)}
    cells = [judged.get(c.cell, c) for c in cells]
    return sorted(cells, key=lambda c: (VERDICTS.index(c.verdict), math.inf if c.ratio is None else c.ratio, c.cell))


def runs_needed(tests: int) -> int:
    """How many runs on each side let one cell of so many stand out alone."""
    runs = FEWEST
    while _smallest_p(runs, runs) * tests > LEVEL:
        runs += 1
    return runs


def shortfalls(cells: Sequence[Comparison], least: float) -> list[str]:
    """Why B does not pass as no slower than `least` times A, a line each; empty where it passes.

    A cell falls short if its whole interval lies under `least`: noise has to be as large as the slowdown that is
    looked for, and no correction hides one slow cell among many good ones. What was valid in A must be judged: it also
    falls short where it is not valid or missing in B, or has no interval. So does an A without any valid cell.
    """
    found = []
    for c in cells:
        if not c.a_valid:
            continue
        if c.verdict in (ONLY_A, NOT_VALID):
            found.append(f"{c.cell.id}: valid in A, {'missing' if c.verdict == ONLY_A else 'not valid'} in B")
        elif c.ci_high is None:
            found.append(f"{c.cell.id}: fewer than {FEWEST} runs in A or B, so no interval to judge by")
        elif c.ci_high < least:
            found.append(f"{c.cell.id}: {c.ratio:.3f} ({c.ci_low:.3f} to {c.ci_high:.3f}) is under {least:g}")
    if not any(c.a_valid for c in cells):
        found.append("A has no valid cell to hold B against")
    return found


def _measured(cell: Cell, a: Sequence[Record], b: Sequence[Record]) -> Comparison:
    """What is known of a cell without a look at the others: all but the correction and what depends on it."""
    a_rates, b_rates = metrics.throughputs(a), metrics.throughputs(b)
    a_failures, b_failures = validity.failures(a, validity.ERROR), validity.failures(b, validity.ERROR)
    ratio = low = high = p = None
    if a and b:
        ratio = float(np.median(b_rates) / np.median(a_rates))
        if min(len(a_rates), len(b_rates)) >= FEWEST:
            low, high = _interval(a_rates, b_rates)
    verdict = TOO_FEW
    if not a or not b:
        verdict = ONLY_A if a else ONLY_B
    elif a_failures or b_failures:
        verdict = NOT_VALID
    elif low is not None and _smallest_p(len(a_rates), len(b_rates)) <= LEVEL:
        p = float(stats.mannwhitneyu(a_rates, b_rates, method="exact").pvalue)
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
        a_repeats=len(a),
        b_repeats=len(b),
        a_valid=bool(a) and not a_failures,
        b_valid=bool(b) and not b_failures,
        reasons="; ".join(f"{side}: {failed}" for side, failed in (("A", a_failures), ("B", b_failures)) if failed),
    )


def _interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the ratio of medians, by bootstrap of both sides (percentile method, seeded)."""
    found = stats.bootstrap(
        (b, a),
        lambda b, a, axis: np.median(b, axis=axis) / np.median(a, axis=axis),
        vectorized=True,
        n_resamples=metrics.RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def _smallest_p(a_runs: int, b_runs: int) -> float:
    """Of a two-sided Mann-Whitney U test: where every run of one side is faster than every run of the other."""
    return 2 / math.comb(a_runs + b_runs, a_runs)


def _judged(tested: Sequence[Comparison]) -> list[Comparison]:
    p = np.array([c.p for c in tested])
    corrected = stats.false_discovery_control(p) if tested else p
    found = []
    for i, c in enumerate(tested):
        wholly_apart = p.copy()
        wholly_apart[i] = _smallest_p(c.a_runs, c.b_runs)
        verdict = NO_DIFFERENCE
        if corrected[i] <= LEVEL and not c.ci_low <= 1 <= c.ci_high:
            verdict = SLOWER if c.ratio < 1 else FASTER
        elif stats.false_discovery_control(wholly_apart)[i] > LEVEL:
            verdict = TOO_FEW
        found.append(dataclasses.replace(c, verdict=verdict, p_corrected=float(corrected[i])))
    return found
