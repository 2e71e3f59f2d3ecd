"""Welch's test on many samples at once, and the number of starts that a difference takes, against simulations."""

import numpy as np
import pytest
from deepcam.record import precision
from deepcam.report.comparison.welch import Means, starts_needed
from scipy import stats

TRIALS = 4000


def samples(rng, deviation, starts, factor=1.0):
    return factor * np.exp(rng.normal(0, deviation, (TRIALS, starts)))


def test_p_and_interval_are_those_of_scipy():
    rng = np.random.default_rng(0)
    a, b = np.exp(rng.normal(0, 0.1, (20, 4))), np.exp(rng.normal(0.1, 0.05, (20, 7)))
    difference = Means.of(b) - Means.of(a)
    low, high = difference.intervals()
    for i in range(20):
        found = stats.ttest_ind(np.log(b[i]), np.log(a[i]), equal_var=False)
        assert difference.p()[i] == pytest.approx(found.pvalue)
        assert np.log((low[i], high[i])) == pytest.approx(found.confidence_interval())


@pytest.mark.parametrize("deviation", [0.03, 0.07])
@pytest.mark.parametrize("difference", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("tests", [1, 20])
def test_a_slowdown_is_found_with_the_number_of_starts_that_it_needs(deviation, difference, tests):
    level = 0.05 / tests
    starts = starts_needed(difference, deviation, level, precision.WIDENING, 1000)
    rng = np.random.default_rng(0)

    def found(number):
        a, b = samples(rng, deviation, number), samples(rng, deviation, number, 1 - difference)
        return np.mean((Means.of(b, precision.WIDENING) - Means.of(a, precision.WIDENING)).p() < level)

    assert found(starts) > 0.78
    assert starts == 3 or found(max(3, int(starts * 0.7))) < 0.78


def test_starts_that_are_never_advised_are_none():
    assert starts_needed(0.01, 1.0, 0.05, 1.0, 100) is None
    assert starts_needed(0.01, 0.0, 0.05, 1.0, 100) == 3
