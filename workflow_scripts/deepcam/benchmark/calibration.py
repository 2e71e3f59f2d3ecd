"""How much work makes a run last long enough. Pure functions; the seconds are those of whole runs."""

from __future__ import annotations

import math

MARGIN = 1.25
"""Runs are planned to last this many times the shortest duration, because their lengths vary."""

GROWTH = 10
"""A run has at most this many times as much work as the one before it, because the pace of a short run says little."""


class RunLength:
    """Finds the amount of work, such as a number of epochs, with which a run lasts at least `min_seconds`.

    The time of a run is taken to be a fixed part, such as a slow first batch, and a part that grows with the amount.
    Batches are not looked at: readers may finish them in bursts, so that their intervals say nothing about the pace.
    """

    def __init__(self, min_seconds: float, amount: int = 1) -> None:
        self.amount = amount
        self._least = min_seconds
        self._before: tuple[int, float] | None = None

    def suffices(self, seconds: float) -> bool:
        """Whether a run of `amount` that took `seconds` was long enough. If not, `amount` is larger from now on."""
        if seconds >= self._least:
            return True
        wanted = self._least * MARGIN
        pace = seconds / self.amount
        if self._before is not None:
            amount, earlier = self._before
            if seconds > earlier:
                pace = (seconds - earlier) / (self.amount - amount)
        self._before = self.amount, seconds
        more = math.ceil(min((wanted - seconds) / max(pace, 1e-12), GROWTH * self.amount))
        self.amount = min(self.amount + max(1, more), GROWTH * self.amount)
        return False
