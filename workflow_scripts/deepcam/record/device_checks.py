"""Did the GPUs run at the clocks that they can run at? Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from deepcam.record import metrics
from deepcam.record.checking import WARNING, check
from deepcam.record.run_schema import RankRun
from deepcam.record.schema import Check, Measurement

GPU_THROTTLED_LIMIT = 0.05
"""Share of a run's time in which a GPU may be throttled. A GPU raises its clocks until it meets a limit, so moments of
throttling are normal."""


def checks(record: Measurement) -> list[Check]:
    """The check of throttling, of the worst run; none if no GPU told."""
    found = [
        (share, f"{share:.0%} ({cause}) on the GPU of rank {number} on {place.node}")
        for run in record.runs
        for number, (place, rank) in enumerate(metrics.places(record, run))
        for cause, share in _shares(rank)
    ]
    if not found:
        return []
    worst, text = max(found)
    ok = worst <= GPU_THROTTLED_LIMIT
    expected = f"throttling in at most {GPU_THROTTLED_LIMIT:.0%} of the time of each run"
    return [check("gpu_throttled", expected, f"at most {worst:.0%}" if ok else text, ok, WARNING)]


def _shares(rank: RankRun) -> Iterator[tuple[str, float]]:
    """Causes of throttling of a rank's GPU, with the share of its run in which each was seen."""
    device, seconds = rank.device, sum(rank.part_seconds)
    if device.throttled_shares is not None:
        yield from device.throttled_shares.items() or [("", 0.0)]
    for cause, violation in (("power", device.power_violation_seconds), ("heat", device.thermal_violation_seconds)):
        if violation is not None:
            yield f"violations of {cause} limits", min(1.0, violation / seconds)
