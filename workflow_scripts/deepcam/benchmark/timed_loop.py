"""The timed loop: one configuration, one process per rank. It knows readers and engines by their interface only."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import psutil

from deepcam import machine
from deepcam.benchmark import page_cache
from deepcam.benchmark.devices import Device, open_device
from deepcam.benchmark.readers import Options, Reader, open_reader
from deepcam.errors import InputError
from deepcam.grid import NONE, Cell
from deepcam.record.schema import RankRun, Run, Settings
from deepcam.record.validity import RUN_LENGTH_MARGIN

if TYPE_CHECKING:  # loading MPI takes about 1 s, and the planner does not need it
    from deepcam.benchmark.ranks import Ranks


@dataclasses.dataclass(frozen=True)
class Workload:
    """What to measure. `files` are all data files, in order; a rank takes every `ranks`-th of them."""

    cell: Cell
    files: tuple[Path, ...]
    sample_shape: tuple[int, int, int]
    settings: Settings
    device: str = "cpu"
    """Where samples go and the engine runs: cpu or cuda:N."""
    load_engine: Callable[[], Any] | None = None
    """Called once per rank, outside the clock; the engine maps a batch (n, H, W, C) to a mask (n, H, W)."""


def measure(workload: Workload, ranks: Ranks) -> list[Run] | None:
    """Warm-up runs, then measured runs. Collective: every rank calls it. Returns the runs on rank 0, None elsewhere.

    An epoch reads each sample once. A cold run is one epoch, since a second one would not be cold. A warm or compute
    run has as many epochs as it takes to last `min_seconds`.
    """
    order = _SampleOrder(workload, ranks)
    device = open_device(workload.device)
    engine = workload.load_engine() if workload.load_engine else None
    make_loop = _ComputeLoop if workload.cell.mode == "compute" else _ReadingLoop
    loop = make_loop(workload, device, engine)

    settings = workload.settings
    repeatable = workload.cell.cache != "cold" and settings.min_seconds > 0
    if repeatable and settings.warmup_runs == 0:
        raise InputError(
            "warmup_runs: must be at least 1 unless min_seconds is 0, because warm-up runs determine the number "
            "of epochs"
        )
    for _ in range(settings.warmup_runs):
        _, _, result = _run(workload, ranks, loop, order.files(1))
    epochs = 1
    if repeatable:
        # The first batch includes one-time work, such as the choice of kernels; the median batch does not.
        intervals = result.batch_interval_seconds
        seconds = ranks.allreduce_max(statistics.median(intervals) * len(intervals))
        needed = settings.min_seconds * RUN_LENGTH_MARGIN
        while seconds < needed:  # an epoch of a long run takes less time than a single one, so try until it lasts
            epochs = max(epochs + 1, math.ceil(epochs * needed / seconds))
            _, _, result = _run(workload, ranks, loop, order.files(epochs))
            seconds = ranks.allreduce_max(result.seconds)

    measured = []
    for _ in range(settings.runs):
        low, high, result = _run(workload, ranks, loop, order.files(epochs))
        gathered = ranks.gather(result)
        if gathered is not None:
            measured.append(
                Run(epochs=epochs, page_cache_residency_min=low, page_cache_residency_max=high, ranks=gathered)
            )
    return measured if ranks.rank == 0 else None


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


Loop: TypeAlias = "Callable[[tuple[Path, ...], Ranks], RankRun]"
"""Works through a rank's files with the clock on."""


def _run(workload: Workload, ranks: Ranks, loop: Loop, files: tuple[Path, ...]) -> tuple[float, float, RankRun]:
    """One run: bring the page cache into the state that the cell asks for, verify it, and run `loop` on `files`.

    Returns the lowest and highest residency of all ranks, and this rank's result. Each rank prepares only the files
    that it will read: a node's memory need not hold what other nodes read.
    """
    low, high = 1.0, 0.0
    if workload.cell.cache != NONE:
        ranks.barrier()  # no rank still reads the files or has them mapped
        own = sorted(set(files))
        if workload.cell.cache == "cold":
            page_cache.evict(own)
            if workload.settings.drop_caches and ranks.node_leader:
                page_cache.drop_all()
        else:
            page_cache.preload(own)
        low, high = ranks.allreduce_min_max(page_cache.resident_fraction(own))
    return low, high, loop(files, ranks)


