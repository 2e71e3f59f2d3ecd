"""Running a loaded engine: what a batch must be, float32 precision, and CUDA graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from deepcam.errors import InputError

InferenceFunction = Callable[[Tensor], Tensor]

WARMUPS = 3
"""Calls before a capture: cuDNN chooses its kernels, and lazy initialisation happens, where neither is recorded."""


@dataclasses.dataclass(frozen=True)
class LoadedEngine:
    """A loaded engine: call it with a batch (N, H, W, C) float32 on its device for the mask (N, H, W) uint8.

    On a GPU a call only enqueues work on the current stream. With CUDA graphs the mask is a static tensor, valid
    until the next call.
    """

    run: InferenceFunction
    device: torch.device
    shape: tuple[int, ...]
    max_batch: int
    fingerprint: dict[str, Any]

    def __call__(self, batch: Tensor) -> Tensor:
        """Raises InputError for another shape, dtype or device, over max_batch samples, or one not contiguous."""
        # A compiled engine reads its input by address and would not notice.
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
            raise InputError(f"batch has strides {batch.stride()}; the engine takes a contiguous (N, H, W, C) batch")
        with torch.inference_mode():
            return self.run(batch)


def wrap_for_gpu(
    run: InferenceFunction, precision: str, cuda_graphs: bool, device: torch.device, shape: list[int], max_batch: int
) -> InferenceFunction:
    """`run` as it must be called on a GPU: in its own float32 precision, from CUDA graphs if so asked."""
    # cuDNN tries its kernels on the first batch of each size and keeps the fastest: sizes are few and come often.
    torch.backends.cudnn.benchmark = True

    def precise(batch: Tensor) -> Tensor:
        allow_tf32(precision == "tf32")
        return run(batch)

    return CudaGraphs(precise, torch.zeros(max_batch, *shape, device=device)) if cuda_graphs else precise


def allow_tf32(allowed: bool) -> None:
    """Let float32 convolutions and matrix products round their inputs to tf32, or not.

    The switches are the process's, and convolutions have theirs on by default, so each engine sets both.
    """
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


class CudaGraphs:
    """Replays `run` on the current stream as one CUDA graph per batch size, captured on the first call with it.

    The mask is a static tensor, valid until the next call with any size: all graphs share `buffer`, the largest
    batch, as their input, and one memory pool. Calls must be ordered by their stream.
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
        """As PyTorch's notes on CUDA graphs show: warm up on a side stream, then capture."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUPS):
                self.run(static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Of this thread only: a reader's threads may allocate or synchronise meanwhile.
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            mask = self.run(static)
        return graph, mask
