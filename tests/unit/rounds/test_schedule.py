"""Rounds: who is started when, and when there are enough starts. Nothing is measured, and the clock is made up."""

from __future__ import annotations

import collections
from collections.abc import Callable

import pytest
from deepcam.config import Benchmark
from deepcam.grid import Cell
from deepcam.rounds import schedule
from deepcam.rounds.schedule import Configuration, Limits, Place, StartFailedError

STEADY, NOISY = 1.0, 3.0
"""Factor between the rates of one start and the next."""


def cell(number: int) -> Cell:
    return Cell("io", "pread", "warm", "none", 1, number, 1, 1)


class Machine:
    """Takes `seconds` for each start, whose rates alternate between 10 and 10 times a factor."""

    def __init__(self, factors: list[float], seconds: float = 1.0) -> None:
        self.configurations = [Configuration(cell(number), {}) for number in range(1, len(factors) + 1)]
        self.factors = dict(zip((one.cell for one in self.configurations), factors, strict=True))
        self.seconds, self.now = seconds, 0.0
        self.started: list[tuple[Cell, Place]] = []
        self.fails: Callable[[Cell], bool] = lambda _: False

    def measure(self, one: Configuration, place: Place) -> float:
        self.started.append((one.cell, place))
        self.now += self.seconds
        if self.fails(one.cell):
            raise StartFailedError("a log: a reason")
        return 10 * self.factors[one.cell] ** (one.next_number % 2)

    def run(self, seconds: float = 1e9, seed: int = 1, **keys: object) -> Machine:
        limits = Limits(Benchmark(min_starts=3, max_starts=6, **keys), seconds)
        schedule.run(
            self.configurations, limits, self.measure, lambda *_: None, seed=seed, first_round=0, clock=lambda: self.now
        )
        return self

    @property
    def starts(self) -> list[int]:
        return [len(one.rates) for one in self.configurations]

    @property
    def reasons(self) -> list[str | None]:
        return [one.stopped for one in self.configurations]


def test_only_configurations_that_are_not_precise_get_more_than_the_least_number_of_starts() -> None:
    done = Machine([STEADY, NOISY, STEADY]).run()
    assert done.starts == [3, 6, 3]
    assert done.reasons == ["precise", "max_starts", "precise"]


def test_each_round_starts_every_configuration_once_in_an_order_of_its_own() -> None:
    done = Machine([STEADY] * 8).run()
    rounds = collections.defaultdict(list)
    for started, place in done.started:
        assert place.position == len(rounds[place.round])
        rounds[place.round].append(started)
    orders = {tuple(order) for order in rounds.values()}
    assert [len(order) for order in rounds.values()] == [8, 8, 8]
    assert len(orders) == 3
    assert {frozenset(order) for order in orders} == {frozenset(one.cell for one in done.configurations)}


def test_the_seed_decides_the_orders() -> None:
    first, same, other = (Machine([STEADY] * 8).run(seed=seed) for seed in (1, 1, 2))
    cells = [[started for started, _ in machine.started] for machine in (first, same, other)]
    assert cells[0] == cells[1] != cells[2]
    assert {place.seed for _, place in other.started} == {2}


def test_a_limit_of_time_never_takes_away_the_least_number_of_starts() -> None:
    done = Machine([NOISY, NOISY]).run(seconds=0.5)
    assert done.starts == [3, 3]
    assert done.reasons == ["minutes", "minutes"]


def test_the_time_limit_of_one_configuration_does_not_end_others() -> None:
    done = Machine([NOISY, NOISY])
    done.configurations[0].seconds.append(100)
    done.run(max_seconds=50)
    assert done.starts == [3, 6]
    assert done.reasons == ["max_seconds", "max_starts"]


def test_records_that_exist_are_not_measured_again() -> None:
    machine = Machine([STEADY, STEADY])
    machine.configurations[0].rates |= {0: 10.0, 1: 10.0, 3: 10.0}
    machine.run()
    assert [started for started, _ in machine.started] == [cell(2)] * 3
    assert sorted(machine.configurations[0].rates) == [0, 1, 3]


def test_a_start_takes_the_lowest_free_number() -> None:
    machine = Machine([STEADY])
    machine.configurations[0].rates |= {0: 10.0, 2: 10.0}
    machine.run()
    assert sorted(machine.configurations[0].rates) == [0, 1, 2]


def test_a_configuration_that_fails_stops_no_other() -> None:
    machine = Machine([STEADY, STEADY])
    machine.fails = lambda failing: failing == cell(1)
    machine.run()
    assert [started for started, _ in machine.started].count(cell(1)) == 2  # the start, and its second try
    assert [one.failure for one in machine.configurations] == ["a log: a reason", ""]
    assert machine.starts == [0, 3]


def test_a_failed_start_is_tried_once_more() -> None:
    machine = Machine([STEADY])
    machine.fails = lambda _: len(machine.started) == 1
    machine.run()
    assert machine.starts == [3]
    assert machine.configurations[0].failure == ""


@pytest.mark.parametrize("limit", ["seconds", "starts"])
def test_a_configuration_without_any_limit_left_is_not_started(limit: str) -> None:
    machine = Machine([NOISY])
    machine.configurations[0].rates |= dict.fromkeys(range(6 if limit == "starts" else 3), 10.0)
    machine.run(seconds=1e9 if limit == "starts" else 0.0)
    assert not machine.started
