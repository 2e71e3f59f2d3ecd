"""Does a record contradict itself? Pure functions.

They find records that were edited, copied or damaged. They are no signature: made-up times that agree with each other,
with a digest of their own, pass them.
"""

from __future__ import annotations

import collections
import datetime
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deepcam.record import metrics, packed, start_facts
from deepcam.record.checking import WARNING, check
from deepcam.record.columns import Metrics
from deepcam.record.run_schema import RankRun, Run
from deepcam.record.schema import Check, Measurement
from deepcam.record.start_facts import StartFacts

ROUNDING = 1e-6
"""Relative error of sums of floating-point numbers."""

SLACK_SECONDS = 1.0
"""How much longer a part may take than its batches. After the last batch, a reader may take some time to end."""

MOST_CPU_RATIO, RUN_SLACK_SECONDS, PART_SLACK_SECONDS = 1.05, 0.1, 0.03
"""How much more CPU time a job may have than its nodes' cores had: a share, and seconds of each core in each run and
in each part. The clocks of threads that run may lag by 10 ms, and the reader's threads run on while they are read."""

PIECE_BYTES = 64
"""How many bytes of each sample are compared with its file in a timed pass, at least."""

EARLIEST_DATE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
"""The project did not exist before."""

MOST_HEADER_BYTES = 2**16 + 10
"""Size of the largest header of an npy file of version 1."""

JUDGEMENTS = {"valid", "invalid_reasons", "warnings"}
"""Metrics that follow from the checks. They change with each new check, so they are not compared."""


def checks(record: Measurement) -> list[Check]:
    """The check of a measurement against itself. It names the first contradiction."""
    found = next(_contradictions(record), None)
    return [check("record_consistent", "numbers that agree with each other", found or "such numbers", found is None)]


def checks_of_starts(starts: Sequence[StartFacts]) -> list[Check]:
    """The checks that compare the starts of a configuration: no copies, and dates in order."""
    if len(starts) < 2:
        return []
    times = [run.times for start in starts for run in start.runs]
    copies = len(times) - len(set(times))
    first, *others = (start.subject for start in starts)
    differing = [key for key, value in first.items() if any(other[key] != value for other in others)]
    rounds = sorted((one.start.round, one.date) for one in starts if one.start)
    dates = [date for _, date in rounds]
    numbers = {one.start.number for one in starts if one.start}
    missing = sorted(set(range(max(numbers, default=0))) - numbers)
    return [
        check("starts_distinct", "times of its own for each run", f"copied times in {copies} runs", not copies),
        check(
            "starts_alike",
            "the same settings, samples, engine and code in all starts",
            f"differences in {', '.join(differing)}" if differing else "the same",
            not differing,
        ),
        check(
            "starts_in_order",
            "dates in the order of rounds",
            "such dates" if dates == sorted(dates) else "a later round with an earlier date",
            dates == sorted(dates),
            WARNING,
        ),
        check(
            "starts_complete",
            "starts with the numbers from 0 on",
            f"no start {missing[0]}" if missing else "these",
            not missing,
            WARNING,
        ),
    ]


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a record's JSON content without its digest, with sorted keys and without spaces."""
    signed = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_of_digest(recorded: str | None, computed: str, name: str) -> Check:
    """Whether the content of the file of this name is the one that was written. `recorded` is None without a digest."""
    if recorded is None:
        return check("record_unverified", "a digest of the record", f"none in {name}", False, WARNING)
    same = recorded == computed
    return check("record_digest", "the digest of the record", "that" if same else f"another one in {name}", same)


def check_of_date(date: str, now: datetime.datetime, name: str) -> Check:
    """Whether the record in the file of this name was made after the project began, and not in the future."""
    latest = now + datetime.timedelta(days=1)
    ok = not _is_utc(date) or EARLIEST_DATE <= datetime.datetime.fromisoformat(date) <= latest
    return check("record_date", f"a date from {EARLIEST_DATE.year} until today", f"{date} in {name}", ok, WARNING)


def check_of_metrics(recorded: Metrics, computed: Metrics, name: str) -> Check:
    """Whether the metrics in the file of this name follow from its raw times. It names the first that does not."""
    old, new = recorded.model_dump(exclude=JUDGEMENTS), computed.model_dump(exclude=JUDGEMENTS)
    differing = [metric for metric in new if not _equal(old[metric], new[metric])]
    actual = f"another {differing[0]} in {name}" if differing else "those"
    return check("record_metrics", "the metrics that follow from the raw times", actual, not differing, WARNING)


def _equal(old: object, new: object) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=ROUNDING, abs_tol=1e-12)
    return old == new


