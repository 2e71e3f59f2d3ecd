"""Can a record's numbers be trusted? Pure functions over records: each check says what it expected and what it got."""

from __future__ import annotations

import collections
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from deepcam.record import metadata, metrics
from deepcam.record.metrics import Record

ERROR, WARNING = "error", "warning"
"""Levels of a check: an error makes the record invalid, a warning is to be read beside its numbers."""

COLD_LIMIT, WARM_LIMIT = 0.01, 0.99
"""Largest resident fraction of the files that counts as cold, smallest that counts as warm."""

FETCHED_COLD = (0.99, 1.1)
"""A cold run fetches its bytes from storage, once; the rest is room for headers and read-ahead."""

FETCHED_WARM = 0.01
"""Largest fraction of its bytes that the median warm run may fetch from storage; libraries have pages to fetch too."""

SPREAD_LIMIT, SPREAD_WARNING = 0.10, 0.05
"""Standard deviation over mean of the runs."""

SHORTEST = 0.9
"""Smallest fraction of `min_seconds` that a warm or compute run may last: its passes follow from the warm-up's pace."""

RUN_LENGTH_MARGIN = 1.25
"""Warm and compute runs are planned to last this many times `min_seconds`, because their lengths vary."""

OTHER_LOAD_LIMIT = 0.10
"""Largest fraction of a node's cores that other processes may keep busy before the start, and during a run."""

COUNTED_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "f2fs")
"""Where the kernel's count of fetched bytes is known to be that of the files: local and not compressed."""


def check(name: str, expected: Any, actual: Any, ok: bool, level: str = ERROR) -> dict[str, Any]:
    """One validity check as it stands in a record."""
    return {"name": name, "level": level, "expected": expected, "actual": actual, "ok": bool(ok)}


def checks(record: Record) -> list[dict[str, Any]]:
    """All checks of a record that has `cell`, `settings`, `dataset`, `engine`, `environment` and `runs`."""
    cell, runs, settings = record["cell"], record["runs"], record["settings"]
    found = [
        check("run_count", settings["runs"], len(runs), len(runs) == settings["runs"]),
        check("rank_count", cell["ranks"], len(runs[0]["ranks"]), all(len(r["ranks"]) == cell["ranks"] for r in runs)),
        _coverage(record),
        *_spread(record),
        _other_load(record),
        *_nodes(record),
    ]
    if cell["cache"] == "cold":
        worst = max(run["residency_high"] for run in runs)
        found.append(check("residency_cold", f"at most {COLD_LIMIT}", worst, worst <= COLD_LIMIT))
        found.append(_storage(record))
    else:
        found.append(_length(record))
    if cell["cache"] == "warm":
        worst = min(run["residency_low"] for run in runs)
        found.append(check("residency_warm", f"at least {WARM_LIMIT}", worst, worst >= WARM_LIMIT))
    if cell["cache"] in ("cold", "warm") and cell["reader"] != "dali-gds":  # the kernel does not count what GDS fetches
        found.append(_fetched(record))
    return [*found, *_reader(record), *_accuracy(record)]


def failures(records: Iterable[Record], level: str) -> str:
    """The failed checks of this level in words, each once, sorted; empty where none failed."""
    failed = (c for record in records for c in record["checks"] if not c["ok"] and c["level"] == level)
    return "; ".join(sorted({f"{c['name']}: expected {c['expected']}, got {c['actual']}" for c in failed}))


def _coverage(record: Record) -> dict[str, Any]:
    """Every sample exactly once per pass over all ranks, in every run: proven by what the readers reported."""
    expected = set(record["dataset"]["samples"])
    wrong: set[str] = set()
    for run in record["runs"]:
        counts: collections.Counter[str] = collections.Counter()
        for rank in run["ranks"]:
            counts.update(rank["samples"])
        wrong |= {name for name in expected | set(counts) if counts[name] != run["passes"] or name not in expected}
    first = f" (first: {min(wrong)})" if wrong else ""
    return check("samples_once", "every sample once a pass", f"{len(wrong)} samples differ{first}", not wrong)


def _spread(record: Record) -> list[dict[str, Any]]:
    spread = metrics.spread(metrics.throughputs([record]))
    found = [check("spread", f"at most {SPREAD_LIMIT:.0%}", f"{spread:.2%}", spread <= SPREAD_LIMIT)]
    if spread <= SPREAD_LIMIT:  # else it is said already
        ok = spread <= SPREAD_WARNING
        found.append(check("spread_small", f"at most {SPREAD_WARNING:.0%}", f"{spread:.2%}", ok, WARNING))
    return found


