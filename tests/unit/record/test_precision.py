"""The interval of a configuration's starts, and the rule that ends its measuring, on known numbers and simulated."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deepcam.record import precision
from deepcam.report.comparison.welch import Means
from results_example import GRID, measured
from scipy import stats

TRIALS = 40_000
DEVIATIONS = [percent / 100 for percent in range(1, 11)]
RULES = [(0.1, 4, 10), (0.05, 4, 10), (0.1, 5, 10), (0.05, 5, 10)]
"""Precision, least and most starts."""


def test_a_start_counts_with_the_median_of_its_runs():
    records = [measured(GRID[0], rates) for rates in ([1.0, 2.0, 9.0], [3.0, 5.0])]
    assert precision.start_medians(records) == pytest.approx([2.0, 4.0])


def test_the_interval_is_a_widened_t_interval_of_the_logarithms():
    values = [8.0, 10.0, 12.5]
    deviation = math.log(10 / 8)
    half_width = 4.302653 * precision.WIDENING * deviation / math.sqrt(3)  # 4.30 is in every table of t
    assert precision.geometric_mean(values) == pytest.approx(10)
    assert precision.interval(values) == pytest.approx((10 * math.exp(-half_width), 10 * math.exp(half_width)))
    low, high = precision.interval(values)
    assert precision.relative_half_width(values) == pytest.approx((high - low) / 2 / 10)


def test_two_values_have_no_interval():
    assert precision.interval([9.0, 10.0]) is None
    assert precision.relative_half_width([9.0, 10.0]) is None


def test_equal_values_have_an_interval_of_no_width():
    assert precision.interval([5.0] * 3) == pytest.approx((5.0, 5.0))
    assert precision.relative_half_width([5.0] * 3) == 0


@pytest.mark.parametrize("probability", [0.9, 0.975, 0.995])
@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 30, 999])
def test_quantiles_are_those_of_students_t(probability, degrees):
    assert precision.t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-9)


STEADY = [9.9, 10.0, 10.1, 10.0, 9.9, 10.0]
NOISY = [8.0, 10.0, 12.0, 9.0, 11.0, 10.0]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], None),
        (STEADY[:3], None),
        (STEADY[:4], "precise"),
        (NOISY[:4], None),
        (NOISY[:6], "max_starts"),
        (STEADY[:6], "precise"),
    ],
    ids=["none", "under the least", "precise", "imprecise", "the most", "precise at the most"],
)
def test_measuring_ends_when_it_is_precise_or_has_the_most_starts(values, reason):
    assert precision.reason_to_stop(values, 0.1, min_starts=4, max_starts=6) == reason


def test_two_starts_are_never_precise():
    assert precision.reason_to_stop([10.0, 10.0], 0.1, min_starts=1, max_starts=4) is None
    assert precision.reason_to_stop([10.0, 10.0], 0.1, min_starts=1, max_starts=2) == "max_starts"


def test_the_values_themselves_decide_nothing():
    for values in (STEADY, NOISY):
        for factor in (0.001, 1000.0):
            scaled = [value * factor for value in values]
            assert precision.reason_to_stop(scaled, 0.1, 4, 10) == precision.reason_to_stop(values, 0.1, 4, 10)


def test_importing_it_is_cheap():
    program = "import sys, deepcam.record.precision; print(*{'scipy', 'pandas', 'torch'} & set(sys.modules))"
    folder = Path(precision.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def simulate(rng, deviation, target, least, most, trials=TRIALS):
    """Configurations whose true throughput is 1, each measured until the rule ends it.

    Returns the starts' logarithms, an array (trials, most), and the number of starts that each took. This is the rule
    of `reason_to_stop` for many configurations at once.
    """
    logs = rng.normal(0, deviation, (trials, most))
    starts = np.arange(1, most + 1)
    mean = np.cumsum(logs, axis=1) / starts
    squares = np.maximum(np.cumsum(logs**2, axis=1) - starts * mean**2, 0)
    ends = np.zeros((trials, most), bool)
    for count in range(least, most):
        error = np.sqrt(squares[:, count - 1] / (count - 1) / count) * precision.WIDENING
        ends[:, count - 1] = np.sinh(precision.t_quantile(0.975, count - 1) * error) <= target
    ends[:, most - 1] = True
    return logs, ends.argmax(axis=1) + 1


def means(logs, taken):
    """The mean logarithms of the starts that were taken, with their uncertainty."""
    counted = np.arange(logs.shape[1]) < taken[:, None]
    mean = (logs * counted).sum(axis=1) / taken
    squares = ((logs - mean[:, None]) ** 2 * counted).sum(axis=1)
    return Means(mean, squares / (taken - 1) / taken * precision.WIDENING**2, taken - 1)


@pytest.mark.parametrize(("target", "least", "most"), RULES)
def test_the_simulated_rule_is_that_of_the_module(target, least, most):
    logs, taken = simulate(np.random.default_rng(0), 0.07, target, least, most, trials=200)
    for row, count in zip(logs, taken, strict=True):
        values = np.exp(row).tolist()
        reasons = [precision.reason_to_stop(values[:number], target, least, most) for number in range(1, count + 1)]
        assert not any(reasons[:-1]) and reasons[-1]
    found = means(logs, taken)
    for row, count, ends in zip(logs, taken, zip(*found.intervals(), strict=True), strict=True):
        assert precision.interval(np.exp(row[:count]).tolist()) == pytest.approx(ends)


@pytest.mark.parametrize(("target", "least", "most"), RULES)
def test_intervals_cover_the_truth_and_false_alarms_are_rare_with_the_rule(target, least, most):
    rng = np.random.default_rng(1)
    for deviation in DEVIATIONS:
        a, b = (means(*simulate(rng, deviation, target, least, most)) for _ in range(2))
        low, high = a.intervals()
        assert np.mean((low <= 1) & (high >= 1)) >= 0.94, deviation
        assert np.mean((b - a).p() < 0.05) <= 0.06, deviation


def test_the_rule_takes_few_starts_where_they_agree():
    rng = np.random.default_rng(1)
    taken = {deviation: simulate(rng, deviation, 0.1, 4, 10)[1].mean() for deviation in (0.03, 0.05, 0.07)}
    assert taken[0.03] < 4.1 and taken[0.05] < 4.6 and taken[0.07] < 5.6
