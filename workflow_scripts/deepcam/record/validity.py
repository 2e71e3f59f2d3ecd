"""Can a record's numbers be trusted? Pure functions: each check says what it expected and what it found."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import numpy as np

from deepcam.record import (
    completeness_checks,
    consistency_checks,
    core_checks,
    delivery_checks,
    device_checks,
    medium_checks,
    memory_checks,
    metadata,
    metrics,
    precision,
)
from deepcam.record.checking import WARNING, check
from deepcam.record.fields import Level
from deepcam.record.schema import Check, Measurement
from deepcam.record.start_facts import StartFacts

COLD_LIMIT, WARM_LIMIT = 0.01, 0.99
"""Largest page cache residency of a cold run, and smallest of a warm run."""

JUMP_LIMIT = 1.25
"""Largest ratio of a start's fastest run to its slowest. At a deviation of 5 % within starts, which is common, one
start in 600 with two runs exceeds it by chance. A larger jump means that the machine or the storage changed its state.
"""

TREND_LIMIT = 1.05
"""Largest mean change from a start's first run to its last, as a ratio. It moves the median of two runs by half of it,
which is little beside the default precision of 10 %."""

TREND_CONFIDENCE = 0.995
"""Quantile of the t distribution that the mean change must exceed, too: 1 in 100 steady configurations does, to either
side. Each configuration is checked, and a grid has dozens."""

MIN_SECONDS_RATIO = 0.9
"""Smallest ratio of a run's duration to `min_seconds`: earlier runs determine its number of epochs."""

BACKGROUND_LOAD_LIMIT, BACKGROUND_LOAD_ERROR = 0.10, 0.50
"""Share of the job's own cores that other processes may keep busy before the start and in the median run: more than the
limit is a warning, as it is in any other run, because batches of a disturbed run count in the percentiles. Above the
second one, it is an error: the others had more of the cores than is left for the job."""


def checks(record: Measurement) -> list[Check]:
    """All checks of a measurement."""
    cell, runs, settings = record.cell, record.runs, record.settings
    found = [
        check("run_count", settings.runs, len(runs), len(runs) == settings.runs),
        check("rank_count", cell.ranks, len(runs[0].ranks), all(len(run.ranks) == cell.ranks for run in runs)),
        _coverage(record),
        _jump(record),
        _duration(record),
        _background_load(record),
        *_nodes(record),
        *core_checks.checks(record),
        *device_checks.checks(record),
    ]
    if cell.cache == "cold":
        worst = max(share for run in runs for share in run.page_cache_residency_max)
        found.append(check("residency_cold", f"at most {COLD_LIMIT}", worst, worst <= COLD_LIMIT))
    if cell.cache == "warm":
        worst = min(share for run in runs for share in run.page_cache_residency_min)
        found.append(check("residency_warm", f"at least {WARM_LIMIT}", worst, worst >= WARM_LIMIT))
    return [
        *found,
        *medium_checks.checks(record),
        *_reader(record),
        *_accuracy(record),
        *delivery_checks.checks(record),
        *memory_checks.checks(record),
        *consistency_checks.checks(record),
        *completeness_checks.checks(record),
    ]


def checks_of_starts(starts: Sequence[StartFacts]) -> list[Check]:
    """The checks that take all starts of a configuration."""
    return [*consistency_checks.checks_of_starts(starts), *_trend(starts)]


def _trend(starts: Sequence[StartFacts]) -> list[Check]:
    """Whether later runs differ from earlier ones.

    With two or three runs, a single start cannot show a trend, but several starts can show the same one.
    """
    of_several = [rates for start in starts if len(rates := start.throughputs) > 1]
    if len(of_several) < precision.MIN_STARTS:
        return []
    changes = [math.log(rates[-1] / rates[0]) for rates in of_several]
    mean = statistics.fmean(changes)
    noise = statistics.stdev(changes) / math.sqrt(len(changes))
    trend = abs(mean) > precision.t_quantile(TREND_CONFIDENCE, len(changes) - 1) * noise
    return [
        check(
            "not_steady",
            f"a change of at most {TREND_LIMIT - 1:.0%} from the first to the last run of a start",
            f"{math.expm1(mean):+.0%} in the mean of {len(changes)} starts",
            not trend or abs(mean) <= math.log(TREND_LIMIT),
            WARNING,
        )
    ]


