"""Which configuration is started when, and when there are enough starts.

In each round every configuration that still needs a start gets one, in random order, so that a machine whose speed
changes affects all configurations alike. Whether a configuration needs another start depends on how precise its number
is, never on the number itself.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Literal

from deepcam.config import Benchmark
from deepcam.grid import Cell
from deepcam.record import precision

Reason = Literal["precise", "max_starts", "max_seconds", "minutes"]


@dataclasses.dataclass
class Configuration:
    """What has been measured of one cell so far."""

    cell: Cell
    rates: dict[int, float]
    """Number of each start to its median throughput, in samples per second."""
    seconds: list[float] = dataclasses.field(default_factory=list)
    """Wall times of the starts that this process has made."""
    failure: str = ""
    """Why a start failed, after which there are no more."""
    stopped: Reason | None = None

    @property
    def next_number(self) -> int:
        """The lowest number that no start has."""
        return next(number for number in range(len(self.rates) + 1) if number not in self.rates)


@dataclasses.dataclass(frozen=True)
class Place:
    """The place of a start among all: see `record.schema.Start`."""

    round: int
    position: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Limits:
    """When to stop: the keys of the configuration, and the seconds that all starts of this process may take."""

    benchmark: Benchmark
    seconds: float

    def reason_to_stop(self, configuration: Configuration, elapsed: float) -> Reason | None:
        """Why a configuration gets no further start after `elapsed` seconds; None if it gets one."""
        keys = self.benchmark
        rates = list(configuration.rates.values())
        if reason := precision.reason_to_stop(rates, keys.precision, keys.min_starts, keys.max_starts):
            return reason
        if len(rates) < keys.min_starts:
            return None
        if sum(configuration.seconds) >= keys.max_seconds:
            return "max_seconds"
        return "minutes" if elapsed >= self.seconds else None


class StartFailedError(Exception):
    """A start ended with an error, took too long, or left no record. The message says why, in one line."""


def run(
    configurations: Sequence[Configuration],
    limits: Limits,
    measure: Callable[[Configuration, Place], float],
    tell: Callable[[int, Configuration], None],
    *,
    seed: int,
    first_round: int,
    clock: Callable[[], float],
) -> None:
    """Run rounds until every configuration has stopped or failed.

    `measure` makes one start, and returns its median throughput or raises StartFailedError, after which the start is
    tried once more: launchers fail now and then. `tell` is called before each start, with the round and the
    configuration.
    """
    order, begin, number = random.Random(seed), clock(), first_round
    while pending := [one for one in configurations if not _has_ended(one, limits, clock() - begin)]:
        for position, one in enumerate(order.sample(pending, len(pending))):
            if _has_ended(one, limits, clock() - begin):
                continue
            tell(number, one)
            started = clock()
            try:
                one.rates[one.next_number] = _with_second_try(measure, one, Place(number, position, seed))
            except StartFailedError as error:
                one.failure = str(error)
            one.seconds.append(clock() - started)
        number += 1


def _has_ended(configuration: Configuration, limits: Limits, elapsed: float) -> bool:
    if configuration.failure:
        return True
    configuration.stopped = limits.reason_to_stop(configuration, elapsed)
    return configuration.stopped is not None


def _with_second_try(
    measure: Callable[[Configuration, Place], float], configuration: Configuration, place: Place
) -> float:
    try:
        return measure(configuration, place)
    except StartFailedError:
        return measure(configuration, place)
