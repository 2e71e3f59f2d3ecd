"""The runs of a start: warm-up, calibration of their length, and the runs that count."""

from __future__ import annotations

import dataclasses
import itertools
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from deepcam.benchmark import judged_comparison, page_cache
from deepcam.benchmark.calibration import RunLength
from deepcam.benchmark.delivery import Evidence, FullEvidence
from deepcam.benchmark.devices import Device, open_device
from deepcam.benchmark.joined_parts import joined
from deepcam.benchmark.ranks import Ranks
from deepcam.benchmark.storage_meter import StorageMeter
from deepcam.benchmark.timed_evidence import TimedEvidence
from deepcam.benchmark.timed_loop import ComputeLoop, Part, ReadingLoop, Workload
from deepcam.grid import MODES
from deepcam.record.delivery_schema import MaskComparison, Verification
from deepcam.record.run_schema import Run

MOST_CORRECTIONS = 3
"""How many runs that should count are repeated with more work because they were too short."""

MASK_TIME_SHARE = 0.1
"""Share of the time of timed passes in which masks are made again to compare them, for one batch at least."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """The runs that count, and what each rank verified in a pass that does not count."""

    runs: list[Run]
    verification: list[Verification]


def measure(workload: Workload, ranks: Ranks) -> Measured | None:
    """Warm-up runs, then the runs that count. Collective: every rank calls it. Returns them on rank 0, None elsewhere.

    A run that counts lasts at least `min_seconds`, unless MOST_CORRECTIONS longer ones did not; then the check
    `run_seconds` judges it. A cold run repeats one epoch, with eviction before each, until
    reading has taken that long. Other runs have as many epochs, or in mode compute as many batches, as whole runs have
    shown to take that long. After a warm-up, a run in which a batch size occurs for the first time does not count: it
    includes one-time work, such as the choice of kernels.

    The pass in which the samples are verified is the first of the warm-up, or, without a warm-up, one after the runs.
    """
    settings = workload.settings
    runs = _Runs(workload, ranks)
    length = RunLength(settings.min_seconds, workload.run_length or 1)
    for number in range(settings.warmup_runs):
        runs.run(length.amount, settings.min_seconds, verify=number == 0)
    calibrated = workload.cell.cache == "cold" or workload.run_length is not None
    measured: list[Run] = []
    corrections = 0
    while len(measured) < settings.runs:
        run, seconds, new_batch_size = runs.run(length.amount, settings.min_seconds)
        if new_batch_size and settings.warmup_runs:
            continue
        long_enough = length.suffices(seconds)
        if not calibrated:
            calibrated = long_enough
        elif long_enough or corrections == MOST_CORRECTIONS:
            measured.append(run)
        else:
            corrections += 1
    verification = runs.verification()
    return Measured(measured, verification) if verification else None


class _Runs:
    """Makes runs of a workload. All of its methods are collective."""

    def __init__(self, workload: Workload, ranks: Ranks) -> None:
        device = open_device(workload.device)
        engine = workload.load_engine() if workload.load_engine else None
        reads = MODES[workload.cell.mode].reads
        self._part = (_ReadingPart if reads else _ComputingPart)(workload, ranks, device, engine)
        self._cold, self._ranks = workload.cell.cache == "cold", ranks
        self._batch_sizes: set[int] = set()
        self._numbers = {path.name: number for number, path in enumerate(workload.files)}

    def run(self, amount: int, min_seconds: float, verify: bool = False) -> tuple[Run | None, float, bool]:
        """One run with this number of epochs or batches; a cold one has epochs until it lasts `min_seconds`.

        With `verify`, the samples of its first epoch are verified, which takes time, so the run must not count.
        Returns the run, which is None on all ranks but rank 0, its duration in seconds, and whether any rank had a
        batch of a size that it had not had before.
        """
        parts: list[Part] = []
        residency: list[tuple[float, float]] = []
        seconds = 0.0
        while not parts or (self._cold and seconds < min_seconds):
            part, resident = self._part(1 if self._cold else amount, verify and not parts)
            parts.append(part)
            residency.append(resident)
            seconds += self._ranks.allreduce_max(part.seconds)
        sizes = {size for part in parts for size in part.batch_samples}
        new_batch_size = bool(self._ranks.allreduce_max(not sizes <= self._batch_sizes))
        self._batch_sizes |= sizes
        gathered = self._ranks.gather_models(joined(parts, self._numbers))
        if gathered is None:
            return None, seconds, new_batch_size
        lowest, highest = zip(*residency, strict=True)
        run = Run(
            epochs=self._part.epochs(len(parts) if self._cold else amount),
            page_cache_residency_min=list(lowest),
            page_cache_residency_max=list(highest),
            ranks=gathered,
        )
        return run, seconds, new_batch_size

    def verification(self) -> list[Verification] | None:
        """What each rank verified, on rank 0; None elsewhere."""
        return self._ranks.gather_models(self._part.verified())


class _ReadingPart:
    """A part of a run that reads: it starts with the page cache in the state that the cell asks for.

    Each rank prepares only the files that it will read: a node's memory need not hold what other nodes read.
    """

    def __init__(self, workload: Workload, ranks: Ranks, device: Device, engine: Any) -> None:
        self._workload, self._ranks, self._device, self._engine = workload, ranks, device, engine
        self._verification: Verification | None = None
        self._order = _SampleOrder(workload, ranks)
        self._loop = ReadingLoop(workload, device, engine)
        self._storage = StorageMeter(workload.files) if ranks.node_leader else None
        self._evict_first = True
        self._mask_seconds = 0.0
        self._known_masks: dict[str, np.ndarray] = {}

    def __call__(self, epochs: int, verify: bool = False) -> tuple[Part, tuple[float, float]]:
        """The part, and the lowest and highest residency of all ranks just before it.

        With `verify`, the samples of the first epoch and their masks are compared thoroughly, which takes time.
        """
        files = self._order.files(epochs)
        own = sorted(set(files))
        self._ranks.barrier()  # no rank still reads the files or has them mapped
        cold = self._workload.cell.cache == "cold"
        if cold or self._evict_first:
            page_cache.evict(own)
        if cold and self._workload.settings.drop_caches and self._ranks.node_leader:
            page_cache.drop_all()
        resident = page_cache.resident_fraction(own)
        if not cold and (self._evict_first or resident < 1):
            # What is left of another start would keep its place in memory, on which the speed of reading depends.
            page_cache.preload(own)
            self._evict_first = False
            resident = page_cache.resident_fraction(own)
        residency = self._ranks.allreduce_min_max(resident)
        cell, shape = self._workload.cell, self._workload.sample_shape
        infers = MODES[cell.mode].infers
        if not verify:
            timed = TimedEvidence(files, shape, self._device, infers)
            part = self._read(files, timed)
            masks = self._timed_masks(timed, part.seconds) if infers else None
            return dataclasses.replace(part, masks=masks), residency
        evidence = FullEvidence(files, epochs, shape, cell.local_batch_size, self._workload.first_start)
        part = self._read(files, evidence)
        masks = evidence.masks(self._engine, self._device) if infers else None
        self._known_masks = evidence.masks_by_file()
        judged = judged_comparison.compare(
            self._workload, self._known_masks, self._ranks.rank, self._engine, self._device
        )
        self._verification = Verification(delivery=part.delivery, masks=masks, judged_masks=judged)
        return part, residency

    def _read(self, files: tuple[Path, ...], evidence: Evidence) -> Part:
        """Read with the clock on. The samples are compared afterwards, before a rank evicts or loads files again."""
        storage = self._storage.start() if self._storage else None
        part = self._loop(files, self._ranks, evidence)
        self._ranks.barrier()  # all ranks have read their files
        if storage:
            part = dataclasses.replace(part, storage=storage())
        return dataclasses.replace(part, delivery=evidence.delivery(part.bytes_returned_by_reads))

    def _timed_masks(self, evidence: TimedEvidence, seconds: float) -> MaskComparison:
        """Compare masks of a part, which took `seconds`, unless earlier parts have used up the time for this."""
        self._mask_seconds += MASK_TIME_SHARE * seconds
        start = time.perf_counter()
        found = evidence.masks(self._engine, self._mask_seconds, self._known_masks)
        self._mask_seconds -= time.perf_counter() - start
        return found

    def verified(self) -> Verification:
        """What was verified. Makes the pass if there was none."""
        if self._verification is None:
            self(1, verify=True)
        return cast(Verification, self._verification)

    def epochs(self, amount: int) -> int:
        return amount


class _ComputingPart:
    """A run of mode compute, which reads nothing."""

    def __init__(self, workload: Workload, ranks: Ranks, device: Device, engine: Any) -> None:
        self._workload, self._ranks = workload, ranks
        self._device, self._engine = device, engine
        self._loop = ComputeLoop(workload, device, engine)

    def __call__(self, batches: int, verify: bool = False) -> tuple[Part, tuple[float, float]]:
        return self._loop(batches, self._ranks), (0.0, 0.0)

    def verified(self) -> Verification:
        """Compare masks after the runs."""
        judged = judged_comparison.compare(
            self._workload, self._loop.masks_by_file(), self._ranks.rank, self._engine, self._device
        )
        return Verification(delivery=None, masks=self._loop.masks(), judged_masks=judged)

    def epochs(self, amount: int) -> int:
        return 0


class _SampleOrder:
    """Which files a rank reads next. All ranks shuffle alike, so that together they read each sample once."""

    def __init__(self, workload: Workload, ranks: Ranks) -> None:
        self._all = workload.files
        self._shuffle = workload.settings.shuffle
        self._rank, self._size = ranks.rank, ranks.size
        self._common, self._own = random.Random(0), random.Random(ranks.rank)

    def files(self, epochs: int) -> tuple[Path, ...]:
        """This rank's files for the next epochs."""
        return tuple(itertools.chain.from_iterable(self._epoch() for _ in range(epochs)))

    def _epoch(self) -> Sequence[Path]:
        files = self._common.sample(self._all, len(self._all)) if self._shuffle == "global" else self._all
        own = files[self._rank :: self._size]
        return self._own.sample(own, len(own)) if self._shuffle == "rank" else own