def failures(checks: Iterable[Check], level: Level) -> str:
    """The failed checks of this level in words, each once, sorted; empty if none failed."""
    failed = (result for result in checks if not result.ok and result.level == level)
    return "; ".join(sorted({f"{result.name}: expected {result.expected}, got {result.actual}" for result in failed}))


def _coverage(record: Measurement) -> Check:
    """All ranks together read every sample exactly once per epoch in every run, as the readers reported it."""
    samples = record.dataset.samples
    wrong: set[str] = set()
    for run in record.runs:
        counts = np.zeros(len(samples), np.int64)
        np.add.at(counts, *run.read_samples())
        for rank in run.ranks:
            wrong |= rank.unknown_samples.keys()
        wrong |= {samples[number] for number in np.flatnonzero(counts != run.epochs)}
    first = f" (first: {min(wrong)})" if wrong else ""
    return check("every_sample_once", "every sample once an epoch", f"{len(wrong)} samples differ{first}", not wrong)


def _jump(record: Measurement) -> Check:
    rates = metrics.throughputs(record)
    ratio = max(rates) / min(rates)
    return check(
        "not_steady",
        f"the fastest run of a start at most {JUMP_LIMIT} times as fast as the slowest",
        f"{ratio:.2f} times",
        ratio <= JUMP_LIMIT,
        WARNING,
    )


def _background_load(record: Measurement) -> Check:
    """Load before the start and in the median run for an error, and also in the worst run for a warning."""
    before, loads = record.environment.background_cpu_load, [*map(metrics.background_cpu_load, record.runs)]
    median, worst = statistics.median(loads), max(loads)
    if max(before, median) > BACKGROUND_LOAD_ERROR:
        actual = f"{before:.0%} before, {median:.0%} during the median run"
        return check("background_cpu_load", f"at most {BACKGROUND_LOAD_ERROR:.0%} of the job's cores", actual, False)
    ok = max(before, worst) <= BACKGROUND_LOAD_LIMIT
    expected = f"at most {BACKGROUND_LOAD_LIMIT:.0%} of the job's cores"
    actual = f"{before:.0%} before, {worst:.0%} during the worst run"
    return check("background_cpu_load_small", expected, actual, ok, WARNING)


def _nodes(record: Measurement) -> list[Check]:
    """The nodes are of one kind: a run is as fast as the slowest of them."""
    if metrics.num_nodes(record) == 1:
        return []
    differing = metadata.differing_metadata([record])
    words = ", ".join(f"{key} ({', '.join(values)})" for key, values in differing.items())
    return [
        check(
            "homogeneous_nodes",
            "nodes of one kind",
            f"differences in {words}" if differing else "one kind",
            not differing,
            WARNING,
        )
    ]


def _duration(record: Measurement) -> Check:
    needed = record.settings.min_seconds * MIN_SECONDS_RATIO
    shortest = min(map(metrics.run_seconds, record.runs))
    return check("run_seconds", f"at least {needed:.2g} s", f"{shortest:.2g} s", shortest >= needed)


def _reader(record: Measurement) -> list[Check]:
    """The reader worked as its name says: with O_DIRECT."""
    details = [rank.reader for run in record.runs for rank in run.ranks]
    if record.cell.reader == "dali-direct":
        direct = all(detail.get("o_direct") for detail in details)
        return [check("o_direct", True, direct, direct)]
    return []


def _accuracy(record: Measurement) -> list[Check]:
    """The verdicts on the engine's accuracy, one for each device."""
    return [
        check(
            "accuracy",
            f"mean IoU at least {verdict.min_iou_ratio:.0%} of the reference's {verdict.reference_mean_iou:.4f}, and "
            f"the reference's class on at least {verdict.min_pixel_agreement:.1%} of the pixels",
            f"mean IoU {verdict.mean_iou:.4f} and {verdict.pixel_agreement:.2%} of the pixels"
            + (
                ""
                if sum(map(bool, verdict.iou.values())) > 1
                else ", but at most one class agrees with the labels anywhere"
            ),
            verdict.passed
            and verdict.mean_iou >= verdict.min_iou_ratio * verdict.reference_mean_iou
            and verdict.pixel_agreement >= verdict.min_pixel_agreement,
        )
        for verdict in (record.engine.accuracy if record.engine else [])
    ]