def _contradictions(record: Measurement) -> Iterator[str]:
    dataset = record.dataset
    headers = dataset.bytes - len(dataset.samples) * 4 * math.prod(dataset.sample_shape)
    if not 0 <= headers <= len(dataset.samples) * MOST_HEADER_BYTES:
        yield f"{dataset.bytes:,} bytes in {len(dataset.samples):,} samples of shape {list(dataset.sample_shape)}"
    if not _is_utc(record.environment.date):
        yield f"date {record.environment.date}"
    unknown = {place.node for place in record.environment.ranks} - {node.name for node in record.environment.nodes}
    if unknown:
        yield f"a rank on {min(unknown)}, which is not among the nodes"
    if len({start_facts.times(run) for run in record.runs}) < len(record.runs):
        yield "two runs with the same times"
    for number, run in enumerate(record.runs):
        contradictions = _in_run(record, run)
        yield from (f"{text} in run {number}" for text in contradictions)
        for index, rank in enumerate(run.ranks):
            yield from (f"{text} in run {number}, rank {index}" for text in _in_rank(record, rank))


def _is_utc(date: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(date).utcoffset() == datetime.timedelta(0)
    except ValueError:
        return False


def _in_run(record: Measurement, run: Run) -> Iterator[str]:
    parts = len(run.page_cache_residency_min)
    expected = run.epochs if record.cell.cache == "cold" else 1
    if parts != expected:
        yield f"{parts} parts instead of {expected}"
    if (run.epochs == 0) != (record.cell.mode == "compute"):
        yield f"{run.epochs} epochs of mode {record.cell.mode}"
    for low, high in zip(run.page_cache_residency_min, run.page_cache_residency_max, strict=True):
        if low > high:
            yield f"a lowest page cache residency of {low:g} and a highest of {high:g}"
    cpu: dict[str, float] = collections.defaultdict(float)
    wall: dict[str, float] = collections.defaultdict(float)
    for place, rank in metrics.places(record, run):
        cpu[place.node] += rank.cpu_seconds
        wall[place.node] = max(wall[place.node], sum(rank.part_seconds))
    slack = RUN_SLACK_SECONDS + parts * PART_SLACK_SECONDS
    for node in record.environment.nodes:
        if cpu[node.name] > node.logical_cores * (wall[node.name] * MOST_CPU_RATIO + slack):
            yield (
                f"{cpu[node.name]:.4g} s of CPU time in {wall[node.name]:.4g} s on {node.logical_cores:,} cores of "
                f"{node.name}"
            )


def _in_rank(record: Measurement, rank: RankRun) -> Iterator[str]:
    intervals, parts = rank.batch_interval_seconds, len(rank.part_seconds)
    batches, largest, read = rank.num_batches, packed.largest(rank.batch_samples), rank.num_samples
    reported = packed.total(rank.sample_counts) + sum(rank.unknown_samples.values())
    expected = 0 if record.cell.mode == "compute" else read
    if reported != expected:
        yield f"{read:,} samples in batches, {reported:,} by name"
    yield from _in_delivery(record, rank, read)
    yield from _in_reader(record, rank)
    if largest > record.cell.local_batch_size:
        yield f"a batch of {largest:,} samples"
    if len(intervals) != batches or batches % parts:
        yield f"{len(intervals):,} intervals of {batches:,} batches in {parts:,} parts"
        return
    # A part is an epoch, so all have equal numbers of batches.
    for seconds, total in zip(rank.part_seconds, intervals.reshape(parts, -1).sum(axis=1).tolist(), strict=True):
        if not total * (1 - ROUNDING) <= seconds <= total * (1 + ROUNDING) + SLACK_SECONDS:
            yield f"a part of {seconds:.4g} s whose batches took {total:.4g} s"


def _in_delivery(record: Measurement, rank: RankRun, read: int) -> Iterator[str]:
    delivery = rank.delivery
    if delivery is None:
        return
    least = delivery.samples * min(PIECE_BYTES, 4 * math.prod(record.dataset.sample_shape))
    if delivery.samples > read or delivery.wrong_samples > delivery.samples:
        yield f"{delivery.samples:,} samples compared, {delivery.wrong_samples:,} of them wrong, of {read:,} read"
    elif delivery.bytes < least and not delivery.wrong_samples:
        yield f"{delivery.bytes:,} bytes compared of {delivery.samples:,} samples"


def _in_reader(record: Measurement, rank: RankRun) -> Iterator[str]:
    """The reader had as many threads as its cell says, if it told."""
    cell = record.cell
    expected = {"num_threads": cell.inter_threads * cell.intra_threads, "num_workers": cell.inter_threads}
    for key, number in expected.items():
        if rank.reader.get(key, number) != number:
            yield f"a reader with {key} {rank.reader[key]} instead of {number}"
