"""Can a record's numbers be trusted? Pure functions: each check says what it expected and what it found."""

from __future__ import annotations

import collections
import statistics
from collections.abc import Iterable
from typing import Final

from deepcam.record import metadata, metrics
from deepcam.record.schema import Check, FileSystem, Level, Measurement

ERROR: Final = "error"
WARNING: Final = "warning"
"""Levels of a check: an error makes the record invalid; a warning is shown beside its numbers."""

COLD_LIMIT, WARM_LIMIT = 0.01, 0.99
"""Largest page cache residency of a cold run, and smallest of a warm run."""

COLD_READ_RATIO = (0.99, 1.1)
"""Allowed ratio of bytes read from storage to dataset bytes in a cold run; the margin covers headers and read-ahead."""

WARM_READ_RATIO = 0.01
"""Largest ratio of bytes read from storage to dataset bytes in the median warm run; libraries' own pages count too."""

CV_LIMIT, CV_WARNING = 0.10, 0.05
"""Largest coefficient of variation of the runs' throughput."""

MIN_SECONDS_RATIO = 0.9
"""Smallest ratio of a warm or compute run's duration to `min_seconds`: the warm-up's pace determines its epochs."""

RUN_LENGTH_MARGIN = 1.25
"""Warm and compute runs are planned to last this many times `min_seconds`, because their lengths vary."""

BACKGROUND_LOAD_LIMIT = 0.10
"""Largest share of a node's cores that other processes may keep busy before the start and during a run."""

COUNTED_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "f2fs")
"""Local, uncompressed file systems, on which the kernel's count of bytes read is known to be that of the files."""


def checks(record: Measurement) -> list[Check]:
    """All checks of a measurement."""
    cell, runs, settings = record.cell, record.runs, record.settings
    found = [
        _check("run_count", settings.runs, len(runs), len(runs) == settings.runs),
        _check("rank_count", cell.ranks, len(runs[0].ranks), all(len(run.ranks) == cell.ranks for run in runs)),
        _coverage(record),
        *_variation(record),
        _background_load(record),
        *_nodes(record),
    ]
    if cell.cache == "cold":
        worst = max(share for run in runs for share in run.page_cache_residency_max)
        found.append(_check("residency_cold", f"at most {COLD_LIMIT}", worst, worst <= COLD_LIMIT))
        found.append(_storage(record))
    else:
        found.append(_duration(record))
    if cell.cache == "warm":
        worst = min(share for run in runs for share in run.page_cache_residency_min)
        found.append(_check("residency_warm", f"at least {WARM_LIMIT}", worst, worst >= WARM_LIMIT))
    if cell.cache in ("cold", "warm") and cell.reader != "dali-gds":  # the kernel does not count what GDS reads
        found.append(_bytes_read(record))
    return [*found, *_reader(record), *_accuracy(record)]


def failures(checks: Iterable[Check], level: Level) -> str:
    """The failed checks of this level in words, each once, sorted; empty if none failed."""
    failed = (check for check in checks if not check.ok and check.level == level)
    return "; ".join(sorted({f"{check.name}: expected {check.expected}, got {check.actual}" for check in failed}))


def _check(name: str, expected: float | str, actual: float | str, ok: bool, level: Level = ERROR) -> Check:
    return Check(name=name, level=level, expected=expected, actual=actual, ok=ok)


def _coverage(record: Measurement) -> Check:
    """All ranks together read every sample exactly once per epoch in every run, as the readers reported it."""
    expected = set(record.dataset.samples)
    wrong: set[str] = set()
    for run in record.runs:
        counts: collections.Counter[str] = collections.Counter()
        for rank in run.ranks:
            counts.update(rank.samples)
        wrong |= {name for name in expected | set(counts) if counts[name] != run.epochs or name not in expected}
    first = f" (first: {min(wrong)})" if wrong else ""
    return _check("every_sample_once", "every sample once an epoch", f"{len(wrong)} samples differ{first}", not wrong)


def _variation(record: Measurement) -> list[Check]:
    cv = metrics.coefficient_of_variation(metrics.throughputs([record]))
    found = [_check("throughput_cv", f"at most {CV_LIMIT:.0%}", f"{cv:.2%}", cv <= CV_LIMIT)]
    if cv <= CV_LIMIT:  # a larger one is reported by the check above
        ok = cv <= CV_WARNING
        found.append(_check("throughput_cv_small", f"at most {CV_WARNING:.0%}", f"{cv:.2%}", ok, WARNING))
    return found


