"""Ratios of geometric means with Welch's t test and interval, for many pairs of samples at once. Pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
"""Confidence level of all intervals."""

POWER = 0.8
"""Probability with which a difference is to be found."""

LEAST_VARIANCE = 1e-18
"""Smallest variance of a mean logarithm. Without it, values that are all equal would divide zero by zero."""


@dataclasses.dataclass(frozen=True)
class Means:
    """Mean logarithms of samples, an element each: with the variance of the mean, and its degrees of freedom."""

    mean: np.ndarray
    variance: np.ndarray
    degrees: np.ndarray

    @classmethod
    def of(cls, samples: Sequence[Sequence[float]], widening: float = 1.0) -> Means:
        """The mean logarithm of each sample of two or more values above 0; `widening` multiplies its standard error."""
        logs = [np.log(sample) for sample in samples]
        sizes = np.array([len(sample) for sample in samples])
        variance = np.array([np.var(each, ddof=1) for each in logs]) / sizes * widening**2
        return cls(np.array([np.mean(each) for each in logs]), np.maximum(variance, LEAST_VARIANCE), sizes - 1)

    def __sub__(self, other: Means) -> Means:
        """Differences, with Welch's and Satterthwaite's degrees of freedom."""
        variance = self.variance + other.variance
        degrees = variance**2 / (self.variance**2 / self.degrees + other.variance**2 / other.degrees)
        return Means(self.mean - other.mean, variance, degrees)

    def ratios(self) -> np.ndarray:
        """The ratios whose logarithms these differences are."""
        return np.exp(self.mean)

    def intervals(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends of the confidence intervals of the ratios."""
        half_width = stats.t.ppf((1 + CONFIDENCE) / 2, self.degrees) * np.sqrt(self.variance)
        return np.exp(self.mean - half_width), np.exp(self.mean + half_width)

    def p(self) -> np.ndarray:
        """p of the two-sided test that the ratio is 1."""
        return 2 * stats.t.sf(np.abs(self.mean) / np.sqrt(self.variance), self.degrees)


def starts_needed(difference: float, deviation: float, level: float, widening: float, most: int) -> int | None:
    """Number of values in each of two samples to find a relative difference, such as 0.1, with probability POWER.

    `deviation` is the standard deviation of the logarithms in both samples, and `level` that of the test. None if
    it takes more than `most` values. The difference must exceed the sum of what the test needs and of what chance may
    take away, each in standard errors.
    """
    values = np.arange(3, most + 1)
    degrees = 2 * (values - 1)
    needed = widening * stats.t.ppf(1 - level / 2, degrees) + stats.t.ppf(POWER, degrees)
    enough = values[needed * deviation * np.sqrt(2 / values) <= np.log1p(difference)]
    return int(enough[0]) if len(enough) else None
