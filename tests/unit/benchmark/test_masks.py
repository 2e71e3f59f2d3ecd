"""Engines whose masks are not those of the samples make the record invalid."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deepcam.benchmark import judged_comparison, timed_loop
from deepcam.benchmark.devices import open_device
from deepcam.grid import Cell
from deepcam.record.delivery_schema import MaskComparison
from deepcam.record.schema import Settings
from delivery_example import SHAPE, failed, masks_of, measured, samples

SETTINGS = Settings(warmup_runs=0, runs=1, min_seconds=0.0, drop_caches=False, shuffle="none")


@pytest.fixture
def files(disk: Path) -> tuple[Path, ...]:
    return samples(disk)


def engine_that(fault: Callable[[torch.Tensor], Any], after: int) -> Callable[[Any], Any]:
    """An engine whose masks are right in its first calls, and then go through `fault`."""
    calls = itertools.count()
    return lambda batch: masks_of(batch) if next(calls) < after else fault(masks_of(batch))


def late() -> Callable[[torch.Tensor], torch.Tensor]:
    masks = [torch.zeros((2, *SHAPE[:2]), dtype=torch.uint8)]
    return lambda mask: (masks.append(mask), masks.pop(0))[1]


@pytest.mark.parametrize("cache", ["cold", "warm"])
@pytest.mark.parametrize("fault", [lambda: torch.zeros_like, late])
def test_an_engine_that_is_right_until_the_warm_up_ends_is_found(
    files: tuple[Path, ...], cache: str, fault: Callable[..., Any]
) -> None:
    """The warm-up calls it for each of three batches and epoch, and three calls make their masks again."""
    made = measured(files, "inference", cache, engine=engine_that(fault(), after=3 + 3 if cache == "cold" else 6 + 3))
    assert failed(made) == {"masks"}
    assert made.verification[0].masks.differing_pixels == 0


def test_an_engine_that_gives_all_samples_of_a_batch_one_mask_is_found(files: tuple[Path, ...]) -> None:
    made = measured(files, "inference", "warm", engine=lambda batch: masks_of(batch)[:1].repeat(len(batch), 1, 1))
    assert failed(made) == {"masks"}


@pytest.mark.parametrize("fault", [lambda mask: mask[0], lambda mask: mask[:, None]])
def test_a_mask_of_another_shape_is_refused(files: tuple[Path, ...], fault: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="shape of the mask"):
        measured(files, "inference", "warm", engine=engine_that(fault, after=0))


def test_mode_compute_finds_an_engine_that_is_wrong_while_the_clock_is_on(files: tuple[Path, ...]) -> None:
    """The first call is one of the warm-up. Masks are right again after the runs."""
    calls = itertools.count()
    engine = lambda batch: masks_of(batch) * (not 4 <= next(calls) < 7)  # noqa: E731
    made = measured(files, "compute", "none", "none", engine=engine)
    assert made.verification[0].masks.differing_pixels == 0
    assert failed(made) == {"masks"}


def judged(files: Sequence[Path], engine: Callable[[Any], Any] = masks_of) -> dict[str, np.ndarray]:
    """What the accuracy check has judged: one mask for each of these files."""
    return {path.name: engine(np.load(path)[None])[0].numpy() for path in files}


@pytest.mark.parametrize(("mode", "cache", "reader"), [("inference", "warm", "pread"), ("compute", "none", "none")])
@pytest.mark.parametrize("count", [1, 6])
def test_masks_are_those_that_the_accuracy_check_judged(
    files: tuple[Path, ...], mode: str, cache: str, reader: str, count: int
) -> None:
    judged_masks = judged(files[-count:])
    made = measured(files, mode, cache, reader, judged_masks=judged_masks)
    assert failed(made) == set() and made.verification[0].judged_masks.samples > 0
    wrong = measured(files, mode, cache, reader, lambda batch: 1 - masks_of(batch), judged_masks=judged_masks)
    assert failed(wrong) == {"judged_masks"}


def test_a_rank_that_read_no_judged_sample_computes_some(files: tuple[Path, ...]) -> None:
    """A later start keeps the masks of one batch only, which need not have a judged sample."""
    calls = itertools.count()
    workload = timed_loop.Workload(
        Cell("inference", "pread", "warm", "none", 4, 2, 1, 1), files, SHAPE, SETTINGS, judged_masks=judged(files[:3])
    )
    engine = lambda batch: (next(calls), masks_of(batch))[1]  # noqa: E731
    found = judged_comparison.compare(workload, {}, 3, engine, open_device("cpu"))
    assert (next(calls), found) == (1, MaskComparison(samples=2, pixels=2 * 16 * 24, differing_pixels=0))
    assert judged_comparison.compare(dataclasses.replace(workload, judged_masks={}), {}, 3, engine, None) is None


def memoises() -> Callable[[torch.Tensor], torch.Tensor]:
    first: list[torch.Tensor] = []
    return lambda mask: (first.append(mask), first[0])[1]


@pytest.mark.parametrize("fault", [memoises, late, lambda: lambda mask: mask[:1].repeat(len(mask), 1, 1)])
def test_mode_compute_compares_the_masks_of_two_batches(
    files: tuple[Path, ...], fault: Callable[[], Callable[..., Any]]
) -> None:
    assert failed(measured(files, "compute", "none", "none")) == set()
    assert failed(measured(files, "compute", "none", "none", engine=engine_that(fault(), after=0))) == {"masks"}


def test_mode_compute_finds_an_engine_that_is_a_batch_of_one_sample_late(files: tuple[Path, ...]) -> None:
    workload = timed_loop.Workload(Cell("compute", "none", "none", "none", 1, 1, 1, 1), files, SHAPE, SETTINGS)
    masks = [masks_of(np.load(files[0])[None])]
    late_engine: Callable[[Any], Any] = lambda batch: (masks.append(masks_of(batch)), masks.pop(0))[1]  # noqa: E731
    found = [timed_loop.ComputeLoop(workload, open_device("cpu"), engine).masks() for engine in (masks_of, late_engine)]
    assert found[0].differing_pixels == 0 < found[1].differing_pixels


def test_mode_compute_needs_masks(files: tuple[Path, ...]) -> None:
    with pytest.raises(ValueError, match=r"the shape of the mask is \(\), not \(2, 16, 24\)"):
        measured(files, "compute", "none", "none", engine=lambda batch: None)


@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_an_engine_that_is_a_batch_late_is_found(files: tuple[Path, ...], cache: str) -> None:
    masks = [torch.zeros((2, *SHAPE[:2]), dtype=torch.uint8)]

    def late(batch: Any) -> torch.Tensor:
        masks.append(masks_of(batch))
        return masks.pop(0)

    assert failed(measured(files, "inference", cache, engine=late)) == {"masks"}
