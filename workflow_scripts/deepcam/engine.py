"""Inference engines: one graph from a raw batch to a mask, exported or compiled ahead of time, bound to its machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch._inductor.package.package import AOTICompiledModel
from torch._inductor.utils import fresh_cache

from deepcam import checkpoint, files
from deepcam.climate import MODEL_CHANNELS, InputError
from deepcam.network import STRIDE, DeepLabV3Plus

Backend = Literal["eager", "aotinductor"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

BF16_FLAGS = ("amx_bf16", "avx512_bf16")
"""CPU flags of hardware that multiplies bfloat16; without one, oneDNN emulates it, slower than float32."""

ISA_FLAGS = (*BF16_FLAGS, "amx_tile", "avx512_fp16", "avx512_vnni", "avx512f", "avx2", "fma")
"""CPU flags that decide which machine code is compiled and which kernels run."""

MACHINE_FIELDS = ("device_kind", "device_name", "isa", "compute_capability", "torch")
"""Fingerprint fields that must agree between the machine that built an engine and the one that runs it."""

SOURCES = ("engine.py", "network.py", "climate.py")


@dataclasses.dataclass(frozen=True)
class EngineSpec:
    """Which backend runs the graph, and in which precision. Raises InputError for a name that is neither."""

    backend: Backend
    precision: Precision

    def __post_init__(self) -> None:
        for field, value, known in (
            ("backend", self.backend, get_args(Backend)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value not in known:
                raise InputError(f"engine {field} {value!r} is unknown; use one of {', '.join(known)}")

    @property
    def name(self) -> str:
        return f"{self.backend}-{self.precision}"


class InferenceGraph(nn.Module):
    """Raw batch (N, H, W, C) float32, contiguous, to mask (N, H, W) uint8 of class numbers.

    Selects `channels`, normalises with (x - minimum) / (maximum - minimum) as MLPerf DeepCAM does, runs `network` in
    `dtype` and takes the best class. `minimum` and `maximum` are the dataset's, one value per selected channel.
    """

    def __init__(
        self,
        network: nn.Module,
        minimum: list[float],
        maximum: list[float],
        dtype: torch.dtype,
        channels: tuple[int, ...] = MODEL_CHANNELS,
    ) -> None:
        super().__init__()
        low, high = torch.tensor(minimum, dtype=torch.float32), torch.tensor(maximum, dtype=torch.float32)
        self.register_buffer("channels", torch.tensor(channels))
        self.register_buffer("minimum", low)
        # A constant channel becomes 0, not NaN.
        self.register_buffer("range", torch.where(high > low, high - low, 1.0))
        self.network = network.eval().to(dtype=dtype, memory_format=torch.channels_last)
        self.dtype = dtype

    def forward(self, batch: Tensor) -> Tensor:
        fields = ((batch.index_select(3, self.channels) - self.minimum) / self.range).to(self.dtype)
        # Channels stay innermost in memory: for the network this is channels_last, without a copy.
        return self.network(fields.permute(0, 3, 1, 2)).argmax(1).to(torch.uint8)


@dataclasses.dataclass(frozen=True)
class Engine:
    """A loaded engine: call it with a batch (N, H, W, C) float32 on its device for the mask (N, H, W) uint8."""

    run: Callable[[Tensor], Tensor]
    fingerprint: dict[str, Any]

    def __call__(self, batch: Tensor) -> Tensor:
        """Raises InputError for another shape or dtype, over max_batch samples, or a batch that is not contiguous."""
        shape, most = self.fingerprint["input_shape"], self.fingerprint["max_batch"]
        # A compiled engine reads its input by address and would not notice.
        if list(batch.shape[1:]) != shape or not 1 <= len(batch) <= most or batch.dtype != torch.float32:
            raise InputError(
                f"batch is {list(batch.shape)} {batch.dtype}, the engine takes 1 to {most} samples of {shape} "
                "torch.float32; rebuild the engine for this dataset and batch size"
            )
        if not batch.is_contiguous():
            raise InputError(f"batch has strides {batch.stride()}; the engine takes a contiguous (N, H, W, C) batch")
        with torch.inference_mode():
            return self.run(batch)


def resolve_precision(precision: str, device: str) -> str:
    """'fp32', 'bf16' or 'fp16'; auto is fp16 on CUDA, bf16 on a CPU with bfloat16 hardware, else fp32.

    Raises InputError for a precision that the device only emulates.
    """
    if torch.device(device).type == "cuda":
        return "fp16" if precision == "auto" else precision
    has_bf16 = not _cpu()[1].isdisjoint(BF16_FLAGS)
    if precision == "auto":
        return "bf16" if has_bf16 else "fp32"
    if precision == "fp16":
        raise InputError(
            f"precision fp16 on {device}: CPUs run this network in fp16 by emulation; use bf16, fp32 or auto"
        )
    if precision == "bf16" and not has_bf16:
        raise InputError(
            f"precision bf16 on {device}: this CPU has neither {' nor '.join(BF16_FLAGS)}, so bf16 would be emulated; "
            "use fp32 or auto"
        )
    return precision


def build(
    spec: EngineSpec,
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
    machine = machine_fields(device)
    precision = resolve_precision(spec.precision, device)
    shape, minimum, maximum = _statistics(dataset, channels)
    network = DeepLabV3Plus(in_channels=len(channels), width_multiplier=width_multiplier)
    checkpoint.load_into(network, checkpoint.load_state(weights))
    graph = InferenceGraph(network, minimum, maximum, DTYPES[precision], channels).to(device)
    fingerprint_path = output.with_suffix(".json")
    with files.locked(output.with_suffix(".lock")), tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        package = Path(scratch) / output.name
        _package(spec.backend, _export(graph, shape, max_batch, device), package, Path(scratch))
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
                **machine,
                "driver": _driver(device),
                "weights_sha256": files.sha256(weights),
                "source_sha256": _source_sha256(),
                "input_shape": shape,
                "max_batch": max_batch,
                "width_multiplier": width_multiplier,
                "channels": list(channels),
                "minimum": minimum,
                "maximum": maximum,
                "parameters": sum(parameter.numel() for parameter in network.parameters()),
                "build_seconds": seconds,
            },
        )


def load(path: Path, device: str) -> Engine:
    """Load an engine onto `device`; InputError if it was built for another machine or PyTorch, or is incomplete."""
    advice = "delete the engine, or rerun snakemake, so that it is rebuilt here"
    fingerprint_path = path.with_suffix(".json")
    for file in (path, fingerprint_path):
        if not file.is_file():
            raise InputError(f"{file}: missing; {advice}")
    try:
        fingerprint = json.loads(fingerprint_path.read_text())
        built = {field: fingerprint[field] for field in MACHINE_FIELDS}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{fingerprint_path}: not an engine's fingerprint ({error!r}); {advice}") from None
    for field, here in machine_fields(device).items():
        if built[field] != here:
            raise InputError(f"{path}: built with {field} {built[field]!r}, but here it is {here!r}; {advice}")
    target = torch.device(device)
    if fingerprint["backend"] == "aotinductor":
        index = -1 if target.type == "cpu" else target.index or 0
        # aoti_load_package would first compile probes of the CPU, for seconds, to warn of what is refused above.
        loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, index)
        return Engine(AOTICompiledModel(loader), fingerprint)
    program = torch.export.load(str(path))
    if target.type == "cuda":
        # Built on one GPU, run by a local rank on any.
        program = torch.export.passes.move_to_device_pass(program, device)
    return Engine(program.module(), fingerprint)


def machine_fields(device: str) -> dict[str, Any]:
    """The present values of MACHINE_FIELDS for `device`; InputError if there is no such device."""
    target = torch.device(device)
    fields: dict[str, Any] = {"device_kind": target.type, "isa": None, "compute_capability": None}
    if target.type == "cuda":
        if (target.index or 0) >= torch.cuda.device_count():
            raise InputError(f"device {device}: PyTorch sees {torch.cuda.device_count()} CUDA devices; choose another")
        fields["device_name"] = torch.cuda.get_device_name(target)
        fields["compute_capability"] = ".".join(map(str, torch.cuda.get_device_capability(target)))
    else:
        fields["device_name"], flags = _cpu()
        fields["isa"] = sorted(flags.intersection(ISA_FLAGS))
    fields["torch"] = torch.__version__
    return fields


def _cpu() -> tuple[str, frozenset[str]]:
    """Model name and feature flags of the first CPU, from /proc/cpuinfo ("Features" on Arm)."""
    pairs = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    entries = {key.strip(): value.strip() for key, _, value in reversed(pairs)}
    flags = entries.get("flags", entries.get("Features", ""))
    return entries.get("model name", platform.machine()), frozenset(flags.split())


def _driver(device: str) -> str | None:
    """Version of the NVIDIA kernel module; None on a CPU, or where the kernel does not tell (WSL)."""
    version = Path("/sys/module/nvidia/version")
    return version.read_text().strip() if torch.device(device).type == "cuda" and version.is_file() else None


def _source_sha256() -> str:
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()


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


def _export(graph: InferenceGraph, shape: list[int], max_batch: int, device: str) -> torch.export.ExportedProgram:
    """`graph` for any batch of 1..max_batch samples. torch.export takes an example of 1 for a constant: 2 are shown."""
    example = torch.zeros(min(max_batch, 2), *shape, device=device)
    batch = torch.export.Dim("batch", min=1, max=max_batch) if max_batch > 1 else None
    with torch.no_grad():
        return torch.export.export(graph, (example,), dynamic_shapes=({0: batch} if batch else None,))


def _package(backend: Backend, program: torch.export.ExportedProgram, package: Path, scratch: Path) -> None:
    if backend == "eager":
        # Else the example batch is saved too, which at full size outweighs the network.
        program.example_inputs = None
        with warnings.catch_warnings():
            # channels_last weights count as incomplete there, yet are saved whole, with their strides.
            warnings.filterwarnings("ignore", "No complete tensor found in the group")
            torch.export.save(program, str(package))
        return
    # A cache of its own: build_seconds means a whole build, and parallel builds stay apart.
    with fresh_cache(dir=str(scratch)):
        torch._inductor.aoti_compile_and_package(
            program,
            package_path=str(package),
            inductor_configs={
                # Else the number of threads of the building process is compiled in, whatever the run asks for.
                "cpp.dynamic_threads": True,
                # Else headers are compiled into a cache that all builds of this user share.
                "aot_inductor.precompile_headers": False,
            },
        )
