"""The timed loop: what a run holds, and how long it lasts."""

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

SHAPE = (16, 24, 16)


@pytest.fixture
def files(disk: Path) -> tuple[Path, ...]:
    paths = tuple(disk / f"data-{i}.npy" for i in range(5))
    for path in paths:
        np.save(path, np.random.default_rng(0).random(SHAPE, np.float32))
    return paths


def plan_of(files: tuple[Path, ...], cache: str = "warm", **changes: object) -> timed_loop.Plan:
    settings = {"warmup_runs": 1, "runs": 2, "min_seconds": 0.0, "drop_caches": False, "shuffle": "none"} | changes
    return timed_loop.Plan(
        Cell("io", "pread", cache, "none", 1, 2, 1, 1), files, SHAPE, timed_loop.Settings(**settings)
    )


def runs_of(files: tuple[Path, ...], cache: str = "warm", **changes: object) -> list[timed_loop.Run]:
    found = timed_loop.measure(plan_of(files, cache, **changes), ranks.init_ranks(1))
    assert found is not None
    return found


class Sleepy:
    """A reader that takes 10 ms a batch, and half a second for the first that it ever reads."""

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


def test_passes_follow_from_the_pace_without_what_is_done_once(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_loop, "open_reader", lambda *of: contextlib.nullcontext(Sleepy(*of)))
    for run in runs_of(files, min_seconds=0.2):
        assert 2 <= run.passes <= 0.2 * timed_loop.MARGIN / 0.025 + 1


def test_a_warm_run_passes_over_the_data_until_it_lasts(files: tuple[Path, ...]) -> None:
    for run in runs_of(files, min_seconds=0.1):
        (rank,) = run.ranks
        assert run.passes > 1
        assert rank.samples == {path.name: run.passes for path in files}
        assert sum(rank.batch_samples) == run.passes * len(files)
        assert len(rank.batch_seconds) == len(rank.batch_samples)
        assert sum(rank.batch_seconds) == pytest.approx(rank.seconds, rel=0.1)


def test_a_cold_run_is_one_pass_whatever_its_length(files: tuple[Path, ...]) -> None:
    for run in runs_of(files, cache="cold", min_seconds=0.1):
        assert run.passes == 1
        assert run.residency_high <= 0.01


def test_a_run_says_what_it_cost(files: tuple[Path, ...]) -> None:
    for run in runs_of(files, cache="cold"):
        (rank,) = run.ranks
        assert 0 <= rank.other_load <= rank.node_cpu_utilisation <= 1
        assert rank.peak_memory_bytes > 10e6  # Python alone has that
        assert rank.storage_bytes >= 0.99 * sum(path.stat().st_size for path in files)


def test_a_rank_loads_what_it_reads_and_no_more(files: tuple[Path, ...]) -> None:
    """Of a large dataset a node's memory may hold its part, and not the whole."""
    page_cache.evict(files)
    low, high, resident = timed_loop._run(
        plan_of(files),
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


def test_without_a_warm_up_there_is_no_pace(files: tuple[Path, ...]) -> None:
    with pytest.raises(InputError, match="warmup_runs: 0 leaves no run"):
        runs_of(files, warmup_runs=0, min_seconds=0.1)
