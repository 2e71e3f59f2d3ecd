"""What limits end-to-end throughput, how sure that is, and how precise the numbers are. Pure functions.

Three measurements with equal ranks, batch size and threads are compared. Reading alone (I/O-only) and computing alone
(compute-only) are the two limits of doing both at once (end-to-end). The lower limit is the bottleneck if end-to-end
gets close to it.

Which side limits, and how precise the numbers are, are two questions. Storage that is 20 times faster than compute is
not the bottleneck, however noisy the machine is. Therefore noise never takes a verdict away where the limits are far
apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from deepcam.record.columns import Bottleneck, Confidence, Limit, Metrics
from deepcam.record.precision import MIN_STARTS

OVERLAP_LIMITED_BELOW = 0.9
"""Overlap efficiency below which neither limit explains end-to-end throughput: the two sides slow each other down. It
counts at the favourable ends of the intervals, so that noise does not turn one verdict into another from run to run."""

CONFLICT_ABOVE = 1.1
"""Ratio above which two measurements contradict each other, because the machine's speed changed between them."""

READER_LIMITED_BELOW = 0.8
"""Share of the read-and-discard baseline below which a busy reader, not storage, is the bottleneck. The baseline shows
that storage can deliver more."""

READER_BUSY_ABOVE = 0.8
"""CPU utilisation of a reader's threads above which it is busy: it waits for its own work, not for storage."""

HIGH_MARGIN, MEDIUM_MARGIN = 1.5, 1.0
"""Smallest margins of a verdict with high and with medium confidence."""

HIGH_PRECISION, MEDIUM_PRECISION = 0.05, 0.10
"""Largest noise, as a share of the throughput, of numbers with high and with medium precision."""


class Rate(NamedTuple):
    """Samples per second of a configuration, and the ends of its interval."""

    value: float
    low: float
    high: float


def rate(found: Metrics) -> Rate:
    """The throughput with its 95 % confidence interval, or with the slowest and fastest start if there is none."""
    low, high = found.samples_per_second_ci_low, found.samples_per_second_ci_high
    return Rate(
        found.samples_per_second,
        found.samples_per_second_min if low is None else low,
        found.samples_per_second_max if high is None else high,
    )


def judge(
    end_to_end: Rate, io: Rate, compute: Rate, *, cache: str, baseline: float | None, reader_cpu_utilisation: float
) -> Bottleneck:
    """The bottleneck of an end-to-end configuration.

    `io` and `compute` have the same settings as `end_to_end`. `baseline` is the fastest read-and-discard throughput
    with the same ranks, batch size and state of the page cache (`cache`), samples/s; None if it was not measured.
    `reader_cpu_utilisation` is that of the cores that the reader threads of `io` can keep busy.

    The separation is how far the limits are apart at the unfavourable ends of their intervals. The drift is how much
    the machine's speed is known to have changed: end-to-end cannot exceed its lower limit, nor a reader the baseline.
    Both limits may have drifted by that factor in opposite directions, so their order is safe only if they are apart by
    more than its square. The margin is the separation that is left.
    """
    io_is_lower = io.value < compute.value
    lower, upper = (io, compute) if io_is_lower else (compute, io)
    overlap = end_to_end.value / lower.value
    share = None if baseline is None else io.value / baseline
    separation = upper.low / lower.high
    margin = separation / drift(overlap, share) ** 2
    side = _reading_limit(cache, share, reader_cpu_utilisation) if io_is_lower else "compute"
    limit = _limit(overlap, end_to_end.high / lower.low, margin, side)
    return Bottleneck(
        io_only_samples_per_second=io.value,
        compute_only_samples_per_second=compute.value,
        accelerator_utilisation=end_to_end.value / compute.value,
        overlap_efficiency=overlap,
        headroom=upper.value / end_to_end.value,
        baseline_ratio=share,
        reader_cpu_utilisation=reader_cpu_utilisation,
        limit_separation=separation,
        bottleneck_margin=margin,
        bottleneck=limit,
        bottleneck_confidence=confidence(margin),
    )


def drift(overlap: float, baseline_ratio: float | None) -> float:
    """Factor by which the machine's speed changed between the measurements, as far as they show it; at least 1.

    A reader above the baseline counts only beyond CONFLICT_ABOVE, because the baseline is not a ceiling: `pread` beats
    it at times by a few per cent.
    """
    above = baseline_ratio if baseline_ratio is not None and baseline_ratio > CONFLICT_ABOVE else 1.0
    return max(1.0, overlap, above)


def _limit(overlap: float, highest_overlap: float, margin: float, lower_side: Limit) -> Limit:
    """The bottleneck. `highest_overlap` is the overlap efficiency at the favourable ends of the intervals.

    The order of the tests matters. Surely below 90 % of its lower limit, end-to-end is limited by something that
    neither part shows alone. A safe order of the limits decides next, even if end-to-end exceeds the lower one: drift
    that cannot change their order is a reason for low precision, not against the verdict. If the order is not safe, the
    measurements contradict each other, or both limits are equal as far as can be seen.
    """
    if highest_overlap < OVERLAP_LIMITED_BELOW:
        return "overlap-limited"
    if margin >= MEDIUM_MARGIN:
        return lower_side
    return "measurement-conflict" if overlap > CONFLICT_ABOVE else "balanced"


def _reading_limit(cache: str, baseline_ratio: float | None, reader_cpu_utilisation: float) -> Limit:
    """Storage or the reader, where I/O-only is the lower limit.

    Bytes of a warm page cache come from memory, so storage cannot be the limit. With a cold one, the reader is the
    limit if it is busy and far below what storage is known to deliver.
    """
    if cache == "warm":
        return "reader"
    slow = baseline_ratio is not None and baseline_ratio < READER_LIMITED_BELOW
    return "reader" if slow and reader_cpu_utilisation > READER_BUSY_ABOVE else "storage"


def confidence(margin: float) -> Confidence:
    """How sure it is which limit is the lower one. At a margin below 1, noise alone can reverse their order."""
    if margin >= HIGH_MARGIN:
        return "high"
    return "medium" if margin >= MEDIUM_MARGIN else "low"


def row_noise(
    samples_per_second: float,
    low: float,
    high: float,
    relative_half_width: float | None,
    cv_within_starts: float | None,
) -> float:
    """Half the width of a configuration's interval, as a share of its throughput.

    With too few starts for an interval, it is at least half the range of the starts, and at least the coefficient of
    variation of the runs, if there are several.
    """
    if relative_half_width is not None:
        return relative_half_width
    return max((high - low) / (2 * samples_per_second), cv_within_starts or 0.0)


def largest_noise(rows: Iterable[float], drifts: Iterable[float]) -> float:
    """The largest noise of the rows that a verdict uses, and of the drifts beyond CONFLICT_ABOVE, as a share.

    Smaller drifts are within the intervals as a rule, so they are no sign of a changed machine.
    """
    return max([*rows, *(found - 1 for found in drifts if found > CONFLICT_ABOVE)])


def precision(largest_noise: float, fewest_starts: int, busy: bool) -> Confidence:
    """How precise the numbers are, from `largest_noise`. `fewest_starts` is that of the row with the fewest.

    Precision is low on a machine that other processes kept busy, because their load is not the same for all
    configurations; and with too few starts for an interval, because their differences are unknown.
    """
    if busy or fewest_starts < MIN_STARTS or largest_noise > MEDIUM_PRECISION:
        return "low"
    return "high" if largest_noise <= HIGH_PRECISION else "medium"
