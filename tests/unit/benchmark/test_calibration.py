"""The length of runs, with a made-up clock: readers whose runs take a time that is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from deepcam.benchmark.calibration import RunLength

LEAST = 0.3

READERS: dict[str, Callable[[int], float]] = {
    "steady": lambda epochs: 0.01 * epochs,
    "very fast": lambda epochs: 1e-5 * epochs,
    "an epoch nearly lasts long enough": lambda epochs: 0.29 * epochs,
    "the first batch of each run is slow": lambda epochs: 0.1 + 0.005 * epochs,
    "the first batch takes most of the time": lambda epochs: 0.2 + 0.02 * epochs,
    "faster the longer it runs": lambda epochs: 0.02 * epochs**0.8,
    "slower the longer it runs": lambda epochs: 0.01 * epochs**1.1,
}


def calibrate(duration: Callable[[int], float]) -> list[float]:
    """The durations of all runs until one lasts long enough."""
    length, seconds = RunLength(LEAST), []
    while not seconds or seconds[-1] < LEAST:
        seconds.append(duration(length.amount))
        length.suffices(seconds[-1])
        assert len(seconds) < 20
    return seconds


@pytest.mark.parametrize("name", READERS)
def test_runs_last_between_one_and_two_times_the_shortest_duration(name: str) -> None:
    seconds = calibrate(READERS[name])
    assert LEAST <= seconds[-1] <= 2 * LEAST
    assert sum(seconds) <= 3 * LEAST


def test_a_run_has_at_most_ten_times_as_much_work_as_the_one_before() -> None:
    length = RunLength(LEAST)
    amounts = []
    for _ in range(3):
        length.suffices(1e-9)
        amounts.append(length.amount)
    assert amounts == [10, 100, 1000]


def test_a_run_that_is_long_enough_changes_nothing() -> None:
    length = RunLength(LEAST, 7)
    assert length.suffices(LEAST)
    assert length.amount == 7


def test_the_amount_grows_even_if_the_time_does_not() -> None:
    length = RunLength(LEAST, 4)
    length.suffices(0.2)
    before = length.amount
    length.suffices(0.1)
    assert length.amount > before