def _other_load(record: Record) -> dict[str, Any]:
    """Before the start, and in the median run; not in cold runs, where others are also the kernel's threads of IO."""
    loads = {"before": record["environment"]["other_load"]}
    if record["cell"]["cache"] != "cold":
        loads["during"] = statistics.median(map(metrics.other_load, record["runs"]))
    return check(
        "other_load",
        f"at most {OTHER_LOAD_LIMIT:.0%} of a node's cores",
        ", ".join(f"{load:.0%} {when}" for when, load in loads.items()),
        max(loads.values()) <= OTHER_LOAD_LIMIT,
    )


def _nodes(record: Record) -> list[dict[str, Any]]:
    """Whether the nodes are of one kind: a run is as fast as the slowest of them."""
    if metrics.nodes(record) == 1:
        return []
    unlike = metadata.unlike([record])
    differ = ", ".join(f"{key} ({', '.join(values)})" for key, values in unlike.items())
    return [
        check(
            "nodes_alike",
            "nodes of one kind",
            f"differences in {differ}" if unlike else "one kind",
            not unlike,
            WARNING,
        )
    ]


def _length(record: Record) -> dict[str, Any]:
    needed = record["settings"]["min_seconds"] * SHORTEST
    shortest = min(map(metrics.run_seconds, record["runs"]))
    return check("run_seconds", f"at least {needed:.2g} s", f"{shortest:.2g} s", shortest >= needed)


def _storage(record: Record) -> dict[str, Any]:
    """Whether a cold page cache means that the bytes came from the medium."""
    mounted = {(system["type"], system["caveat"]) for system in _file_systems(record)}
    return check(
        "storage_local",
        "a file system whose only cache is this node's page cache",
        ", ".join(": ".join(filter(None, words)) for words in sorted(mounted)),
        not any(caveat for _, caveat in mounted),
        WARNING,
    )


def _file_systems(record: Record) -> list[Mapping[str, Any]]:
    return [node["file_system"] for node in record["environment"]["nodes"]]


def _fetched(record: Record) -> dict[str, Any]:
    """Bytes that the job's processes had fetched from storage (/proc/PID/io) beside the bytes that they read."""
    size = metrics.sample_bytes(record)
    ratios = [
        sum(rank["storage_bytes"] for rank in run["ranks"]) / (metrics.run_samples(run) * size)
        for run in record["runs"]
    ]
    low, high = min(ratios), max(ratios)
    if record["cell"]["cache"] == "cold":
        expected = f"{FETCHED_COLD[0]:.0%} to {FETCHED_COLD[1]:.0%} of the bytes"
        ok = FETCHED_COLD[0] <= low and high <= FETCHED_COLD[1]
    else:
        expected = f"at most {FETCHED_WARM:.0%} of the bytes in the median run"
        ok = statistics.median(ratios) <= FETCHED_WARM
    counted = all(system["type"] in COUNTED_FILE_SYSTEMS for system in _file_systems(record))
    return check("fetched_from_storage", expected, f"{low:.1%} to {high:.1%}", ok, ERROR if counted else WARNING)


def _reader(record: Record) -> list[dict[str, Any]]:
    """The reader read as its name says: O_DIRECT was not refused, GPUDirect Storage is no compatibility mode."""
    details = [rank["reader"] for run in record["runs"] for rank in run["ranks"]]
    if record["cell"]["reader"] == "dali-direct":
        direct = all(detail.get("o_direct") for detail in details)
        return [check("o_direct", True, direct, direct)]
    if record["cell"]["reader"] == "dali-gds":
        gds = all(detail.get("gds") for detail in details)
        return [check("gpudirect_storage", "nvidia-fs", "nvidia-fs" if gds else "cuFile's compatibility mode", gds)]
    return []


def _accuracy(record: Record) -> list[dict[str, Any]]:
    """The accuracy gate's verdicts on the engine, one per device."""
    verdicts: list[Mapping[str, Any]] = record["engine"]["accuracy"] if record["engine"] else []
    return [
        check(
            "accuracy",
            f"{verdict['min_iou_ratio']:.0%} of the reference's mean IoU, {verdict['reference_mean_iou']:.4f}, and "
            f"{verdict['min_agreement']:.1%} of its pixels",
            f"mean IoU {verdict['mean_iou']:.4f} and {verdict['agreement']:.2%} of the pixels",
            verdict["passed"],
        )
        for verdict in verdicts
    ]
