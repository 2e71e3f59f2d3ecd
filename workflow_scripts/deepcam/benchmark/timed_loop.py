"""The timed loop: one cell, one process per rank. Knows readers and engines only by their interface."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import psutil

from deepcam import machine
from deepcam.benchmark import page_cache
from deepcam.benchmark.devices import Device, Usage, open_device
from deepcam.benchmark.readers import Options, open_reader
from deepcam.errors import InputError
from deepcam.grid import NONE, Cell

if TYPE_CHECKING:  # MPI takes a second to start, which who only wants to know how long a run lasts need not wait
    from deepcam.benchmark.ranks import Ranks

MARGIN = 1.25
"""A warm-up that lasts this much longer than runs must: they differ."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How often, how long and in what order to measure."""

    warmup_runs: int
    runs: int
    min_seconds: float
    drop_caches: bool
    """Before each cold run also drop all of the kernel's caches, which takes root."""
    shuffle: str
    """Order of the samples in each pass: none as they are, rank shuffled within each rank, global over all ranks."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to measure. `files` are all data files, in order; a rank takes every `ranks`-th of them."""

    cell: Cell
    files: tuple[Path, ...]
    sample_shape: tuple[int, int, int]
    settings: Settings
    device: str = "cpu"
    """Where samples go and the engine runs: cpu or cuda:N."""
    load_engine: Callable[[], Any] | None = None
    """Called once per rank, outside the clock; the engine maps a batch (n, H, W, C) to a mask (n, H, W)."""


@dataclasses.dataclass(frozen=True)
class RankRun:
    """One rank's part of one run. Times in seconds; `batch_seconds` lie between one finished batch and the next."""

    seconds: float
    batch_seconds: list[float]
    batch_samples: list[int]
    samples: dict[str, int]
    """File name to how often it was read, as the reader reports it."""
    cpu_seconds: float
    node_cpu_utilisation: float | None
    """Share of the node's cores that were busy, with whatever; on one rank of each node, like the next."""
    other_load: float | None
    """Share of the node's cores that were busy with other processes than the job's."""
    peak_memory_bytes: int
    """Highest resident set of the rank's processes since they started, mapped files included."""
    storage_bytes: int
    """Bytes that the rank's processes had fetched from storage (read_bytes of /proc/PID/io)."""
    reader: dict[str, Any]
    device: Usage


@dataclasses.dataclass(frozen=True)
class Run:
    """One measured run of all ranks. Residency is the lowest and highest of ranks, just before the clock started."""

    passes: int
    residency_low: float
    residency_high: float
    ranks: list[RankRun]


def measure(plan: Plan, ranks: Ranks) -> list[Run] | None:
    """Warm-up runs, then measured runs. Collective: every rank calls it. The runs on rank 0, None elsewhere.

    A run is one pass over the data, each sample once. A warm or compute run makes as many passes as last
    `min_seconds`; a cold run makes one, since a second would not be cold.
    """
    draw = _order(plan, ranks)
    device = open_device(plan.device)
    engine = plan.load_engine() if plan.load_engine else None
    make_loop = _compute_loop if plan.cell.mode == "compute" else _reading_loop
    loop = make_loop(plan, device, engine)

    repeatable = plan.cell.cache != "cold" and plan.settings.min_seconds > 0
    if repeatable and plan.settings.warmup_runs == 0:
        raise InputError("warmup_runs: 0 leaves no run to learn the pace from; give at least 1, or min_seconds 0")
    for _ in range(plan.settings.warmup_runs):
        _, _, result = _run(plan, ranks, loop, draw(1))
    passes = 1
    if repeatable:
        # The first batch holds what is done once, such as choosing kernels; the median batch does not.
        seconds = ranks.allreduce_max(statistics.median(result.batch_seconds) * len(result.batch_seconds))
        needed = plan.settings.min_seconds * MARGIN
        while seconds < needed:  # more passes are faster than one: try until they last
            passes = max(passes + 1, math.ceil(passes * needed / seconds))
            _, _, result = _run(plan, ranks, loop, draw(passes))
            seconds = ranks.allreduce_max(result.seconds)

    measured = []
    for _ in range(plan.settings.runs):
        low, high, result = _run(plan, ranks, loop, draw(passes))
        gathered = ranks.gather(result)
        if gathered is not None:
            measured.append(Run(passes, low, high, gathered))
    return measured if ranks.rank == 0 else None