def _background_load(record: Measurement) -> Check:
    """Load before the start and in the median run; in cold runs, the kernel's own I/O threads count as others."""
    loads = {"before": record.environment.background_cpu_load}
    if record.cell.cache != "cold":
        loads["during"] = statistics.median(map(metrics.background_cpu_load, record.runs))
    return _check(
        "background_cpu_load",
        f"at most {BACKGROUND_LOAD_LIMIT:.0%} of a node's cores",
        ", ".join(f"{load:.0%} {when}" for when, load in loads.items()),
        max(loads.values()) <= BACKGROUND_LOAD_LIMIT,
    )


def _nodes(record: Measurement) -> list[Check]:
    """The nodes are of one kind: a run is as fast as the slowest of them."""
    if metrics.num_nodes(record) == 1:
        return []
    differing = metadata.differing_metadata([record])
    words = ", ".join(f"{key} ({', '.join(values)})" for key, values in differing.items())
    return [
        _check(
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
    return _check("run_seconds", f"at least {needed:.2g} s", f"{shortest:.2g} s", shortest >= needed)


def _storage(record: Measurement) -> Check:
    """A cold page cache means that the bytes came from the storage medium."""
    mounted = {(system.type, system.caveat) for system in _file_systems(record)}
    return _check(
        "storage_local",
        "a file system whose only cache is this node's page cache",
        ", ".join(": ".join(filter(None, words)) for words in sorted(mounted)),
        not any(caveat for _, caveat in mounted),
        WARNING,
    )


def _file_systems(record: Measurement) -> list[FileSystem]:
    return [node.file_system for node in record.environment.nodes]


def _bytes_read(record: Measurement) -> Check:
    """Compare the bytes that the kernel read from storage for the job's processes with the bytes of the samples."""
    size = metrics.sample_bytes(record)
    ratios = [
        sum(rank.bytes_read_from_storage for rank in run.ranks) / (metrics.run_samples(run) * size)
        for run in record.runs
    ]
    low, high = min(ratios), max(ratios)
    if record.cell.cache == "cold":
        expected = f"{COLD_READ_RATIO[0]:.0%} to {COLD_READ_RATIO[1]:.0%} of the bytes"
        ok = COLD_READ_RATIO[0] <= low and high <= COLD_READ_RATIO[1]
    else:
        expected = f"at most {WARM_READ_RATIO:.0%} of the bytes in the median run"
        ok = statistics.median(ratios) <= WARM_READ_RATIO
    counted = all(system.type in COUNTED_FILE_SYSTEMS for system in _file_systems(record))
    level: Level = ERROR if counted else WARNING
    return _check("bytes_read_from_storage", expected, f"{low:.1%} to {high:.1%}", ok, level)


def _reader(record: Measurement) -> list[Check]:
    """The reader worked as its name says: with O_DIRECT, or through nvidia-fs rather than cuFile's fallback."""
    details = [rank.reader for run in record.runs for rank in run.ranks]
    if record.cell.reader == "dali-direct":
        direct = all(detail.get("o_direct") for detail in details)
        return [_check("o_direct", True, direct, direct)]
    if record.cell.reader == "dali-gds":
        gds = all(detail.get("gds") for detail in details)
        return [_check("gpudirect_storage", "nvidia-fs", "nvidia-fs" if gds else "cuFile's compatibility mode", gds)]
    return []


def _accuracy(record: Measurement) -> list[Check]:
    """The verdicts on the engine's accuracy, one for each device."""
    return [
        _check(
            "accuracy",
            f"{verdict.min_iou_ratio:.0%} of the reference's mean IoU, {verdict.reference_mean_iou:.4f}, and "
            f"its class on {verdict.min_pixel_agreement:.1%} of the pixels",
            f"mean IoU {verdict.mean_iou:.4f} and {verdict.pixel_agreement:.2%} of the pixels"
            + ("" if sum(map(bool, verdict.iou.values())) > 1 else ", of one class at most where the labels agree"),
            verdict.passed,
        )
        for verdict in (record.engine.accuracy if record.engine else [])
    ]
