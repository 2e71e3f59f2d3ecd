"""Did the job have the cores that its record states? Pure functions."""

from __future__ import annotations

from deepcam.machine_topology import parse_list
from deepcam.record import metrics
from deepcam.record.schema import Check, Measurement

THROTTLED_LIMIT = 0.01
"""Share of a run's time for which the kernel may hold the job back, because its CPU quota is used up."""


def checks(record: Measurement) -> list[Check]:
    """The checks of cores; none of a record of version 6, which did not say what they need."""
    return [*_thread_cores(record), *_throttling(record)]


def _thread_cores(record: Measurement) -> list[Check]:
    """Every thread may use all of its rank's cores."""
    if any(rank.thread_cores is None for run in record.runs for rank in run.ranks):
        return []
    bound = {
        f"rank {number} on {place.node}: cores {cores}"
        for run in record.runs
        for number, (place, rank) in enumerate(zip(record.environment.ranks, run.ranks, strict=True))
        for cores in rank.thread_cores or ()
        if not parse_list(cores).issuperset(place.cores)
    }
    first = f"{len(bound)} kinds of threads that may use fewer (first: {min(bound)})" if bound else "all"
    return [_check("thread_cores", "threads that may use all of their rank's cores", first, not bound)]


def _throttling(record: Measurement) -> list[Check]:
    shares = [
        rank.throttled_seconds / metrics.run_seconds(run)
        for run in record.runs
        for rank in run.ranks
        if rank.throttled_seconds is not None
    ]
    if not shares:
        return []
    expected = f"at most {THROTTLED_LIMIT:.0%} of a run's time without CPU, for want of quota"
    return [_check("cpu_throttling", expected, f"{max(shares):.1%}", max(shares) <= THROTTLED_LIMIT)]


def _check(name: str, expected: str, actual: str, ok: bool) -> Check:
    return Check(name=name, level="error", expected=expected, actual=actual, ok=ok)
