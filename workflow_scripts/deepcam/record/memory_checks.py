"""Whether computing kept its memory, or gave it back to the kernel and mapped it again with every batch."""

from __future__ import annotations

import statistics

from deepcam.record import metrics
from deepcam.record.checking import WARNING, check
from deepcam.record.schema import Check, Measurement

PAGE_FAULT_LIMIT = 1000
"""Page faults a batch in mode compute. With memory that stays in the process there are fewer than ten; without, there
were 30,000 to 130,000, and engines ran up to 1.8 times as long."""


def checks(record: Measurement) -> list[Check]:
    """The check of page faults in mode compute; none for records that did not count them."""
    counts = [metrics.page_faults_per_batch(run) for run in record.runs]
    known = [count for count in counts if count is not None]
    if record.cell.mode != "compute" or not known:
        return []
    faults = statistics.median(known)
    return [
        check(
            name="page_faults",
            level=WARNING,
            expected=f"at most {PAGE_FAULT_LIMIT:,} page faults a batch",
            actual=f"{faults:,.0f}",
            ok=faults <= PAGE_FAULT_LIMIT,
        )
    ]
