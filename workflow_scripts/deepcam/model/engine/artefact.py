"""Engines on disk: built once per device, each with a fingerprint beside it that says which machine it is for."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from deepcam import files, machine
from deepcam.config import Engine
from deepcam.data.dataset import read_description
from deepcam.errors import InputError
from deepcam.model.device import torch_device
from deepcam.model.engine.choice import check_choice
from deepcam.model.engine.graph import BuildTarget, InferenceGraph
from deepcam.model.engine.runtime import InferenceFunction, LoadedEngine, allow_tf32, wrap_for_gpu
from deepcam.model.engine_spec import check_device, check_precision, source_sha256
from deepcam.model.fingerprint import ADVICE, fingerprint_path, read_fingerprint, write_fingerprint
from deepcam.model.network import STRIDE, NetworkSpec

DTYPES = {
    "fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.float32,
}  # fmt: skip

FINGERPRINT_FIELDS = (
    "device_kind", "device_name", "compute_capability", "isa", "driver",
    "torch", "torch_tensorrt", "tensorrt", "openvino", "source_sha256",
)  # fmt: skip
"""Fields that must be equal where an engine is built and where it is loaded."""


def build(spec: Engine, network: NetworkSpec, dataset: Path, device: str, max_batch: int, output: Path) -> None:
    """Build an engine (.pt2) for batches of 1..max_batch samples, and its fingerprint (.json) beside it.

    `network` names a checkpoint, `dataset` is dataset.json, whose sample shape and channel ranges the engine takes.
    Raises InputError for a checkpoint, channels, shape or device that do not fit.
    """
    if output.suffix != ".pt2":
        raise InputError(f"{output}: an engine's name must end in .pt2; rename the output")
    _check_max_batch(max_batch)
    if network.weights is None:
        raise InputError(f"{output}: an engine needs a checkpoint; give one")
    check_device(spec, device)
    precision = spec.precision
    check_precision(precision, device)
    bound_to = fingerprint_fields(spec.backend, device)
    if device != "cpu":
        _check_native_precision(precision, device)
        torch.cuda.set_device(device)
    shape, minimum, maximum = _shape_and_ranges(dataset, network.channels)
    model = network.create().eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    backend = _backend(spec.backend)
    backend.prepare(model)
    graph = InferenceGraph(model, minimum, maximum, DTYPES[precision], network.channels).to(device)
    with files.locked(output.with_suffix(".lock")), tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        package = Path(scratch) / output.name
        allow_tf32(precision == "tf32")
        target = BuildTarget(precision, device, shape, max_batch, dataset)
        described = backend.package(graph, target, package, Path(scratch)) or {}
        seconds = time.perf_counter() - start
        # A process that dies here must not leave an old fingerprint beside a new engine.
        fingerprint_path(output).unlink(missing_ok=True)
        with files.atomic_path(output) as temporary:
            shutil.copyfile(package, temporary)
        write_fingerprint(
            output,
            {
                "backend": spec.backend,
                "precision": precision,
                **described,
                "cuda_graphs": spec.cuda_graphs,
                **bound_to,
                "weights_sha256": files.sha256(network.weights),
                "input_shape": shape,
                "max_batch": max_batch,
                "width_multiplier": network.width_multiplier,
                "channels": list(network.channels),
                "minimum": minimum,
                "maximum": maximum,
                "parameters": parameters,
                "build_seconds": seconds,
            },
        )


def load(path: Path, device: str) -> LoadedEngine:
    """Load an engine onto `device`, which is cpu or cuda:N.

    Raises InputError if the engine or its fingerprint is missing, or if it was built for another machine or software.
    """
    if not path.is_file():
        raise InputError(f"{path}: missing; {ADVICE}")
    fingerprint = read_fingerprint(path)
    try:
        built = {field: fingerprint[field] for field in FINGERPRINT_FIELDS}
        backend, precision, cuda_graphs = (fingerprint[field] for field in ("backend", "precision", "cuda_graphs"))
        shape, max_batch = fingerprint["input_shape"], fingerprint["max_batch"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{fingerprint_path(path)}: not an engine's fingerprint ({error!r}); {ADVICE}") from None
    for field, here in fingerprint_fields(backend, device).items():
        if built[field] != here:
            raise InputError(f"{path}: built with {field} {built[field]!r}, but here it is {here!r}; {ADVICE}")
    check_choice(fingerprint, path, device)
    run = _backend(backend).load(path, device)
    return _loaded(run, precision, cuda_graphs, device, shape, max_batch, fingerprint)


def reference(network: NetworkSpec, dataset: Path, device: str, max_batch: int) -> LoadedEngine:
    """Return the network itself in fp32, neither exported nor compiled, as the reference for engines.

    A call returns `InferenceGraph.margins` instead of a mask. Raises InputError like `build`.
    """
    _check_max_batch(max_batch)
    shape, minimum, maximum = _shape_and_ranges(dataset, network.channels)
    graph = InferenceGraph(network.create(), minimum, maximum, torch.float32, network.channels).to(device)
    return _loaded(graph.margins, "fp32", False, device, shape, max_batch, {})


def fingerprint_fields(backend: str, device: str) -> dict[str, Any]:
    """Return the values of FINGERPRINT_FIELDS here and now. Raises InputError if there is no such device."""
    target = torch_device(device)
    fields: dict[str, Any] = dict.fromkeys(FINGERPRINT_FIELDS)
    fields |= {"device_kind": target.type, "isa": machine.isa(), "torch": torch.__version__}
    if target.type == "cuda":
        fields["device_name"] = torch.cuda.get_device_name(target)
        fields["compute_capability"] = ".".join(map(str, torch.cuda.get_device_capability(target)))
        fields["driver"] = machine.nvidia_driver()
    else:
        fields["device_name"] = machine.cpu()[0]
    return fields | _backend(backend).versions() | {"source_sha256": source_sha256()}


def _loaded(
    run: InferenceFunction,
    precision: str,
    cuda_graphs: bool,
    device: str,
    shape: list[int],
    max_batch: int,
    fingerprint: dict[str, Any],
) -> LoadedEngine:
    target = torch_device(device)
    if target.type == "cuda":
        # A process runs engines on one device only, and compiled code uses the current device's stream.
        torch.cuda.set_device(target)
        run = wrap_for_gpu(run, precision, cuda_graphs, target, shape, max_batch)
    return LoadedEngine(run, target, tuple(shape), max_batch, fingerprint)


def _check_max_batch(max_batch: int) -> None:
    if max_batch < 1:
        raise InputError(f"max batch is {max_batch}; it must be at least 1")


def _check_native_precision(precision: str, device: str) -> None:
    """Raise InputError if the GPU does not have this precision in hardware."""
    capability = torch.cuda.get_device_capability(device)
    if precision in ("bf16", "tf32") and capability < (8, 0):
        raise InputError(
            f"precision {precision} on {device}: this GPU has compute capability {'.'.join(map(str, capability))} and "
            "lacks it in hardware, which takes 8.0 or later; use fp16, fp32 or auto"
        )


def _backend(name: str) -> ModuleType:
    return importlib.import_module(f"deepcam.model.engine.{name}")


def _shape_and_ranges(dataset: Path, channels: tuple[int, ...]) -> tuple[list[int], list[float], list[float]]:
    """Return the sample shape [H, W, C] and the minima and maxima of the selected channels, from dataset.json."""
    described = read_description(dataset)
    shape, ranges = list(described.sample_shape), described.ranges or ()
    if shape[0] % STRIDE or shape[1] % STRIDE or shape[2] != len(ranges):
        raise InputError(
            f"{dataset}: sample_shape {shape} with {len(ranges)} channels; it must be [H, W, channels], "
            f"H and W multiples of {STRIDE}"
        )
    if not channels or not all(0 <= channel < shape[2] for channel in channels):
        raise InputError(f"channels {list(channels)}: must be numbers from 0 to {shape[2] - 1} as in {dataset}")
    minimum, maximum = zip(*(ranges[channel] for channel in channels), strict=True)
    return shape, list(minimum), list(maximum)
