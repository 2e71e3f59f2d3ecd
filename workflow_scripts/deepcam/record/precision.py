"""How precisely the starts of a configuration tell its throughput, and when there are enough of them. Pure functions.

A start has one value: the median throughput of its runs. Variation between starts is taken to be relative, so the
values are averaged on a logarithmic scale. The module does without scipy, which takes half a second to import, because
every start imports it.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Literal

from deepcam.record import metrics
from deepcam.record.schema import Measurement

MIN_STARTS = 3
"""Fewest starts for an interval, a test or a verdict."""

WIDENING = 1.16
"""Factor on the standard error in intervals, tests and the stopping rule.

Measuring ends as soon as the starts agree well enough. Luck has a part in this, so their deviation is underestimated on
average. This table is from a simulation with precisions of 0.1 and 0.05, at most 10 starts, and 200,000 trials each; it
has the worst case of both precisions and of 1 to 10 % deviation between starts. The last column is for precision 0.1
and the deviations that it names.

| factor | least starts | interval covers the truth | Welch's test at 5 %: false alarms | starts for 3, 5, 7, 10 % |
|---|---|---|---|---|
| 1 | 4 | 92.1 % | 9.2 % | 4.0, 4.2, 4.8, 6.3 |
| 1 | 5 | 93.0 % | 7.9 % | 5.0, 5.0, 5.4, 6.6 |
| 1 | 6 | 93.6 % | 6.9 % | 6.0, 6.0, 6.1, 7.0 |
| 1.16 | 4 | 94.8 % | 5.7 % | 4.0, 4.4, 5.3, 7.1 |
| 1.16 | 5 | 95.6 % | 4.7 % | 5.0, 5.1, 5.8, 7.4 |

A stricter width or a higher quantile that only the stopping rule uses does not help: it moves the deviation at which
luck decides. One more start after the rule is met helps too little. So the factor, with 4 starts at least, is the
cheapest remedy that covers the truth in 93 % of the cases or more, with false alarms in 6 % or fewer. With at most 20
starts, precision 0.05 has 6.8 % of false alarms with at least 4 starts, and 5.8 % with at least 5.
"""

Reason = Literal["precise", "max_starts"]


def start_median(record: Measurement) -> float:
    """Samples per second of a start: the median of its runs."""
    return statistics.median(metrics.throughputs(record))


def start_medians(records: Iterable[Measurement]) -> list[float]:
    """Samples per second of each start."""
    return list(map(start_median, records))


def geometric_mean(values: Sequence[float]) -> float:
    """The mean on a logarithmic scale of values above 0."""
    mean = math.exp(statistics.fmean(map(math.log, values)))
    return min(max(mean, min(values)), max(values))  # rounding may take the mean of equal values out of their range


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % confidence interval of the geometric mean: a t interval of the logarithms, widened by WIDENING.

    None for fewer than MIN_STARTS values.
    """
    half_width = _log_half_width(values)
    if half_width is None:
        return None
    mean = geometric_mean(values)
    return mean * math.exp(-half_width), mean * math.exp(half_width)


def relative_half_width(values: Sequence[float]) -> float | None:
    """(upper - lower end of the interval) / (2 x geometric mean); None for fewer than MIN_STARTS values."""
    half_width = _log_half_width(values)
    return None if half_width is None else math.sinh(half_width)


def reason_to_stop(values: Sequence[float], precision: float, min_starts: int, max_starts: int) -> Reason | None:
    """Why a configuration with these values needs no further start; None if it needs one.

    It is precise if it has `min_starts` values and their relative half-width is at most `precision`. The values
    themselves decide nothing: all of them times a factor lead to the same answer.
    """
    half_width = relative_half_width(values)
    if len(values) >= min_starts and half_width is not None and half_width <= precision:
        return "precise"
    return "max_starts" if len(values) >= max_starts else None


def _log_half_width(values: Sequence[float]) -> float | None:
    if len(values) < MIN_STARTS:
        return None
    deviation = statistics.stdev(map(math.log, values))
    return t_quantile(0.975, len(values) - 1) * WIDENING * deviation / math.sqrt(len(values))


@functools.cache
def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t distribution, for a probability of 0.5 to 0.9999 and whole degrees of freedom.

    Bisection of the exact distribution function.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _share_within(middle, degrees) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(high)


def _share_within(angle: float, degrees: int) -> float:
    """P(|t| < sqrt(degrees) x tan(angle)): Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3-4."""
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for step in range(odd + 1, degrees, 2):
        total += term
        term *= math.cos(angle) ** 2 * step / (step + 1)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
