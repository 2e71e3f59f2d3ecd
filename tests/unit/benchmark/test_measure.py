"""The runs of a start: what they hold, how long they last, and which of them count."""

import contextlib
import dataclasses
import itertools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from deepcam import cgroup
from deepcam.benchmark import measure, page_cache, ranks, timed_loop
from deepcam.benchmark.devices import open_device
from deepcam.benchmark.readers import Batch, Options
from deepcam.benchmark.storage_meter import StorageBytes
from deepcam.grid import Cell
from deepcam.record.run_schema import Run
from deepcam.record.schema import Settings

SHAPE = (16, 24, 16)


@pytest.fixture
def files(disk: Path) -> tuple[Path, ...]:
    paths = tuple(disk / f"data-{i}.npy" for i in range(5))
    for path in paths:
        np.save(path, np.random.default_rng(0).random(SHAPE, np.float32))
    return paths


def workload_of(files: tuple[Path, ...], cache: str = "warm", **changes: object) -> timed_loop.Workload:
    settings = {"warmup_runs": 1, "runs": 2, "min_seconds": 0.0, "drop_caches": False, "shuffle": "none"} | changes
    return timed_loop.Workload(Cell("io", "pread", cache, "none", 1, 2, 1, 1), files, SHAPE, Settings(**settings))


def runs_of(files: tuple[Path, ...], cache: str = "warm", **changes: object) -> list[Run]:
    found = measure.measure(workload_of(files, cache, **changes), ranks.init_ranks(1))
    assert found is not None
    return found.runs


