"""Running a loaded engine: checks of the batch, float32 precision, and CUDA graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from deepcam.errors import InputError

InferenceFunction = Callable[[Tensor], Tensor]
"""Maps a batch (N, H, W, C) float32 to a mask (N, H, W) uint8, without checking the batch."""

WARMUPS = 3
"""Calls before a capture, so that lazy initialisation and cuDNN's choice of kernels are not recorded."""


@dataclasses.dataclass(frozen=True)
class LoadedEngine:
    """A loaded engine, which maps a batch (N, H, W, C) float32 on its device to the mask (N, H, W) uint8.

    On a GPU a call only enqueues work on the current stream. With CUDA graphs the mask is a static tensor, which is
    valid until the next call. `shape` is (H, W, C).
    """

    run: InferenceFunction
    device: torch.device
    shape: tuple[int, ...]
    max_batch: int
    fingerprint: dict[str, Any]

    def __call__(self, batch: Tensor) -> Tensor:
        """Run the engine. Raises InputError if the batch has another shape, dtype, device or memory layout."""
        # A compiled engine reads its input by address, without any check.
        if (
            batch.shape[1:] != self.shape
            or not 1 <= len(batch) <= self.max_batch
            or batch.dtype != torch.float32
            or batch.device != self.device
        ):
            raise InputError(
                f"batch is {list(batch.shape)} {batch.dtype} on {batch.device}, the engine takes 1 to {self.max_batch} "
                f"samples of {list(self.shape)} torch.float32 on {self.device}; rebuild the engine for this dataset "
                "and batch size"
            )
        if not batch.is_contiguous():
            raise InputError(f"batch has strides {batch.stride()}; the engine takes contiguous (N, H, W, C) batches")
        with torch.inference_mode():
            return self.run(batch)


def wrap_for_gpu(
    run: InferenceFunction, precision: str, cuda_graphs: bool, device: torch.device, shape: list[int], max_batch: int
) -> InferenceFunction:
    """Wrap `run` for a GPU: it is called with its own float32 precision, and from CUDA graphs if `cuda_graphs`."""
    # cuDNN tries its kernels on the first batch of each size and keeps the fastest. There are only a few sizes.
    torch.backends.cudnn.benchmark = True

    def precise(batch: Tensor) -> Tensor:
        allow_tf32(precision == "tf32")
        return run(batch)

    return CudaGraphs(precise, torch.zeros(max_batch, *shape, device=device)) if cuda_graphs else precise


def allow_tf32(allowed: bool) -> None:
    """Set whether float32 convolutions and matrix products may round their inputs to tf32, in the whole process.

    The two switches have different defaults, so each engine sets both.
    """
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


class CudaGraphs:
    """Replays `run` as one CUDA graph per batch size, on the current stream. Each is captured on the first call.

    All graphs share one memory pool and `buffer`, the largest batch, as their input. The mask is a static tensor, which
    is valid until the next call with any size. Calls must be ordered by their stream.
    """

    def __init__(self, run: InferenceFunction, buffer: Tensor) -> None:
        self.run = run
        self.buffer = buffer
        self.pool = torch.cuda.graph_pool_handle()
        self.graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def __call__(self, batch: Tensor) -> Tensor:
        static = self.buffer[: len(batch)]
        static.copy_(batch)
        if len(batch) not in self.graphs:
            self.graphs[len(batch)] = self._capture(static)
        graph, mask = self.graphs[len(batch)]
        graph.replay()
        return mask

    def _capture(self, static: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """Warm up on a side stream, then capture, as PyTorch's notes on CUDA graphs recommend."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUPS):
                self.run(static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads, such as a reader's, may allocate and synchronise during the capture.
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            mask = self.run(static)
        return graph, mask
