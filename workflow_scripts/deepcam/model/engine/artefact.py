"""Engines on disk: built once per device, with a fingerprint beside them that says for which machine."""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from deepcam import config, files, machine
from deepcam.errors import InputError
from deepcam.model import checkpoint
from deepcam.model.engine.graph import Build, InferenceGraph
from deepcam.model.engine.runtime import Engine, Run, allow_tf32, on_gpu
from deepcam.model.engine_spec import check_device, resolve_precision, source_sha256
from deepcam.model.network import STRIDE, DeepLabV3Plus

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

FINGERPRINT_FIELDS = (
    "device_kind", "device_name", "compute_capability", "isa", "driver",
    "torch", "torch_tensorrt", "tensorrt", "source_sha256",
)  # fmt: skip
"""Fields that must agree between what built an engine and what loads it."""

ADVICE = "rebuild it with: snakemake --forcerun compile_engine, and this run's other options"


def build(
    spec: config.Engine,
    weights: Path,
    dataset: Path,
    device: str,
    max_batch: int,
    width_multiplier: float,
    channels: tuple[int, ...],
    output: Path,
) -> None:
    """Build an engine (.pt2) for batches of 1..max_batch samples, and beside it its fingerprint (.json).

    `dataset` is dataset.json: `sample_shape` [H, W, C] and per channel `minimum` and `maximum`. Raises InputError for
    weights, statistics, channels, shape or device that do not fit.
    """
    if output.suffix != ".pt2":
        raise InputError(f"{output}: an engine's name must end in .pt2; rename the output")
    if max_batch < 1:
        raise InputError(f"max batch is {max_batch}; it must be at least 1")
    check_device(spec, device)
    precision = resolve_precision(spec.precision, device)
    bound_to = fingerprint_fields(spec.backend, device)
    if device != "cpu":
        _refuse_emulated(precision, device)
        torch.cuda.set_device(device)
    shape, minimum, maximum = _statistics(dataset, channels)
    network = _network(weights, width_multiplier, channels)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    backend = _backend(spec.backend)
    backend.prepare(network)
    graph = InferenceGraph(network, minimum, maximum, DTYPES[precision], channels).to(device)
    fingerprint_path = output.with_suffix(".json")
    with files.locked(output.with_suffix(".lock")), tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        package = Path(scratch) / output.name
        allow_tf32(precision == "tf32")
        backend.package(graph, Build(precision, device, shape, max_batch), package, Path(scratch))
        seconds = time.perf_counter() - start
        # Never an old fingerprint beside a new engine, wherever this process dies.
        fingerprint_path.unlink(missing_ok=True)
        with files.atomic_path(output) as temporary:
            shutil.copyfile(package, temporary)
        files.write_json(
            fingerprint_path,
            {
                "backend": spec.backend,
                "requested_precision": spec.precision,
                "precision": precision,
                "cuda_graphs": spec.cuda_graphs,
                **bound_to,
                "weights_sha256": files.sha256(weights),
                "input_shape": shape,
                "max_batch": max_batch,
                "width_multiplier": width_multiplier,
                "channels": list(channels),
                "minimum": minimum,
                "maximum": maximum,
                "parameters": parameters,
                "build_seconds": seconds,
            },
        )


