"""Compare engines on a CPU with each other: time and memory from a full-size batch to its mask.

`make perf-engines` runs this. It writes results/performance/engines.json and prints its tables. Each engine runs in a
process of its own, so that its memory can be measured. The engines take turns, on a machine that should be idle
otherwise.
"""

from __future__ import annotations

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
from deepcam import climate, files, machine
from deepcam.config import Engine
from deepcam.data import synthesis
from deepcam.errors import InputError
from deepcam.model import engine, engine_spec, split_file

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
            result["widths"][str(width)] = measure(Path(folder), width, arguments.threads, arguments.repeats)
    files.write_json(arguments.dir / "engines.json", result)
    print(tables(result))


def measure(folder: Path, width: float, threads: int, repeats: int) -> dict[str, dict[str, Any]]:
    """Build every engine of a width, call them in turns after one that does not count, and say what each took."""
    weights, dataset = folder / "model.pth", folder / "dataset.json"
    if width == 1.0:
        torch.save(mlperf.random_state(0), weights)
    else:
        split_file.assemble(common.ROOT / "share", weights)
    channels = synthesis.sample(SEED, *SHAPE[:2])[0].reshape(-1, SHAPE[2]).T
    dataset_example.dataset([(float(values.min()), float(values.max())) for values in channels], SHAPE).write(dataset)
    workers = {}
    for name, spec in SPECS.items():
        run_build(spec, weights, dataset, width, folder / f"{spec.name}.pt2")
        workers[name] = Worker(load_engine, folder / f"{spec.name}.pt2", threads)
    calls = common.in_turns({name: worker.call for name, worker in workers.items()}, repeats)
    ends = {name: worker.close() for name, worker in workers.items()}
    _, expected = ends["eager fp32"]
    return {
        name: {"calls": calls[name], "peak_bytes": peak, "pixel_agreement": (mask == expected).float().mean().item()}
        for name, (peak, mask) in ends.items()
    }


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

    def __init__(self, load: Callable[..., Callable], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, load, arguments), daemon=True)
        self.process.start()
        other.close()

    def call(self) -> tuple[float, float]:
        """Seconds of one call: on the clock, and of CPU time over all threads."""
        time.sleep(PAUSE_SECONDS)
        self.pipe.send("call")
        return self.pipe.recv()

    def close(self) -> tuple[int, torch.Tensor]:
        """Peak resident bytes, and the mask."""
        self.pipe.send("close")
        peak, mask = self.pipe.recv()
        self.process.join()
        return peak, torch.from_numpy(mask)


def serve(pipe: Connection, load: Callable[..., Callable], arguments: tuple) -> None:
    run = load(*arguments)
    batch = torch.from_numpy(synthesis.sample(SEED, *SHAPE[:2])[0])[None]
    mask = None
    while pipe.recv() == "call":
        started, cpu = time.perf_counter(), time.process_time()
        mask = run(batch)
        pipe.send((time.perf_counter() - started, time.process_time() - cpu))
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
            "| peak MiB | pixels that agree with eager fp32 |",
            "|---|---|---|---|---|---|---|---|",
        ]
        clocks = {
            name: [statistics.median(column) for column in zip(*row["calls"], strict=True)]
            for name, row in found.items()
        }
        for name, row in found.items():
            wall = [call[0] for call in row["calls"]]
            ratios = [mine / own for mine, own in zip(clocks["eager fp32"], clocks[name], strict=True)]
            lines.append(
                f"| {name} | {clocks[name][0]:.2f} | {min(wall):.2f} to {max(wall):.2f} | {ratios[0]:.2f} "
                f"| {clocks[name][1]:.2f} | {ratios[1]:.2f} | {row['peak_bytes'] / 2**20:,.0f} "
                f"| {row['pixel_agreement']:.4f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
