"""Records without the raw times of their ranks, for pages, plans and comparisons, which hold all records of a run."""

from __future__ import annotations

from typing import Any

from deepcam.record.packed import pack
from deepcam.record.run_schema import Run
from deepcam.record.schema import Record


class Compact:
    """Makes records small. What a record has in common with the one before it is in memory once.

    A record of 4,096 ranks then takes some kilobytes. In each run, one rank stands for all of them: it has the slowest
    rank's time of each part and the samples of all ranks, so that the throughput of the run stays. Its other fields
    mean nothing.
    """

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}

    def __call__(self, record: Record) -> Record:
        environment = record.environment.model_copy(
            update={name: self._shared(name, getattr(record.environment, name)) for name in ("nodes", "ranks")}
        )
        update = {
            "environment": environment,
            "dataset": self._shared("dataset", record.dataset),
            "verification": None,
            "runs": [_with_one_rank(run) for run in record.runs],
        }
        return record.model_copy(update=update)

    def _shared(self, name: str, value: Any) -> Any:
        """The value of the record before if it is equal."""
        if self._last.get(name) != value:
            self._last[name] = value
        return self._last[name]


def _with_one_rank(run: Run) -> Run:
    seconds = [max(times) for times in zip(*(rank.part_seconds for rank in run.ranks), strict=True)]
    update = {"part_seconds": seconds, "batch_samples": pack([sum(rank.num_samples for rank in run.ranks)])}
    nothing = {"batch_interval_nanoseconds": pack([]), "sample_numbers": pack([]), "sample_counts": pack([])}
    return run.model_copy(update={"ranks": [run.ranks[0].model_copy(update=update | nothing)]})