def load(path: Path, device: str) -> Engine:
    """Load an engine onto `device`, cpu or cuda:N; InputError where its fingerprint does not fit, or lacks a part."""
    fingerprint_path = path.with_suffix(".json")
    for file in (path, fingerprint_path):
        if not file.is_file():
            raise InputError(f"{file}: missing; {ADVICE}")
    try:
        fingerprint = json.loads(fingerprint_path.read_text())
        built = {field: fingerprint[field] for field in FINGERPRINT_FIELDS}
        backend, precision, cuda_graphs = (fingerprint[field] for field in ("backend", "precision", "cuda_graphs"))
        shape, max_batch = fingerprint["input_shape"], fingerprint["max_batch"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{fingerprint_path}: not an engine's fingerprint ({error!r}); {ADVICE}") from None
    for field, here in fingerprint_fields(backend, device).items():
        if built[field] != here:
            raise InputError(f"{path}: built with {field} {built[field]!r}, but here it is {here!r}; {ADVICE}")
    run = _backend(backend).load(path, device)
    return _engine(run, precision, cuda_graphs, device, shape, max_batch, fingerprint)


def reference(
    weights: Path, dataset: Path, device: str, max_batch: int, width_multiplier: float, channels: tuple[int, ...]
) -> Engine:
    """The network itself in true fp32, neither exported nor compiled: what engines are compared with.

    A call gives InferenceGraph.margins instead of a mask.
    """
    shape, minimum, maximum = _statistics(dataset, channels)
    network = _network(weights, width_multiplier, channels)
    graph = InferenceGraph(network, minimum, maximum, torch.float32, channels).to(device)
    return _engine(graph.margins, "fp32", False, device, shape, max_batch, {})


def _engine(
    run: Run,
    precision: str,
    cuda_graphs: bool,
    device: str,
    shape: list[int],
    max_batch: int,
    fingerprint: dict[str, Any],
) -> Engine:
    target = torch.device(device)
    if target.type == "cuda":
        target = torch.device("cuda", target.index or 0)
        # A process runs engines on one device; compiled code takes the current device's stream.
        torch.cuda.set_device(target)
        run = on_gpu(run, precision, cuda_graphs, target, shape, max_batch)
    return Engine(run, target, tuple(shape), max_batch, fingerprint)


def fingerprint_fields(backend: str, device: str) -> dict[str, Any]:
    """The present values of FINGERPRINT_FIELDS; InputError if there is no such device."""
    target = torch.device(device)
    fields: dict[str, Any] = dict.fromkeys(FINGERPRINT_FIELDS)
    fields |= {"device_kind": target.type, "isa": machine.isa(), "torch": torch.__version__}
    if target.type == "cuda":
        if (target.index or 0) >= torch.cuda.device_count():
            raise InputError(f"device {device}: PyTorch sees {torch.cuda.device_count()} CUDA devices; choose another")
        fields["device_name"] = torch.cuda.get_device_name(target)
        fields["compute_capability"] = ".".join(map(str, torch.cuda.get_device_capability(target)))
        fields["driver"] = machine.nvidia_driver()
    else:
        fields["device_name"] = machine.cpu()[0]
    return fields | _backend(backend).versions() | {"source_sha256": source_sha256()}


def _refuse_emulated(precision: str, device: str) -> None:
    capability = torch.cuda.get_device_capability(device)
    if precision in ("bf16", "tf32") and capability < (8, 0):
        raise InputError(
            f"precision {precision} on {device}: this GPU has compute capability {'.'.join(map(str, capability))} and "
            "lacks it in hardware, 8.0 and later have it; use fp16, fp32 or auto"
        )


def _backend(name: str) -> ModuleType:
    return importlib.import_module(f"deepcam.model.engine.{name}")


def _network(weights: Path, width_multiplier: float, channels: tuple[int, ...]) -> DeepLabV3Plus:
    network = DeepLabV3Plus(in_channels=len(channels), width_multiplier=width_multiplier).eval()
    checkpoint.load_into(network, checkpoint.load_state(weights))
    return network


def _statistics(dataset: Path, channels: tuple[int, ...]) -> tuple[list[int], list[float], list[float]]:
    """Sample shape [H, W, C], and the selected channels' minima and maxima, from dataset.json."""
    try:
        content = json.loads(dataset.read_text())
        shape = [int(length) for length in content["sample_shape"]]
        ranges = [(float(entry["minimum"]), float(entry["maximum"])) for entry in content["channels"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{dataset}: not a dataset description ({error!r}); build the dataset again") from None
    if len(shape) != 3 or shape[0] % STRIDE or shape[1] % STRIDE or shape[2] != len(ranges):
        raise InputError(
            f"{dataset}: sample_shape {shape} with {len(ranges)} channels; it must be [H, W, channels], "
            f"H and W multiples of {STRIDE}"
        )
    if not channels or not all(0 <= channel < shape[2] for channel in channels):
        raise InputError(f"channels {list(channels)}: must be numbers from 0 to {shape[2] - 1} as in {dataset}")
    minimum, maximum = zip(*(ranges[channel] for channel in channels), strict=True)
    return shape, list(minimum), list(maximum)
