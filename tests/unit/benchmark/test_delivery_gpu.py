"""On a GPU, readers, uploads, CUDA graphs and the engine work on one batch after the other, with the host ahead."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from deepcam.model.engine.runtime import CudaGraphs
from delivery_example import SHAPE, failed, measured, samples

pytestmark = pytest.mark.gpu

DEVICE = "cuda:0"
SLOW = 10**7
"""Cycles of a GPU, some milliseconds: the host has queued the next batch long before."""

KVIKIO = pytest.param(
    "kvikio", marks=pytest.mark.skipif(importlib.util.find_spec("kvikio") is None, reason="KvikIO is not installed")
)


@pytest.fixture
def files(disk: Path) -> tuple[Path, ...]:
    return samples(disk)


def masks_of(batch: torch.Tensor) -> torch.Tensor:
    torch.cuda._sleep(SLOW)
    return (batch.mean(3) > 1).to(torch.uint8)


def engine(cuda_graphs: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    return CudaGraphs(masks_of, torch.zeros((2, *SHAPE), device=DEVICE)) if cuda_graphs else masks_of


@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("cache", ["cold", "warm"])
@pytest.mark.parametrize("reader", ["pread", "dali-mmap", KVIKIO, "torch", "numpy"])
def test_masks_are_those_of_the_samples(files: tuple[Path, ...], reader: str, cache: str, cuda_graphs: bool) -> None:
    assert failed(measured(files, "inference", cache, reader, engine=engine(cuda_graphs), device=DEVICE)) == set()


@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_masks_of_mode_compute_are_equal(files: tuple[Path, ...], cuda_graphs: bool) -> None:
    assert failed(measured(files, "compute", "none", "none", engine=engine(cuda_graphs), device=DEVICE)) == set()


def test_an_engine_on_a_stream_that_waits_for_nothing_is_found(files: tuple[Path, ...]) -> None:
    stream = torch.cuda.Stream(DEVICE)

    def unordered(batch: Any) -> torch.Tensor:
        mask = torch.zeros(batch.shape[:3], dtype=torch.uint8, device=DEVICE)
        with torch.cuda.stream(stream):
            mask.copy_(masks_of(batch))
        return mask

    assert "masks" in failed(measured(files, "inference", "warm", engine=unordered, device=DEVICE))
