"""Where does the time of an engine on a CPU go, and how far is it from what the machine could do?

`make perf-roofline` runs this. It measures the machine's fastest matrix product in each precision, and its memory
bandwidth. For each convolution of the network, it computes the shortest time that these allow: the number of operations
divided by the rate of the product, or the bytes divided by the bandwidth, whichever is longer (Williams, Waterman and
Patterson 2009, doi:10.1145/1498765.1498785). Whatever lies between convolutions counts as fused, so it takes no time.

The time of an engine is divided among classes of operations, as oneDNN and OpenVINO report them. The class "rest" has
what they do not report: code that Inductor generated. The program writes results/performance/roofline.json and prints
its tables.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
import engines
import torch
from deepcam import allocator, files
from deepcam.data import synthesis
from deepcam.model import engine
from deepcam.model.engine import openvino
from deepcam.model.network import NetworkSpec
from torch import nn

ENGINES = ("aotinductor fp32", "aotinductor bf16", "openvino fp32", "openvino bf16", "openvino int8")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
CHANNELS = (0, 1, 2, 10)
MATRIX_SIZES = (1024, 2048, 4096)
COPIED_BYTES = 2**30
CALLS = 3
"""Profiled calls of an engine, after one that does not count."""

ONEDNN_LINE = re.compile(r"^onednn_verbose,.*?exec,cpu,(?P<kind>\w+),.*,(?P<shape>[^,]*),(?P<time>[\d.]+)$", re.M)
"""A line that oneDNN prints for each operation, such as
`onednn_verbose,v1,primitive,exec,cpu,convolution,...,mb1_ic64oc128_ih96oh96kh1...,0.345`; the time is in ms."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution of the network, for one sample."""

    kind: str
    operations: int
    """Multiplications and additions."""
    values: int
    """Values that it reads and writes, weights included."""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--threads", type=int, default=2, help="of each engine")
    parser.add_argument("--width", type=float, default=1.0, choices=(1.0, 0.25), help="width of the network")
    parser.add_argument("--profile", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.profile:
        print(json.dumps(profile(arguments.profile, arguments.threads)))
        return
    result: dict[str, Any] = {
        "load_before": os.getloadavg()[0],
        "machine": common.machine(common.ROOT),
        "threads": arguments.threads,
        "width": arguments.width,
        "bytes_per_second": bandwidth(arguments.repeats),
        "operations_per_second": {name: peak(dtype, arguments.repeats) for name, dtype in DTYPES.items()},
        "engines": {},
    }
    found = layers(arguments.width)
    with tempfile.TemporaryDirectory() as folder:
        weights, dataset = engines.model_and_dataset(Path(folder), arguments.width)
        paths = {name: Path(folder, f"{engines.SPECS[name].name}.pt2") for name in ENGINES}
        for name, path in paths.items():
            engines.run_build(engines.SPECS[name], weights, dataset, arguments.width, path)
        workers = {
            name: engines.Worker(True, engines.load_engine, path, arguments.threads) for name, path in paths.items()
        }
        calls = common.in_turns(
            {name: functools.partial(worker.call, 1) for name, worker in workers.items()}, arguments.repeats
        )
        for worker in workers.values():
            worker.close()
        for name, path in paths.items():
            result["engines"][name] = {
                "seconds": [seconds for seconds, *_ in calls[name]],
                "seconds_of_class": profiled(path, arguments.threads),
                "roof_of_class": roof(found, result, engines.SPECS[name].precision),
                "operations_of_class": by_class(found, lambda layer: layer.operations),
            }
    files.write_json(arguments.dir / "roofline.json", result)
    print(tables(result))


def layers(width: float) -> list[Layer]:
    """The convolutions of the network, for one sample."""
    network = NetworkSpec(width, CHANNELS).create().eval()
    found: list[Layer] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        transposed = isinstance(module, nn.ConvTranspose2d)
        # Every value of this side is multiplied with each weight of its channel.
        side = inputs[0] if transposed else output
        operations = 2 * side.numel() * module.weight[0].numel()
        found.append(Layer(class_of(module), operations, inputs[0].numel() + output.numel() + module.weight.numel()))

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(note)
    with torch.inference_mode():
        network(torch.zeros(1, len(CHANNELS), *engines.SHAPE[:2]))
    return found


def class_of(module: nn.Conv2d | nn.ConvTranspose2d) -> str:
    if isinstance(module, nn.ConvTranspose2d):
        return "deconvolution"
    if module.groups > 1:
        return "depthwise"
    return "1x1" if module.kernel_size == (1, 1) else "dense 3x3"


def by_class(found: list[Layer], value: Callable[[Layer], float]) -> dict[str, float]:
    sums: dict[str, float] = collections.defaultdict(float)
    for layer in found:
        sums[layer.kind] += value(layer)
    return dict(sums)


def roof(found: list[Layer], result: Mapping[str, Any], precision: str) -> dict[str, float]:
    """The shortest time of each class, seconds."""
    size = DTYPES[precision].itemsize
    peak, bandwidth = result["operations_per_second"][precision], result["bytes_per_second"]
    return by_class(found, lambda layer: max(layer.operations / peak, layer.values * size / bandwidth))


def peak(dtype: torch.dtype, repeats: int) -> float:
    """Operations per second of the fastest product of two matrices."""
    multiply = torch._int_mm if dtype == torch.int8 else torch.mm
    rates = []
    for size in MATRIX_SIZES:
        left, right = (torch.ones(size, size).to(dtype) for _ in range(2))
        rates.append(2 * size**3 / fastest(functools.partial(multiply, left, right), repeats))
    return max(rates)


def bandwidth(repeats: int) -> float:
    """Bytes per second that copying memory reads and writes."""
    source, target = (torch.ones(COPIED_BYTES // 4) for _ in range(2))
    return 2 * COPIED_BYTES / fastest(lambda: target.copy_(source), repeats)


def fastest(action: Callable[[], Any], repeats: int) -> float:
    """Seconds of the fastest call, after one that does not count."""
    return min([timed(action) for _ in range(repeats + 1)][1:])


def profiled(path: Path, threads: int) -> dict[str, float]:
    """Seconds of each class of operations in a call of the engine, in a process of its own."""
    command = [sys.executable, __file__, "--profile", str(path), "--threads", str(threads)]
    # OpenVINO has a oneDNN of its own, which fails if it is verbose.
    verbose = {} if is_openvino(path) else {"ONEDNN_VERBOSE": "profile_exec"}
    environment = os.environ | allocator.keeping_heap(os.environ) | verbose
    lines = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    answer = json.loads(lines.splitlines()[-1])
    if "seconds_of_class" in answer:
        return answer["seconds_of_class"]
    called = lines.split(MARK)[1]
    sums: dict[str, float] = collections.defaultdict(float)
    for line in ONEDNN_LINE.finditer(called):
        sums[class_of_line(line["kind"], line["shape"])] += float(line["time"]) / 1e3 / CALLS
    rest = statistics.mean(answer["seconds"]) - sum(sums.values())
    return dict(sums) | {"rest": rest}


MARK = "--- calls that count ---\n"


def class_of_line(kind: str, shape: str) -> str:
    """The class of an operation that oneDNN reports, by its kind and shape."""
    if kind == "deconvolution":
        return "deconvolution"
    if kind in ("convolution", "matmul", "inner_product"):
        if re.match(r"mb\d+_?g\d+|g\d+", shape):
            return "depthwise"
        return "dense 3x3" if re.search(r"kh[2-9]", shape) else "1x1"
    return "layout" if kind == "reorder" else "rest"


def profile(path: Path, threads: int) -> dict[str, Any]:
    """Call the engine. With AOTInductor, oneDNN prints what it does; OpenVINO counts by itself."""
    batch = torch.from_numpy(synthesis.sample(engines.SEED, *engines.SHAPE[:2])[0])[None]
    if not is_openvino(path):
        run = engine.load(path, "cpu")
        run(batch)
        print(MARK, end="", flush=True)
        return {"seconds": [timed(lambda: run(batch)) for _ in range(CALLS)]}
    request = openvino.request(path, {"PERF_COUNT": True})
    sums: dict[str, float] = collections.defaultdict(float)
    for call in range(CALLS + 1):
        request.infer([batch.numpy()], share_inputs=True)
        for node in request.profiling_info if call else ():
            sums[class_of_node(node.node_type, node.exec_type)] += node.real_time.total_seconds() / CALLS
    return {"seconds_of_class": dict(sums)}


def class_of_node(kind: str, implementation: str) -> str:
    """The class of an operation that OpenVINO reports, by its type and the kernel that runs it."""
    if kind == "Deconvolution" or "Backprop" in kind:
        return "deconvolution"
    if kind == "GroupConvolution" or "dw" in implementation:
        return "depthwise"
    if kind == "Convolution":
        return "1x1" if "1x1" in implementation else "dense 3x3"
    return "layout" if kind in ("Reorder", "Transpose") else "rest"


def is_openvino(path: Path) -> bool:
    with zipfile.ZipFile(path) as packed:
        return openvino.MODEL in packed.namelist()


def timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def tables(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    rates = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in result["operations_per_second"].items())
    lines = [
        f"{common.headline(result)}; {result['threads']} threads; {', '.join(result['machine']['isa'])}",
        "",
        f"Width {result['width']}, one sample. Fastest matrix products: {rates}. Memory: "
        f"{result['bytes_per_second'] / 1e9:.1f} GB/s.",
    ]
    for name, found in result["engines"].items():
        seconds, roofs = statistics.median(found["seconds"]), found["roof_of_class"]
        lines += [
            "",
            f"| {name} | ms | share | GFLOP/s | roof, ms | roof / time |",
            "|---|---|---|---|---|---|",
        ]
        for kind, own in sorted(found["seconds_of_class"].items(), key=lambda item: -item[1]):
            operations = found["operations_of_class"].get(kind, 0)
            least = roofs.get(kind)
            lines.append(
                f"| {kind} | {own * 1e3:.0f} | {own / seconds:.0%} | {operations / own / 1e9:,.0f} "
                + (f"| {least * 1e3:.0f} | {least / own:.2f} |" if least else "| - | - |")
            )
        total, operations = sum(roofs.values()), sum(found["operations_of_class"].values())
        lines.append(
            f"| whole call | {seconds * 1e3:.0f} | 100% | {operations / seconds / 1e9:,.0f} | {total * 1e3:.0f} "
            f"| {total / seconds:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