def _order(plan: Plan, ranks: Ranks) -> Callable[[int], tuple[Path, ...]]:
    """A function that returns this rank's files for the next passes. All ranks shuffle alike: each sample goes once."""
    together, own = random.Random(0), random.Random(ranks.rank)

    def a_pass() -> tuple[Path, ...]:
        files = together.sample(plan.files, len(plan.files)) if plan.settings.shuffle == "global" else plan.files
        mine = files[ranks.rank :: ranks.size]
        return tuple(own.sample(mine, len(mine)) if plan.settings.shuffle == "rank" else mine)

    return lambda passes: tuple(itertools.chain.from_iterable(a_pass() for _ in range(passes)))


Loop: TypeAlias = "Callable[[tuple[Path, ...], Ranks], RankRun]"


def _run(plan: Plan, ranks: Ranks, loop: Loop, files: tuple[Path, ...]) -> tuple[float, float, RankRun]:
    """One run: bring the cache into the cell's state, verify, and let all ranks start together.

    Each rank does that for what it will read: a node need not hold what only others read.
    """
    low, high = 1.0, 0.0
    if plan.cell.cache != NONE:
        ranks.barrier()  # none still reads, or has the files mapped
        own = sorted(set(files))
        if plan.cell.cache == "cold":
            page_cache.evict(own)
            if plan.settings.drop_caches and ranks.node_leader:
                page_cache.drop_all()
        else:
            page_cache.preload(own)
        low, high = ranks.allreduce_min_max(page_cache.resident_fraction(own))
    return low, high, loop(files, ranks)


def _reading_loop(plan: Plan, device: Device, engine: Any) -> Loop:
    options = Options(
        batch_size=plan.cell.local_batch_size,
        inter_threads=plan.cell.inter_threads,
        intra_threads=plan.cell.intra_threads,
        cold=plan.cell.cache == "cold",
        sample_shape=plan.sample_shape,
        device=plan.device,
    )

    def loop(files: tuple[Path, ...], ranks: Ranks) -> RankRun:
        with open_reader(plan.cell.reader, files, options) as reader:

            def steps() -> Iterable[list[str]]:
                for batch in reader:
                    if engine is not None:
                        engine(batch.array)
                    yield batch.files

            return _timed(steps(), ranks, device, reader.details, reader.processes)

    return loop


def _compute_loop(plan: Plan, device: Device, engine: Any) -> Loop:
    import numpy as np

    size = plan.cell.local_batch_size
    resident = device.to_device(np.stack([np.load(path) for path in plan.files[:size]]))

    def loop(files: tuple[Path, ...], ranks: Ranks) -> RankRun:
        def steps() -> Iterable[list[str]]:
            for start in range(0, len(files), size):
                names = [str(path) for path in files[start : start + size]]
                engine(resident[: len(names)])
                yield names

        return _timed(steps(), ranks, device, {}, ())

    return loop


def _timed(
    steps: Iterable[list[str]], ranks: Ranks, device: Device, details: dict[str, Any], helpers: Sequence[int]
) -> RankRun:
    """Iterate with the clock on, until the device is done. The barrier is last before the clock: ranks start together.

    A step is done when the device is; the host goes on to the next one meanwhile, as far as `device.in_flight` says.
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
        batch_seconds=[b - a for a, b in zip([start, *finished], finished, strict=False)],
        batch_samples=[len(files) for files in batches],
        samples=dict(counts),
        cpu_seconds=machine.cpu_seconds(processes) - cpu,
        node_cpu_utilisation=busy,
        other_load=others,
        peak_memory_bytes=sum(map(machine.peak_rss_bytes, (process.pid for process in processes))),
        storage_bytes=_storage_bytes(processes) - storage,
        reader=details,
        device=usage,
    )


def _storage_bytes(processes: Iterable[psutil.Process]) -> int:
    return sum(process.io_counters().read_bytes for process in processes)
