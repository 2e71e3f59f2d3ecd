"""The parts of a rank's run as one."""

from __future__ import annotations

import collections
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from deepcam.benchmark.timed_loop import Part
from deepcam.machine import CpuTime
from deepcam.record.delivery_schema import Delivery, MaskComparison
from deepcam.record.packed import pack
from deepcam.record.run_schema import ClockMegahertz, DeviceUsage, RankRun, ThrottleReason

Reading = TypeVar("Reading", int, float, CpuTime, Delivery)


def joined(parts: Sequence[Part], numbers: Mapping[str, int]) -> RankRun:
    """The parts of a rank's run as one. Shares of time are means, weighted with the parts' times.

    `numbers` maps the file name of each sample to its place in the dataset.
    """
    samples = sum((part.samples for part in parts), collections.Counter())
    known = sorted((numbers[name], times) for name, times in samples.items() if name in numbers)
    node = _known(lambda times: sum(times, CpuTime()), [part.node for part in parts])
    return RankRun(
        part_seconds=[part.seconds for part in parts],
        batch_interval_nanoseconds=pack([time for part in parts for time in part.batch_interval_nanoseconds]),
        batch_samples=pack([size for part in parts for size in part.batch_samples]),
        sample_numbers=pack([number for number, _ in known]),
        sample_counts=pack([times for _, times in known]),
        unknown_samples={name: times for name, times in samples.items() if name not in numbers},
        cpu_seconds=sum(part.cpu_seconds for part in parts),
        node_cpu_utilisation=node.node_utilisation if node else None,
        background_cpu_load=node.background_load if node else None,
        throttled_seconds=node.throttled if node else None,
        thread_cores=sorted(frozenset[str]().union(*(part.thread_cores for part in parts))),
        peak_rss_bytes=max(part.peak_rss_bytes for part in parts),
        page_faults=sum(part.page_faults for part in parts),
        bytes_read_from_storage=sum(part.bytes_read_from_storage for part in parts),
        bytes_returned_by_reads=sum(part.bytes_returned_by_reads for part in parts),
        disk_bytes=_known(sum, [part.storage.disks for part in parts]),
        network_bytes_read=_known(sum, [part.storage.network for part in parts]),
        reader=parts[-1].reader,  # some counts are since the start of the process
        device=_device(parts),
        delivery=_known(_all_delivered, [part.delivery for part in parts]),
        masks=_all_masks([part.masks for part in parts if part.masks]),
    )


def _device(parts: Sequence[Part]) -> DeviceUsage:
    """What the device did in all parts. Those without samples of its clocks are too short, and do not count there."""
    used = [part.device for part in parts]
    return DeviceUsage(
        energy_joules=_known(sum, [usage.energy_joules for usage in used]),
        utilisation=_mean(parts, lambda part: part.device.utilisation),
        memory_bytes=_known(max, [usage.memory_bytes for usage in used]),
        sm_clock=_clock([usage.sm_clock for usage in used if usage.sm_clock]),
        memory_clock=_clock([usage.memory_clock for usage in used if usage.memory_clock]),
        throttled_shares=_throttled_shares(parts),
        power_violation_seconds=_known(sum, [usage.power_violation_seconds for usage in used]),
        thermal_violation_seconds=_known(sum, [usage.thermal_violation_seconds for usage in used]),
    )


def _clock(clocks: Sequence[ClockMegahertz]) -> ClockMegahertz | None:
    if not clocks:
        return None
    return ClockMegahertz(
        lowest=min(clock.lowest for clock in clocks),
        median=statistics.fmean(clock.median for clock in clocks),
        maximum=clocks[0].maximum,
    )


def _throttled_shares(parts: Sequence[Part]) -> dict[ThrottleReason, float] | None:
    known = [(part.device.throttled_shares, part.seconds) for part in parts if part.device.throttled_shares is not None]
    if not known:
        return None
    total = sum(seconds for _, seconds in known)
    reasons = sorted({reason for shares, _ in known for reason in shares})
    sums = {reason: sum(shares.get(reason, 0.0) * seconds for shares, seconds in known) for reason in reasons}
    return {reason: min(1.0, throttled / total) for reason, throttled in sums.items()}


def _all_delivered(parts: Sequence[Delivery]) -> Delivery:
    return Delivery(
        proof=parts[0].proof,
        samples=sum(part.samples for part in parts),
        bytes=sum(part.bytes for part in parts),
        wrong_samples=sum(part.wrong_samples for part in parts),
        first_wrong=next((part.first_wrong for part in parts if part.first_wrong), None),
    )


def _all_masks(parts: Sequence[MaskComparison]) -> MaskComparison | None:
    if not parts:
        return None
    return MaskComparison(
        samples=sum(part.samples for part in parts),
        pixels=sum(part.pixels for part in parts),
        differing_pixels=sum(part.differing_pixels for part in parts),
    )


def _mean(parts: Sequence[Part], value: Callable[[Part], float | None]) -> float | None:
    seconds = sum(part.seconds for part in parts)
    weighted = _known(sum, [None if value(part) is None else value(part) * part.seconds for part in parts])
    return None if weighted is None else min(1.0, weighted / seconds)


def _known(combine: Callable[[list[Reading]], Reading], values: list[Reading | None]) -> Reading | None:
    """What `combine` makes of the values, or None if one of them is unknown."""
    known = [value for value in values if value is not None]
    return combine(known) if len(known) == len(values) else None
