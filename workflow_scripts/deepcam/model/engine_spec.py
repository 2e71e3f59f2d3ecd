"""Whether a device can run an engine, and from which sources engines are built. Torch is not imported."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from deepcam import machine
from deepcam.config import Engine
from deepcam.errors import InputError

SOURCES = ("model/engine/*.py", "model/calibration.py", "model/network.py", "climate.py")
"""The modules that define what an engine computes and how it is compiled, relative to the package."""


OFFERED: dict[str, dict[str, tuple[str, ...]]] = {
    "cpu": {
        "aotinductor": ("fp32", "bf16"),
        "openvino": ("fp32", "bf16", "int8"),
        "eager": ("fp32", "bf16"),
    },
    "cuda": {
        "tensorrt": ("fp16", "bf16"),
        "aotinductor": ("fp16", "bf16"),
        "eager": ("fp16", "bf16"),
    },
}
"""Kind of device to the backends that it has, each with the precisions that `auto` chooses from. Whether a device has a
precision in hardware, and a backend its packages, shows when the candidate is built."""

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")
"""From the most to the least precise."""


def candidates(engine: Engine, device: str) -> list[Engine]:
    """The engines that `auto` chooses from on a device; of an engine without `auto`, itself alone."""
    offered = OFFERED[device.rstrip("0123456789:")]
    backends = list(offered) if engine.backend == "auto" else [engine.backend]
    return [
        engine.model_copy(update={"backend": backend, "precision": precision})
        for backend in backends
        for precision in (offered.get(backend, ()) if engine.precision == "auto" else [engine.precision])
    ]


def check_device(engine: Engine, device: str) -> None:
    """Raise InputError for an engine that no device of this kind can run. `device` is cpu, or cuda and a number."""
    reason = None
    if engine.precision == "int8" and engine.backend != "openvino":
        reason = "only the backend openvino has int8"
    elif device != "cpu":
        if engine.backend == "openvino":
            reason = "engines of OpenVINO run on CPUs only"
    elif engine.backend == "tensorrt":
        reason = "TensorRT runs on NVIDIA GPUs only"
    elif engine.cuda_graphs:
        reason = "CUDA graphs run on NVIDIA GPUs only"
    elif engine.precision == "tf32":
        reason = "only NVIDIA GPUs have tf32"
    elif engine.precision == "fp16":
        reason = "CPUs run this network in fp16 by emulation"
    if reason:
        raise InputError(f"engines: {engine.name} on devices: {device}: {reason}; change engines or devices")


def check_precision(precision: str, device: str) -> None:
    """Raise InputError for bf16 on a CPU that only emulates it, and for int8 on one without AVX2."""
    if device != "cpu":
        return
    flags = machine.cpu()[1]
    if precision == "bf16" and flags.isdisjoint(machine.BF16_FLAGS):
        raise InputError(
            f"precision bf16 on {device}: this CPU has neither {' nor '.join(machine.BF16_FLAGS)}, so bf16 would be "
            "emulated; use fp32 or auto"
        )
    if precision == "int8" and "avx2" not in flags:
        raise InputError(
            f"precision int8 on {device}: this CPU has no avx2, so int8 would be slower than fp32; use fp32 or auto"
        )


def check_packages(engines: Iterable[Engine]) -> None:
    """Raise InputError for a backend whose Python package this interpreter lacks."""
    for engine in engines:
        packages, requirements = _packages(engine)
        for package in packages:
            if importlib.util.find_spec(package.replace("-", "_")) is None:
                raise InputError(
                    f"engines: {engine.name} needs the Python package {package}; install {requirements}, or change "
                    "engines"
                )


def _packages(engine: Engine) -> tuple[tuple[str, ...], str]:
    """The packages that an engine needs and not every environment has, and the file of requirements that has them."""
    if engine.backend == "openvino":
        packages = ("openvino", "nncf") if engine.precision == "int8" else ("openvino",)
        return packages, "envs/requirements-openvino.txt"
    if engine.backend == "tensorrt":
        return ("torch-tensorrt",), "envs/unhashed-gpu.txt (make venv KIND=gpu)"
    return (), ""


def check_temporary_folder(needed: int = 0) -> None:
    """Raise InputError if AOTInductor cannot unpack and load an engine of `needed` bytes in the temporary folder."""
    folder = tempfile.gettempdir()
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise InputError(
            f"{folder}: mounted noexec, but engines of aotinductor are loaded from the temporary folder; set TMPDIR to "
            "another folder"
        )
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {free:,} bytes are free, but an engine of aotinductor takes {needed:,} there; make room, or "
            "set TMPDIR to another folder"
        )


def source_sha256() -> str:
    """The SHA-256 of SOURCES. An engine that was built from others is stale."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        paths = sorted(Path(__file__).parents[1].glob(pattern))
        if not paths:
            raise FileNotFoundError(f"{pattern}: no module of this name; SOURCES is out of date")
        for path in paths:
            digest.update(path.read_bytes())
    return digest.hexdigest()
