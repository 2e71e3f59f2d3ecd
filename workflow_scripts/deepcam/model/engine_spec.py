"""Which engine is asked for, and whether a device can run it. Knows nothing of torch, which takes seconds to import."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
from pathlib import Path
from typing import Literal, get_args

from deepcam import grid, machine
from deepcam.errors import InputError

Backend = Literal["eager", "aotinductor", "tensorrt"]
Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]

SOURCES = ("model/engine/*.py", "model/network.py", "climate.py")
"""The modules that define what an engine computes and how it is compiled, relative to the package."""


@dataclasses.dataclass(frozen=True)
class EngineSpec:
    """Backend, precision, and on a GPU whether calls replay CUDA graphs. InputError for a name that is unknown."""

    backend: Backend
    precision: Precision
    cuda_graphs: bool = False

    def __post_init__(self) -> None:
        for field, value, known in (
            ("backend", self.backend, get_args(Backend)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value not in known:
                raise InputError(f"engine {field} {value!r} is unknown; use one of {', '.join(known)}")

    @property
    def name(self) -> str:
        return grid.engine_name(dataclasses.asdict(self))

    def refuse_on(self, device: str) -> None:
        """Raise InputError for what no device of this kind can run, `device` being cpu or cuda and a number."""
        if device != "cpu":
            return
        reason = None
        if self.backend == "tensorrt":
            reason = "TensorRT runs on NVIDIA GPUs only"
        elif self.cuda_graphs:
            reason = "CUDA graphs run on NVIDIA GPUs only"
        elif self.precision == "tf32":
            reason = "only NVIDIA GPUs have tf32"
        elif self.precision == "fp16":
            reason = "CPUs run this network in fp16 by emulation"
        if reason:
            raise InputError(f"engines: {self.name} on devices: {device}: {reason}; change engines, or devices to GPUs")


def resolve_precision(precision: str, device: str) -> str:
    """'fp32', 'tf32', 'bf16' or 'fp16'; auto is fp16 on CUDA, bf16 on a CPU with AMX for it, else fp32.

    Raises InputError for bf16 on a CPU that only emulates it.
    """
    if device.startswith("cuda"):
        return "fp16" if precision == "auto" else precision
    flags = machine.cpu()[1]
    if precision == "auto":
        # AVX512-BF16 alone multiplied at half the rate of fp32 where it was measured: tests/performance/README.md.
        return "bf16" if "amx_bf16" in flags else "fp32"
    if precision == "bf16" and flags.isdisjoint(machine.BF16_FLAGS):
        raise InputError(
            f"precision bf16 on {device}: this CPU has neither {' nor '.join(machine.BF16_FLAGS)}, so bf16 would be "
            "emulated; use fp32 or auto"
        )
    return precision


def refuse_without_packages(specs: list[EngineSpec]) -> None:
    """Raise InputError for a backend whose Python package this interpreter lacks."""
    for spec in specs:
        if spec.backend == "tensorrt" and importlib.util.find_spec("torch_tensorrt") is None:
            raise InputError(
                f"engines: {spec.name} needs the Python package torch-tensorrt; install envs/requirements-gpu.txt "
                "(make venv KIND=gpu), or change engines"
            )


def source_sha256() -> str:
    """SHA-256 over SOURCES: an engine of another version of them is stale."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        paths = sorted(Path(__file__).parents[1].glob(pattern))
        if not paths:
            raise FileNotFoundError(f"{pattern}: no module of this name; SOURCES is out of date")
        for path in paths:
            digest.update(path.read_bytes())
    return digest.hexdigest()
