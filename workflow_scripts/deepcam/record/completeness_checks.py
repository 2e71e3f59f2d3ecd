"""Does a record say what its validity depends on? Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from deepcam.grid import MODES, READERS
from deepcam.record.checking import WARNING, check
from deepcam.record.fields import NOT_RECORDED
from deepcam.record.schema import Check, Measurement, Record


def checks(record: Measurement) -> list[Check]:
    """The checks of fields that may be empty only in converted records, and of the lock."""
    return [*_complete(record), _machine_lock(record)]


def _complete(record: Measurement) -> Iterator[Check]:
    """Nothing is missing. A converted record has no digest, even if it was written again without names."""
    digest = record.digest if isinstance(record, Record) else None
    if record.environment.allocator == NOT_RECORDED and digest is None:
        return
    missing = next(_missing(record), None)
    yield check("record_complete", "all fields of this version", f"no {missing}" if missing else "these", not missing)


def _missing(record: Measurement) -> Iterator[str]:
    # Releases that kept no judged masks kept none of the timed batches of mode compute either.
    reads, judged = MODES[record.cell.mode].reads, record.has_judged_masks
    if (reads or judged) and record.verification is None:
        yield "verification"
    for number, run in enumerate(record.runs):
        for index, rank in enumerate(run.ranks):
            if reads and rank.delivery is None:
                yield f"delivery in run {number}, rank {index}"
            if reads and READERS[record.cell.reader].calls and rank.bytes_returned_by_reads is None:
                yield f"bytes_returned_by_reads in run {number}, rank {index}"
            if judged and rank.masks is None:
                yield f"masks in run {number}, rank {index}"
            if not rank.thread_cores:
                yield f"thread_cores in run {number}, rank {index}"


def _machine_lock(record: Measurement) -> Check:
    """No other benchmark could run on the machine. Converted records do not say."""
    covered = sorted({node.machine_lock for node in record.environment.nodes} - {"machine", NOT_RECORDED})
    return check("machine_lock", "a lock of the whole machine", ", ".join(covered) or "that", not covered, WARNING)
