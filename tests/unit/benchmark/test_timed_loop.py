"""The timed loop: the content of a run, and how long it lasts."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from deepcam.benchmark import page_cache, ranks, timed_loop
from deepcam.benchmark.readers import Batch, Options
from deepcam.errors import InputError
from deepcam.grid import Cell
from deepcam.record import validity
from deepcam.record.schema import Run, Settings

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
    found = timed_loop.measure(workload_of(files, cache, **changes), ranks.init_ranks(1))
    assert found is not None
    return found


class Sleepy:
    """A reader that takes 10 ms for each batch, and half a second more for its very first one."""

    details: ClassVar[dict[str, object]] = {}
    processes = ()
    opened = 0

    def __init__(self, name: str, files: Sequence[Path], options: Options) -> None:
        self.batches = [[str(path) for path in files[i : i + 2]] for i in range(0, len(files), 2)]
        self.first_pause = 0.0 if Sleepy.opened else 0.5
        Sleepy.opened += 1

    def __iter__(self) -> Iterator[Batch]:
        time.sleep(self.first_pause)
        for batch in self.batches:
            time.sleep(0.01)
            yield Batch(batch, None)


def test_epochs_follow_from_the_pace_without_one_time_work(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_loop, "open_reader", lambda *of: contextlib.nullcontext(Sleepy(*of)))
    for run in runs_of(files, min_seconds=0.2):
        assert 2 <= run.epochs <= 0.2 * validity.RUN_LENGTH_MARGIN / 0.025 + 1


def test_a_warm_run_repeats_epochs_until_it_lasts_long_enough(files: tuple[Path, ...]) -> None:
    for run in runs_of(files, min_seconds=0.1):
        (rank,) = run.ranks
        assert run.epochs > 1
        assert rank.samples == {path.name: run.epochs for path in files}
        assert sum(rank.batch_samples) == run.epochs * len(files)
        assert len(rank.batch_interval_seconds) == len(rank.batch_samples)
        assert sum(rank.batch_interval_seconds) == pytest.approx(rank.seconds, rel=0.1)


def test_a_cold_run_is_one_epoch_however_short(files: tuple[Path, ...]) -> None:
    for run in runs_of(files, cache="cold", min_seconds=0.1):
        assert run.epochs == 1
        assert run.page_cache_residency_max <= 0.01


def test_a_run_reports_its_cpu_load_memory_and_bytes_read(files: tuple[Path, ...]) -> None:
    for run in runs_of(files, cache="cold"):
        (rank,) = run.ranks
        assert 0 <= rank.background_cpu_load <= rank.node_cpu_utilisation <= 1
        assert rank.peak_rss_bytes > 10e6  # Python alone has that
        assert rank.bytes_read_from_storage >= 0.99 * sum(path.stat().st_size for path in files)


def test_a_rank_loads_only_the_files_that_it_reads(files: tuple[Path, ...]) -> None:
    """A node's memory may hold its part of a large dataset, but not the whole."""
    page_cache.evict(files)
    low, high, resident = timed_loop._run(
        workload_of(files),
        ranks.init_ranks(1),
        lambda *_: [page_cache.resident_fraction([path]) for path in files],
        files[:2],
    )
    assert (low, high, resident) == (1.0, 1.0, [1.0, 1.0, 0.0, 0.0, 0.0])


def test_caches_are_dropped_before_cold_runs_only(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = []
    monkeypatch.setattr(page_cache, "drop_all", lambda: dropped.append(True))
    runs_of(files, cache="warm", drop_caches=True)
    assert not dropped
    runs_of(files, cache="cold", drop_caches=True)
    assert len(dropped) == 3  # a warm-up and two runs


def test_a_minimum_duration_needs_a_warm_up_run(files: tuple[Path, ...]) -> None:
    with pytest.raises(InputError, match="warmup_runs: must be at least 1"):
        runs_of(files, warmup_runs=0, min_seconds=0.1)
