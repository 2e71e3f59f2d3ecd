"""Did the bytes of cold and warm runs come from where they should? Pure functions."""

from __future__ import annotations

import collections
import statistics
from collections.abc import Iterator

from deepcam.record import metrics
from deepcam.record.checking import ERROR, WARNING, check
from deepcam.record.environment_schema import FileSystem
from deepcam.record.fields import Json
from deepcam.record.run_schema import Run
from deepcam.record.schema import Check, Measurement

COLD_READ_RATIO = (0.99, 1.1)
"""Allowed ratio of bytes read from storage to dataset bytes in a cold run; the margin covers headers and read-ahead."""

WARM_READ_RATIO = 0.01
"""Largest ratio of bytes read from storage to dataset bytes in the median warm run; libraries' own pages count too."""

ALMOST_NOTHING = 0.05
"""Ratio of bytes read from storage to dataset bytes below which a cold run did not read storage, compressed or not."""

COUNTED_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "f2fs")
"""Local, uncompressed file systems, on which the kernel's count of bytes read is known to be that of the files."""

COUNTING_FILE_SYSTEMS = (
    *COUNTED_FILE_SYSTEMS, "btrfs", "overlay", "nfs", "nfs4", "squashfs", "erofs", "jfs",
    "nilfs2", "gfs2", "ocfs2", "ntfs3", "exfat", "vfat",
)  # fmt: skip
"""File systems on which the kernel counts bytes read, possibly compressed or in larger blocks."""

BACKGROUND_LOAD_LIMIT, BACKGROUND_LOAD_ERROR = 0.10, 0.50
"""Share of the disks' traffic that other processes may have in the median cold run: more than the limit is a warning,
and more than the second one an error."""

MIN_DISK_RATIO = 0.5
"""Smallest ratio of the disks' traffic to the bytes that the job's processes read from them with O_DIRECT. Both count
the same requests, but a disk may be counted in part, for example below a driver with several paths."""

UNAVOIDABLE_BYTES = 16 << 20
"""Traffic of other processes in a run that is not counted: any system writes its journals and logs."""


def checks(record: Measurement) -> list[Check]:
    """The checks of a record's storage, and of the bytes that came from it."""
    cell = record.cell
    found = []
    if cell.cache == "cold":
        found += [_memory(record), _caches(record), *_read_limits(record)]
    if cell.reader == "dali-gds":  # cuFile counts what it reads, and the kernel does not
        return [*found, _gpudirect(record)]
    if cell.cache in ("cold", "warm"):
        found.append(_bytes_read(record))
    if cell.cache == "cold":
        found += [*_network(record), *_background_load(record), *_disk_traffic(record)]
    return found


def _file_systems(record: Measurement) -> list[FileSystem]:
    return [system for node in record.environment.nodes for system in node.file_systems]


def _memory(record: Measurement) -> Check:
    """No device below the file systems is memory, or a file in the page cache."""
    memory = sorted({system.memory_below for system in _file_systems(record)} - {""})
    return check(
        "storage_in_memory", "storage that is not memory", "; ".join(memory) or "none that is known", not memory
    )


def _caches(record: Measurement) -> Check:
    """A cold page cache means that the bytes came from the storage medium."""
    mounted = {(system.type, system.caveat) for system in _file_systems(record)}
    return check(
        "storage_local",
        "a file system whose only cache is this node's page cache",
        ", ".join(": ".join(filter(None, words)) for words in sorted(mounted)),
        not any(caveat for _, caveat in mounted),
        WARNING,
    )


def _bytes_read(record: Measurement) -> Check:
    """Compare the bytes that the kernel read from storage for the job's processes with the bytes of the samples."""
    ratios = [sum(_own_bytes(record, run).values()) / _sample_bytes(record, run) for run in record.runs]
    low, high = min(ratios), max(ratios)
    types = {system.type for system in _file_systems(record)}
    sure = types.issubset(COUNTED_FILE_SYSTEMS)
    if record.cell.cache == "cold":
        expected = f"{COLD_READ_RATIO[0]:.0%} to {COLD_READ_RATIO[1]:.0%} of the bytes"
        ok = COLD_READ_RATIO[0] <= low and high <= COLD_READ_RATIO[1]
        sure = sure or (low < ALMOST_NOTHING and types.issubset(COUNTING_FILE_SYSTEMS))
    else:
        expected = f"at most {WARM_READ_RATIO:.0%} of the bytes in the median run"
        ok = statistics.median(ratios) <= WARM_READ_RATIO
    return check("bytes_read_from_storage", expected, f"{low:.1%} to {high:.1%}", ok, ERROR if sure else WARNING)


def _own_bytes(record: Measurement, run: Run) -> dict[str, int]:
    """Node to the bytes that the kernel read from storage for the job's processes on it."""
    found: dict[str, int] = collections.Counter()
    for place, rank in metrics.places(record, run):
        found[place.node] += rank.bytes_read_from_storage
    return found


