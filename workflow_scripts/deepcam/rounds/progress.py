"""One line that says what is measured, what is precise already, and how long it still takes."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from deepcam.record import precision
from deepcam.rounds.schedule import Configuration, Limits
from deepcam.text import count


class Progress:
    """Writes the line anew before each start on a terminal; elsewhere a line per round."""

    def __init__(self, configurations: Sequence[Configuration], limits: Limits) -> None:
        self._configurations, self._limits = configurations, limits
        self._begin = time.monotonic()
        self._round: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._round is not None and sys.stdout.isatty():
            print(flush=True)

    def tell(self, number: int, started: Configuration) -> None:
        """Say that a configuration is started in this round."""
        line = text(number, self._configurations, self._limits, time.monotonic() - self._begin)
        if sys.stdout.isatty():
            print(f"\r\x1b[K{line}; now {started.cell.id}", end="", flush=True)
        elif number != self._round:
            print(line, flush=True)
        self._round = number


def text(number: int, configurations: Sequence[Configuration], limits: Limits, elapsed: float) -> str:
    """The line without the configuration that is started. Rounds are counted from 1."""
    stopped = [one for one in configurations if one.stopped]
    precise = sum(one.stopped == "precise" for one in stopped)
    left = seconds_left(configurations, limits, elapsed)
    return (
        f"round {number + 1}: {len(configurations) - len(stopped)} of {count(len(configurations), 'configuration')} "
        f"left, {precise} precise; about {math.ceil(left / 60)} min"
    )


def seconds_left(configurations: Sequence[Configuration], limits: Limits, elapsed: float) -> float:
    """Forecast of the time until all have stopped: the half-width shrinks with the square root of the starts."""
    keys = limits.benchmark
    known = [seconds for one in configurations for seconds in one.seconds]
    typical = sum(known) / len(known) if known else 3.0
    total = 0.0
    for one in configurations:
        if one.stopped or one.failure:
            continue
        made = len(one.rates)
        wanted = keys.min_starts
        width = precision.relative_half_width(list(one.rates.values()))
        if width is not None and made >= keys.min_starts:
            wanted = min(keys.max_starts, math.ceil(made * (width / keys.precision) ** 2))
        each = sum(one.seconds) / len(one.seconds) if one.seconds else typical
        total += max(1, wanted - made) * each
    return min(total, max(0.0, limits.seconds - elapsed)) if total else 0.0
