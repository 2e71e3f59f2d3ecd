"""Compare engines on a CPU with each other: time and memory from a full-size batch to its mask.

`make perf-engines` runs this. It writes results/performance/engines.json and prints its tables. Each engine runs in a
process of its own, so that its memory can be measured. The engines take turns, on a machine that should be idle
otherwise. Each runs with memory that stays in its process, as in the workflow, and some also without. At full width,
all processes together need 20 GB of memory.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
import dataset_example
import mlperf
import torch
from deepcam import allocator, climate, files, machine
from deepcam.config import Engine
from deepcam.data import synthesis
from deepcam.errors import InputError
from deepcam.model import accuracy, engine, engine_spec, split_file
from deepcam.model.engine import choice

SHAPE = (climate.HEIGHT, climate.WIDTH, len(climate.CHANNELS))
SPECS = {
    "eager fp32": Engine(backend="eager", precision="fp32"),
    "eager bf16": Engine(backend="eager", precision="bf16"),
    "aotinductor fp32": Engine(backend="aotinductor", precision="fp32"),
    "aotinductor bf16": Engine(backend="aotinductor", precision="bf16"),
    "openvino fp32": Engine(backend="openvino", precision="fp32"),
    "openvino bf16": Engine(backend="openvino", precision="bf16"),
    "openvino int8": Engine(backend="openvino", precision="int8"),
}
HEAP_RETURNED = ", heap returned"
"""End of the name of an engine in a process that returns freed memory to the kernel."""
ALSO_RETURNED = ("eager fp32", "aotinductor fp32", "aotinductor bf16")
"""Engines that are also measured so."""
MAX_BATCH = 2  # of the default benchmark
SEED = 0
"""Of the synthetic sample that the engines are called with."""
PAUSE_SECONDS = 0.3
"""Between calls: OpenMP's threads spin a while after their work, and would do so beside the next engine's."""


def main() -> None:
    parser = common.parser(__doc__)
    parser.set_defaults(repeats=9)
    parser.add_argument("--threads", type=int, default=2, help="of each engine")
    parser.add_argument("--widths", type=float, nargs="+", default=[1.0, 0.25], choices=(1.0, 0.25))
    arguments = parser.parse_args()
    try:
        engine_spec.check_packages(SPECS.values())
    except InputError as error:
        sys.exit(f"error: {error}")
    result: dict[str, Any] = {
        "machine": common.machine(common.ROOT),
        "threads": arguments.threads,
        "load_before": os.getloadavg()[0],
        "widths": {},
    }
    for width in arguments.widths:
        with tempfile.TemporaryDirectory() as folder:
            result["widths"] |= measure(Path(folder), width, arguments.threads, arguments.repeats)
        files.write_json(arguments.dir / "engines.json", result)
    print(tables(result))


def measure(folder: Path, width: float, threads: int, repeats: int) -> dict[str, dict[str, Any]]:
    """Build every engine of a width, and call them in turns after one call that does not count.

    Returns what each call took, by width and batch size and then by engine.
    """
    weights, dataset = model_and_dataset(folder, width)
    workers = {}
    for name, spec in SPECS.items():
        path = folder / f"{spec.name}.pt2"
        run_build(spec, weights, dataset, width, path)
        workers[name] = Worker(True, load_engine, path, threads)
        if name in ALSO_RETURNED:
            workers[name + HEAP_RETURNED] = Worker(False, load_engine, path, threads)
    calls = {
        size: common.in_turns({name: functools.partial(worker.call, size) for name, worker in workers.items()}, repeats)
        for size in range(1, MAX_BATCH + 1)
    }
    ends = {name: worker.close() for name, worker in workers.items()}
    _, expected = ends["eager fp32"]
    agreement = {name: (mask == expected).float().mean().item() for name, (_, mask) in ends.items()}
    return {
        f"{width}, batch {size}": {
            name: {"calls": calls[size][name], "peak_bytes": peak, "pixel_agreement": agreement[name]}
            for name, (peak, _) in ends.items()
        }
        for size in calls
    }


def model_and_dataset(folder: Path, width: float) -> tuple[Path, Path]:
    """Write weights for the network of this width, and dataset.json of the sample that engines are called with."""
    weights, dataset = folder / "model.pth", folder / "dataset.json"
    if width == 1.0:
        torch.save(mlperf.random_state(0), weights)
    else:
        split_file.assemble(common.ROOT / "share", weights)
    channels = synthesis.sample(SEED, *SHAPE[:2])[0].reshape(-1, SHAPE[2]).T
    dataset_example.dataset([(float(values.min()), float(values.max())) for values in channels], SHAPE).write(dataset)
    return weights, dataset


def auto(found: dict[str, dict[str, Any]]) -> str:
    """The engine that `backend: auto` takes by these times. Without labels, only the agreement of pixels is judged."""
    names = [f"{one.backend} {one.precision}" for one in engine_spec.candidates(Engine(backend="auto"), "cpu")]
    measured = [name for name in names if name in found]
    judged = [
        choice.Candidate(
            *name.split(),
            statistics.median(seconds for seconds, *_ in found[name]["calls"]),
            choice.PASSED if found[name]["pixel_agreement"] >= accuracy.MIN_PIXEL_AGREEMENT else "inaccurate",
        )
        for name in measured
    ]
    return measured[choice.choose(judged)]


def run_build(spec: Engine, weights: Path, dataset: Path, width: float, path: Path) -> None:
    """Build an engine as the workflow does: in a process of its own."""
    command = [
        sys.executable, "-m", "compile_engine", "--backend", spec.backend, "--precision", spec.precision,
        "--model", weights, "--dataset", dataset, "--max-batch", MAX_BATCH, "--width-multiplier", width,
        "--output", path,
    ]  # fmt: skip
    subprocess.run(list(map(str, command)), cwd=common.ROOT / "workflow_scripts", check=True, stderr=subprocess.DEVNULL)


class Worker:
    """An engine in a process of its own, called when asked to."""

    def __init__(self, keeps_heap: bool, load: Callable[..., Callable], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, load, arguments), daemon=True)
        os.environ.pop(allocator.VARIABLE, None)
        if keeps_heap:
            os.environ.update(allocator.keeping_heap(os.environ))
        self.process.start()
        other.close()

    def call(self, size: int) -> tuple[float, float, int]:
        """One call on this many samples: seconds on the clock, seconds of CPU time of all threads, and page faults."""
        time.sleep(PAUSE_SECONDS)
        self.pipe.send(size)
        return self.pipe.recv()

    def close(self) -> tuple[int, torch.Tensor]:
        """Peak resident bytes, and the mask."""
        self.pipe.send(0)
        peak, mask = self.pipe.recv()
        self.process.join()
        return peak, torch.from_numpy(mask)


def serve(pipe: Connection, load: Callable[..., Callable], arguments: tuple) -> None:
    run = load(*arguments)
    batch = torch.stack([torch.from_numpy(synthesis.sample(SEED + i, *SHAPE[:2])[0]) for i in range(MAX_BATCH)])
    mask = None
    while size := pipe.recv():
        faults, started, cpu = machine.page_faults(), time.perf_counter(), time.process_time()
        mask = run(batch[:size])
        pipe.send((time.perf_counter() - started, time.process_time() - cpu, machine.page_faults() - faults))
    pipe.send((machine.peak_rss_bytes(os.getpid()), mask.numpy()))


def load_engine(path: Path, threads: int) -> Callable[[torch.Tensor], torch.Tensor]:
    torch.set_num_threads(threads)
    return engine.load(path, "cpu")


def tables(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [f"{common.headline(result)}; {result['threads']} threads; {', '.join(result['machine']['isa'])}"]
    for width, found in result["widths"].items():
        lines += [
            "",
            f"| width {width} | seconds | fastest to slowest | eager fp32 / this | CPU seconds | eager fp32 / this "
            "| page faults | peak MiB | pixels that agree with eager fp32 |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        clocks = {
            name: [statistics.median(column) for column in zip(*row["calls"], strict=True)]
            for name, row in found.items()
        }
        for name, row in found.items():
            wall = [call[0] for call in row["calls"]]
            ratios = [mine / own for mine, own in zip(clocks["eager fp32"][:2], clocks[name][:2], strict=True)]
            lines.append(
                f"| {name} | {clocks[name][0]:.2f} | {min(wall):.2f} to {max(wall):.2f} | {ratios[0]:.2f} "
                f"| {clocks[name][1]:.2f} | {ratios[1]:.2f} | {clocks[name][2]:,.0f} "
                f"| {row['peak_bytes'] / 2**20:,.0f} | {row['pixel_agreement']:.4f} |"
            )
        lines += ["", f"`backend: auto` takes {auto(found)}."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
