"""The precision in which a training step is fast and safe."""

from __future__ import annotations

import functools
import time

import torch

from deepcam import machine

FASTER = 1.1
"""How much faster bf16 must be on a CPU to be taken, so that noise does not change the choice."""

MATRIX_SIZE, TURNS = 1024, 5


def training_precision(device: str) -> str:
    """fp16 on a GPU, with loss scaling; on a CPU bf16 if it multiplies matrices faster than fp32, otherwise fp32.

    The CPU's flags do not tell: with AVX512-BF16 alone, bf16 has half the speed of fp32 on some CPUs and twice its
    speed on others. Convolutions have the same ratio (tests/performance/README.md).
    """
    if device.startswith("cuda"):
        return "fp16"
    if machine.cpu()[1].isdisjoint(machine.BF16_FLAGS):
        return "fp32"
    return "bf16" if _bf16_speed(torch.get_num_threads()) > FASTER else "fp32"


@functools.cache
def _bf16_speed(threads: int) -> float:
    """How much faster this CPU multiplies matrices in bf16 than in fp32. The fastest of several turns count."""
    matrices = {dtype: torch.ones(MATRIX_SIZE, MATRIX_SIZE, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in matrices}
    for _ in range(TURNS):
        for dtype, matrix in matrices.items():
            started = time.perf_counter()
            matrix @ matrix
            seconds[dtype].append(time.perf_counter() - started)
    return min(seconds[torch.float32]) / min(seconds[torch.bfloat16])
