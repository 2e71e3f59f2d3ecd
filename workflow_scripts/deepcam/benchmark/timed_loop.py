"""The timed loop: it works through batches with the clock on. It knows readers and engines by their interface only."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepcam import machine, machine_topology
from deepcam.benchmark.delivery import Evidence, load, mask_of
from deepcam.benchmark.devices import Device
from deepcam.benchmark.ranks import Ranks
from deepcam.benchmark.readers import Options, Reader, open_reader
from deepcam.benchmark.storage_meter import UNKNOWN, StorageBytes
from deepcam.benchmark.timed_evidence import ResidentEvidence
from deepcam.grid import Cell
from deepcam.record.delivery_schema import Delivery, MaskComparison
from deepcam.record.run_schema import DeviceUsage
from deepcam.record.schema import Settings


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
    run_length: int | None = None
    """Epochs of a run that is not cold, in mode compute batches, if an earlier start has found the number."""
    first_start: bool = True
    """True in the first start of the configuration, in which more is verified."""
    judged_masks: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """Masks (H, W) by file name of the sample, as the accuracy check judged them; empty if nothing was judged."""


@dataclasses.dataclass(frozen=True)
class Part:
    """What one rank measured while the clock was on. The fields are those of `RankRun`, of one part of a run."""

    seconds: float
    batch_interval_nanoseconds: list[int]
    batch_samples: list[int]
    samples: collections.Counter[str]
    """File name to how often the reader reported it as read."""
    cpu_seconds: float
    node: machine.CpuTime | None
    """How the cores of the rank's node were used; None on ranks that do not lead their node."""
    thread_cores: frozenset[str]
    peak_rss_bytes: int
    page_faults: int
    """Of this process."""
    bytes_read_from_storage: int
    reader: dict[str, Any]
    device: DeviceUsage
    bytes_returned_by_reads: int
    """What read calls of the rank's processes returned, from storage or from memory."""
    delivery: Delivery | None = None
    """How the samples compare with the files; None before they are compared, and in mode compute."""
    masks: MaskComparison | None = None
    """How masks compare with others of the same samples; None if none were compared."""
    storage: StorageBytes = UNKNOWN
    """What the storage of the rank's node delivered; unknown on ranks that do not lead their node."""


class ReadingLoop:
    """Reads samples, keeps evidence of what was read, and, with an engine, computes on each batch."""

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

    def __call__(self, files: tuple[Path, ...], ranks: Ranks, evidence: Evidence) -> Part:
        with open_reader(self._reader, files, self._options) as reader:
            return _timed(self._steps(reader, evidence), ranks, self._device, reader.details, reader.processes)

    def _steps(self, reader: Reader, evidence: Evidence) -> Iterator[list[str]]:
        engine = self._engine
        for batch in reader:
            evidence.keep(batch)
            if engine is not None:
                evidence.keep_mask(batch, engine(batch.array))
            yield batch.files


class ComputeLoop:
    """Computes on one batch that stays in the device's memory. No file is read, so the steps name none."""

    def __init__(self, workload: Workload, device: Device, engine: Any) -> None:
        self._device, self._engine, self._size = device, engine, workload.cell.local_batch_size
        names = [str(path) for path in workload.files[: self._size + 1]]
        self._names = names[: self._size]
        # All samples but the first change their places. If there is one in a batch, it is another one.
        self._batch, self._other_names = device.to_device(load(self._names)), names[1:] + names[:1]

    def __call__(self, batches: int, ranks: Ranks) -> Part:
        evidence = ResidentEvidence(batches, tuple(self._batch.shape[:3]), self._device)
        part = _timed(self._steps(batches, evidence), ranks, self._device, {}, ())
        return dataclasses.replace(part, masks=evidence.masks(self._first_mask))

    @functools.cached_property
    def _first_mask(self) -> np.ndarray:
        """The mask that the others are compared with, made outside the clock."""
        return self._mask(self._batch)

    def masks(self) -> MaskComparison:
        """Compare masks of the batch with those of a batch that has the same samples at other places.

        Raises ValueError if the engine returns something else than a mask.
        """
        other = self._device.to_device(load(self._other_names[: self._size]))
        first, moved, again = self._first_mask, self._mask(other), self._mask(self._batch)
        common = self._size - 1
        differing = np.count_nonzero(first != again) + np.count_nonzero(first[1:] != moved[:common])
        return MaskComparison(
            samples=self._size + common,
            pixels=first.size + first[1:].size,
            differing_pixels=int(differing),
        )

    def masks_by_file(self) -> dict[str, np.ndarray]:
        """The masks (H, W) of the batch that stays in memory."""
        return dict(zip(self._names, self._first_mask, strict=True))

    def _mask(self, batch: Any) -> np.ndarray:
        return mask_of(self._engine, batch, self._device).copy()

    def _steps(self, batches: int, evidence: ResidentEvidence) -> Iterator[list[str]]:
        engine, batch, names = self._engine, self._batch, [""] * self._size
        for _ in range(batches):
            evidence.keep_mask(engine(batch))
            yield names


def _timed(
    steps: Iterable[list[str]], ranks: Ranks, device: Device, details: dict[str, Any], helpers: Sequence[int]
) -> Part:
    """Iterate over `steps` with the clock on, until the device is done.

    The barrier comes last before the clock starts, so that all ranks start together. A step is done when the device
    is; meanwhile the host goes on with up to `device.in_flight` steps. `helpers` are the reader's other processes.
    """
    finished: list[int] = []
    batches: list[list[str]] = []
    queued: collections.deque[Callable[[], None]] = collections.deque()
    processes = [os.getpid(), *helpers]
    # Before and after: some readers' threads start with the clock, others end before it.
    thread_cores = machine_topology.thread_affinities(processes)
    node = ranks.start_cpu_meter(processes)
    meter = device.start_metering()
    storage, returned = _storage_bytes(processes), _returned_bytes(processes)
    ranks.barrier()
    faults = machine.page_faults()
    cpu = machine.cpu_seconds(processes)  # without the time that a rank waits in MPI, which keeps its core busy
    start = time.perf_counter_ns()
    for files in steps:
        batches.append(files)
        queued.append(device.record_event())
        while len(queued) > device.in_flight:
            queued.popleft()()
            finished.append(time.perf_counter_ns())
    for done in queued:
        done()
        finished.append(time.perf_counter_ns())
    end = time.perf_counter_ns()
    usage = meter()
    cpu = machine.cpu_seconds(processes) - cpu
    returned = _returned_bytes(processes) - returned
    faults = machine.page_faults() - faults
    return Part(
        seconds=(end - start) / 1e9,
        batch_interval_nanoseconds=[b - a for a, b in zip([start, *finished], finished, strict=False)],
        batch_samples=[len(files) for files in batches],
        samples=collections.Counter(os.path.basename(name) for files in batches for name in files if name),
        cpu_seconds=cpu,
        node=node(),
        thread_cores=thread_cores | machine_topology.thread_affinities(processes),
        peak_rss_bytes=sum(map(machine.peak_rss_bytes, processes)),
        page_faults=faults,
        bytes_read_from_storage=_storage_bytes(processes) - storage,
        reader=details,
        device=usage,
        bytes_returned_by_reads=returned,
    )


def _storage_bytes(processes: Iterable[int]) -> int:
    return sum(map(machine.bytes_read_from_storage, processes))


def _returned_bytes(processes: Iterable[int]) -> int:
    return sum(map(machine.bytes_returned_by_reads, processes))