class Clock:
    """A clock that only readers move."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def perf_counter_ns(self) -> int:
        return round(self.now * 1e9)


class MadeUpReader:
    """A reader of batches of two files. `pauses` gives the seconds before each batch of a run that it is opened for."""

    details: ClassVar[dict[str, object]] = {}
    processes = ()

    def __init__(self, clock: Clock, pauses: Callable[[int, int], float], files: Sequence[Path], opened: int) -> None:
        self.batches = [[str(path) for path in files[i : i + 2]] for i in range(0, len(files), 2)]
        self.clock, self.pauses, self.opened = clock, pauses, opened

    def __iter__(self) -> Iterator[Batch]:
        for number, batch in enumerate(self.batches):
            self.clock.now += self.pauses(self.opened, number)
            yield Batch(batch, None)


def made_up_runs(
    monkeypatch: pytest.MonkeyPatch,
    files: tuple[Path, ...],
    pauses: Callable[[int, int], float],
    run_length: int | None = None,
    **changes: object,
) -> tuple[list[Run], list[int]]:
    """The runs that count of a reader with these pauses, and the number of epochs of every run that was made."""
    clock, epochs = Clock(), []

    def open_reader(name: str, of: Sequence[Path], options: Options) -> contextlib.nullcontext[MadeUpReader]:
        epochs.append(len(of) // len(files))
        return contextlib.nullcontext(MadeUpReader(clock, pauses, of, len(epochs)))

    monkeypatch.setattr(timed_loop, "open_reader", open_reader)
    monkeypatch.setattr(timed_loop, "time", clock)
    workload = dataclasses.replace(workload_of(files, **changes), run_length=run_length)
    found = measure.measure(workload, ranks.init_ranks(1))
    assert found is not None
    return found.runs, epochs


def bursts(opened: int, batch: int) -> float:
    """Nothing for seven of eight batches, as when several threads finish at the same time."""
    return 0.08 if batch % 8 == 0 else 0.0


def slow_at_first(opened: int, batch: int) -> float:
    """Half a second before the very first batch."""
    return 0.5 if (opened, batch) == (1, 0) else 0.01


@pytest.mark.parametrize("pauses", [bursts, slow_at_first])
def test_runs_of_odd_readers_last_long_enough_and_not_much_longer(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, pauses: Callable[[int, int], float]
) -> None:
    runs, _ = made_up_runs(monkeypatch, files, pauses, min_seconds=0.4)
    for run in runs:
        assert 0.4 <= run.ranks[0].part_seconds[0] <= 0.8


def test_a_run_length_that_is_known_is_not_looked_for(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    runs, epochs = made_up_runs(monkeypatch, files, lambda *_: 0.01, run_length=17, min_seconds=0.4)
    assert [run.epochs for run in runs] == [17, 17]
    assert epochs == [17, 17, 17]


def test_a_run_with_a_new_batch_size_does_not_count(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    # Two epochs of five files have full batches only, and three end with a batch of one file.
    runs, epochs = made_up_runs(monkeypatch, files, lambda *_: 0.01, run_length=2, min_seconds=0.055)
    assert [run.epochs for run in runs] == [3, 3]
    assert epochs == [2, 2, 3, 3, 3]


def test_a_run_that_is_too_short_is_repeated_with_more_epochs(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, epochs = made_up_runs(monkeypatch, files, lambda *_: 0.01, run_length=2, min_seconds=0.4)
    assert all(run.ranks[0].part_seconds[0] >= 0.4 for run in runs)
    assert epochs[:2] == [2, 2]


def test_a_reader_that_gets_ever_faster_does_not_run_for_ever(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, epochs = made_up_runs(monkeypatch, files, lambda opened, _: 0.1 / 30**opened, run_length=1, min_seconds=0.4)
    assert len(runs) == 2
    assert len(epochs) < 10


def test_a_warm_run_repeats_epochs_until_it_lasts_long_enough(files: tuple[Path, ...]) -> None:
    for run in runs_of(files, min_seconds=0.1):
        (rank,) = run.ranks
        assert run.epochs > 1
        assert [found.tolist() for found in run.read_samples()] == [[*range(len(files))], [run.epochs] * len(files)]
        assert rank.num_samples == run.epochs * len(files)
        assert len(rank.batch_interval_seconds) == rank.num_batches
        assert sum(rank.batch_interval_seconds) == pytest.approx(sum(rank.part_seconds), rel=0.1)


def test_a_cold_run_repeats_epochs_with_eviction_before_each(files: tuple[Path, ...]) -> None:
    for run in runs_of(files, cache="cold", min_seconds=0.02):
        (rank,) = run.ranks
        assert run.epochs == len(rank.part_seconds) > 1
        assert sum(rank.part_seconds) >= 0.02 > sum(rank.part_seconds[:-1])
        assert [found.tolist() for found in run.read_samples()] == [[*range(len(files))], [run.epochs] * len(files)]
        assert len(run.page_cache_residency_max) == run.epochs
        assert max(run.page_cache_residency_max) <= 0.01
        assert rank.delivery.samples == run.epochs * len(files)
        assert rank.bytes_read_from_storage >= 0.99 * run.epochs * sum(path.stat().st_size for path in files)


def test_a_run_reports_its_cpu_load_memory_and_bytes_read(files: tuple[Path, ...]) -> None:
    for run in runs_of(files, cache="cold"):
        (rank,) = run.ranks
        assert 0 <= rank.background_cpu_load <= rank.node_cpu_utilisation <= 1
        assert rank.peak_rss_bytes > 10e6  # Python alone has that
        assert rank.bytes_read_from_storage >= 0.99 * sum(path.stat().st_size for path in files)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="binding to one of several cores needs two")
def test_a_run_reports_the_cores_of_the_readers_processes_and_threads(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = sorted(os.sched_getaffinity(0))
    bound, done = threading.Event(), threading.Event()

    def bind() -> None:
        os.sched_setaffinity(0, {first})
        bound.set()
        done.wait()

    thread = threading.Thread(target=bind)
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            thread.start()
            bound.wait()
            os.sched_setaffinity(process.pid, {second})
            monkeypatch.setattr(MadeUpReader, "processes", (process.pid,))
            runs, _ = made_up_runs(monkeypatch, files, lambda opened, batch: 0.1)
        finally:
            done.set()
            process.kill()
    assert {str(first), str(second)} < set(runs[0].ranks[0].thread_cores)


def test_a_quota_that_held_the_job_back_is_in_its_run(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "throttled_seconds", itertools.count(0, 0.25).__next__)
    assert [run.ranks[0].throttled_seconds for run in runs_of(files)] == [0.25] * 2


def test_a_run_reports_what_disks_and_servers_delivered_in_all_of_its_parts(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Meter:
        def __init__(self, of: Sequence[Path]) -> None:
            assert of == files

        def start(self) -> Callable[[], StorageBytes]:
            return lambda: StorageBytes(disks=10, network=None)

    monkeypatch.setattr(measure, "StorageMeter", Meter)
    for run in runs_of(files, cache="cold", min_seconds=0.1):
        (rank,) = run.ranks
        assert (rank.disk_bytes, rank.network_bytes_read) == (10 * run.epochs, None)


def test_counts_of_a_reader_since_the_start_of_the_process_are_those_after_the_last_part(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = itertools.count(1)
    open_reader = timed_loop.open_reader

    @contextlib.contextmanager
    def counting(*arguments: object) -> Iterator[object]:
        with open_reader(*arguments) as reader:
            yield reader
            reader.details["count"] = next(counts)  # when it is closed

    monkeypatch.setattr(timed_loop, "open_reader", counting)
    (run,) = runs_of(files, cache="cold", min_seconds=0.3, warmup_runs=0, runs=1)
    assert run.ranks[0].reader["count"] == run.epochs > 1


def test_a_rank_loads_only_the_files_that_it_reads(files: tuple[Path, ...]) -> None:
    """A node's memory may hold its part of a large dataset, but not the whole."""
    page_cache.evict(files)
    part = measure._ReadingPart(workload_of(files), ranks.init_ranks(1), open_device("cpu"), None)
    part._order = SimpleNamespace(files=lambda epochs: files[:2])
    seen, loop = [], part._loop

    def seeing_loop(*arguments: Any) -> timed_loop.Part:
        seen.extend(page_cache.resident_fraction([path]) for path in files)
        return loop(*arguments)

    part._loop = seeing_loop
    assert part(1)[1] == (1.0, 1.0)
    assert seen == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_a_warm_start_loads_the_page_cache_anew_once(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pages of an earlier start lie in memory, and how large they are, decides how fast they are read."""
    evicted, loaded = [], []
    real = page_cache.preload
    monkeypatch.setattr(page_cache, "evict", lambda paths: evicted.append(len(loaded)))
    monkeypatch.setattr(page_cache, "preload", lambda paths: (real(paths), loaded.append(len(evicted))))
    runs_of(files)
    assert evicted == [0]  # before anything is loaded
    assert set(loaded) == {1}


def test_caches_are_dropped_before_cold_runs_only(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = []
    monkeypatch.setattr(page_cache, "drop_all", lambda: dropped.append(True))
    runs_of(files, cache="warm", drop_caches=True)
    assert not dropped
    runs_of(files, cache="cold", drop_caches=True)
    assert len(dropped) == 3  # a warm-up and two runs


def test_page_faults_are_those_of_the_timed_loop(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[np.ndarray] = []

    def touch(opened: int, batch: int) -> float:
        kept.append(np.ones(2**24, np.uint8))  # touches 16 MiB for the first time: 8 huge pages at least
        return 0.01

    runs, _ = made_up_runs(monkeypatch, files, touch)
    touched = [run.ranks[0].page_faults for run in runs]
    kept.clear()
    runs, _ = made_up_runs(monkeypatch, files, lambda *_: 0.01)
    untouched = [run.ranks[0].page_faults for run in runs]
    assert min(touched) >= 20 and min(touched) > max(untouched)