class _ReadingLoop:
    """Reads samples and, with an engine, computes on each batch."""

    def __init__(self, workload: Workload, device: Device, engine: Any) -> None:
        self._device, self._engine, self._reader = device, engine, workload.cell.reader
        self._options = Options(
            batch_size=workload.cell.local_batch_size,
            inter_threads=workload.cell.inter_threads,
            intra_threads=workload.cell.intra_threads,
            cold=workload.cell.cache == "cold",
            sample_shape=workload.sample_shape,
            device=workload.device,
        )

    def __call__(self, files: tuple[Path, ...], ranks: Ranks) -> RankRun:
        with open_reader(self._reader, files, self._options) as reader:
            return _timed(self._steps(reader), ranks, self._device, reader.details, reader.processes)

    def _steps(self, reader: Reader) -> Iterator[list[str]]:
        engine = self._engine
        for batch in reader:
            if engine is not None:
                engine(batch.array)
            yield batch.files


class _ComputeLoop:
    """Computes on one batch that stays in the device's memory, as often as the files fill batches."""

    def __init__(self, workload: Workload, device: Device, engine: Any) -> None:
        self._device, self._engine, self._size = device, engine, workload.cell.local_batch_size
        self._batch = device.to_device(np.stack([np.load(path) for path in workload.files[: self._size]]))

    def __call__(self, files: tuple[Path, ...], ranks: Ranks) -> RankRun:
        return _timed(self._steps(files), ranks, self._device, {}, ())

    def _steps(self, files: tuple[Path, ...]) -> Iterator[list[str]]:
        engine, batch, size = self._engine, self._batch, self._size
        for start in range(0, len(files), size):
            names = [str(path) for path in files[start : start + size]]
            engine(batch[: len(names)])
            yield names


def _timed(
    steps: Iterable[list[str]], ranks: Ranks, device: Device, details: dict[str, Any], helpers: Sequence[int]
) -> RankRun:
    """Iterate over `steps` with the clock on, until the device is done.

    The barrier comes last before the clock starts, so that all ranks start together. A step is done when the device
    is; meanwhile the host goes on with up to `device.in_flight` steps. `helpers` are the reader's other processes.
    """
    finished: list[float] = []
    batches: list[list[str]] = []
    queued: collections.deque[Callable[[], None]] = collections.deque()
    processes = [psutil.Process(), *(psutil.Process(helper) for helper in helpers)]
    storage, cpu = _storage_bytes(processes), machine.cpu_seconds(processes)
    on_node = ranks.allgather_on_node([process.pid for process in processes])
    node_cpu = machine.start_cpu_meter(on_node) if ranks.node_leader else lambda: (None, None)
    meter = device.start_metering()
    ranks.barrier()
    start = time.perf_counter()
    for files in steps:
        batches.append(files)
        queued.append(device.record_event())
        while len(queued) > device.in_flight:
            queued.popleft()()
            finished.append(time.perf_counter())
    for done in queued:
        done()
        finished.append(time.perf_counter())
    end = time.perf_counter()
    usage = meter()
    busy, others = node_cpu()
    counts = collections.Counter(os.path.basename(name) for files in batches for name in files)
    return RankRun(
        seconds=end - start,
        batch_interval_seconds=[b - a for a, b in zip([start, *finished], finished, strict=False)],
        batch_samples=[len(files) for files in batches],
        samples=dict(counts),
        cpu_seconds=machine.cpu_seconds(processes) - cpu,
        node_cpu_utilisation=busy,
        background_cpu_load=others,
        peak_rss_bytes=sum(map(machine.peak_rss_bytes, (process.pid for process in processes))),
        bytes_read_from_storage=_storage_bytes(processes) - storage,
        reader=details,
        device=usage,
    )


def _storage_bytes(processes: Iterable[psutil.Process]) -> int:
    """Bytes that the kernel has read from storage for these processes (read_bytes of /proc/PID/io)."""
    return sum(process.io_counters().read_bytes for process in processes)
