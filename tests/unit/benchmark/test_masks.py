"""Engines whose masks are not those of the samples make the record invalid."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deepcam.benchmark import timed_loop
from deepcam.benchmark.devices import open_device
from deepcam.grid import Cell
from deepcam.record.schema import Settings
from delivery_example import SHAPE, failed, masks_of, measured, samples


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
    settings = Settings(warmup_runs=0, runs=1, min_seconds=0.0, drop_caches=False, shuffle="none")
    workload = timed_loop.Workload(Cell("compute", "none", "none", "none", 1, 1, 1, 1), files, SHAPE, settings)
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