def _sample_bytes(record: Measurement, run: Run) -> float:
    return metrics.run_samples(run) * metrics.sample_bytes(record)


def _read_limits(record: Measurement) -> Iterator[Check]:
    """No control group limits how fast the job may read, so that the number is that of the storage."""
    known = {node.name: node.read_limits for node in record.environment.nodes if node.read_limits is not None}
    if known:
        limits = [f"{limit} on {name}" for name, found in known.items() for limit in found]
        yield check("read_limit", "no limit on reads from disks", ", ".join(limits) or "none", not limits, WARNING)


def _network(record: Measurement) -> Iterator[Check]:
    """The servers of network file systems delivered the bytes, if anything counts that, or says so."""
    counts = [
        [rank.network_bytes_read for rank in run.ranks if rank.network_bytes_read is not None] for run in record.runs
    ]
    uncounted = {system.type for system in _file_systems(record)} - set(COUNTING_FILE_SYSTEMS)
    if all(len(count) == metrics.num_nodes(record) for count in counts):
        ratios = [sum(count) / _sample_bytes(record, run) for count, run in zip(counts, record.runs, strict=True)]
        yield check(
            "bytes_read_from_servers",
            f"at least {COLD_READ_RATIO[0]:.0%} of the bytes",
            f"{min(ratios):.1%}",
            min(ratios) >= COLD_READ_RATIO[0],
        )
    elif uncounted:
        yield check(
            "reads_not_proved",
            "a counter of the bytes that storage delivered",
            f"no visible counter for {', '.join(sorted(uncounted))}",
            False,
            WARNING,
        )


def _background_load(record: Measurement) -> Iterator[Check]:
    """Other processes' share of the disks' traffic in the median run, if it was measured."""
    if all(rank.disk_bytes is None for run in record.runs for rank in run.ranks):
        return
    share = statistics.median(_background_share(record, run) for run in record.runs)
    if share > BACKGROUND_LOAD_ERROR:
        expected = f"at most {BACKGROUND_LOAD_ERROR:.0%} of the disks' traffic"
        yield check("background_storage_load", expected, f"{share:.0%}", False)
    else:
        expected = f"at most {BACKGROUND_LOAD_LIMIT:.0%} of the disks' traffic"
        ok = share <= BACKGROUND_LOAD_LIMIT
        yield check("background_storage_load_small", expected, f"{share:.0%}", ok, WARNING)


def _disk_traffic(record: Measurement) -> Iterator[Check]:
    """The disks below a local file system delivered what the job read with O_DIRECT."""
    direct = all(rank.reader.get("o_direct") is True for run in record.runs for rank in run.ranks)
    if not direct or any(system.type not in COUNTED_FILE_SYSTEMS for system in _file_systems(record)):
        return
    ratios = []
    for run in record.runs:
        own = _own_bytes(record, run)
        for place, rank in metrics.places(record, run):
            if rank.disk_bytes is not None and own[place.node]:
                ratios.append(rank.disk_bytes / own[place.node])
    if ratios:
        expected = f"at least {MIN_DISK_RATIO:.0%} of the job's bytes in the disks' traffic"
        low = min(ratios)
        yield check("disk_traffic", expected, f"{low:.0%}", low >= MIN_DISK_RATIO, WARNING)


def _background_share(record: Measurement, run: Run) -> float:
    """On the node where it was largest, 0 to 1."""
    own = _own_bytes(record, run)
    shares = [0.0]
    for place, rank in metrics.places(record, run):
        others = (rank.disk_bytes or 0) - own[place.node]
        if rank.disk_bytes and others > UNAVOIDABLE_BYTES:
            shares.append(others / rank.disk_bytes)
    return max(shares)


def _gpudirect(record: Measurement) -> Check:
    """By cuFile's own counts, all reads of every rank bypassed host memory, through nvidia-fs or PCI P2PDMA."""
    counted = [rank.reader.get("cufile_reads") for run in record.runs for rank in run.ranks]
    proved = all(_bypassed_host_memory(counts) for counts in counted)
    worst = next((counts for counts in counted if not _bypassed_host_memory(counts)), counted[-1])
    actual = (
        ", ".join(f"{kind} {count}" for kind, count in worst.items()) if isinstance(worst, dict) else "not recorded"
    )
    return check("gpudirect_storage", "reads through nvidia-fs or PCI P2PDMA only", actual, proved)


def _bypassed_host_memory(counts: Json) -> bool:
    """Whether reads were counted, and none of another kind than those two."""
    if not isinstance(counts, dict):
        return False
    return any(counts.values()) and not any(counts[kind] for kind in counts.keys() - {"nvidia_fs", "p2pdma"})
