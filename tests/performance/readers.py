"""All readers beside each other, beside fio, and beside a loop around DALI written by hand; and the cost of the clock.

Run by `make perf-readers`. Writes results/performance/readers.json and prints its tables. Everything in a table was
measured in one run, in turns, on a machine that should have nothing else to do. Of the threads that are tried, those
that were best for a way count.
"""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import common  # first: it finds the project's code
import numpy as np
from deepcam import climate, files
from deepcam.benchmark import page_cache, ranks, timed_loop
from deepcam.benchmark.readers import Batch
from deepcam.grid import NONE, READERS, Cell

SHAPE = (climate.HEIGHT, climate.WIDTH, len(climate.CHANNELS))
SAMPLE_BYTES = math.prod(SHAPE) * 4

HOST_READERS = [name for name, reader in READERS.items() if not reader.gpu]
DALI_READERS = [name for name in HOST_READERS if READERS[name].module == "dali"]
LOOPS: dict[str, dict[str, Any]] = {
    "loop-mmap": {},
    "loop-buffered": {"dont_use_mmap": True},
    "loop-direct": {"dont_use_mmap": True, "use_o_direct": True},
}
"""The loop by hand: DALI's arguments for its three ways to read."""

BLOCK = 4096
FIO_BLOCK = 1 << 20
"""Of `fio-1m`; that of `fio` is as large as a chunk of `raw` and `pread`."""

MIN_SECONDS, WARM_PASSES = 0.3, 3
"""How long a warm run is: of a reader, as in config.yaml, and of the others."""

RESIDENCY_TOLERANCE = 0.01
CLOCKED_BATCHES = 20_000

LIKE_LOOP = 0.95
"""Two equal ways differ by so much from run to run."""

Rates = dict[Cell, list[float]]
"""GB/s of each turn."""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--samples", type=int, default=32, help="of full size, 56.6 MB each")
    parser.add_argument("--batch-size", type=int, default=2, help="samples a batch")
    parser.add_argument(
        "--threads",
        type=inter_x_intra,
        nargs="+",
        default=[(2, 1), (4, 1), (8, 1), (2, 4)],
        help="to be tried: inter x intra, such as 2x4; one of them with intra 1 (default: 2x1 4x1 8x1 2x4)",
    )
    arguments = parser.parse_args()
    if shutil.which("fio") is None:
        parser.error("fio: not found; install it (apt-get install fio, dnf install fio)")
    if arguments.samples < max(inter for inter, _ in arguments.threads):
        parser.error("--samples: fewer than samples in flight; raise it, or lower --threads")
    if all(intra > 1 for _, intra in arguments.threads):
        parser.error("--threads: most readers take intra 1 only; add such a one")
    arguments.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder, ExitStack() as workers:
        paths = write_samples(Path(folder), arguments.samples)
        result: dict[str, Any] = {
            "machine": common.machine(paths[0]),
            "load_before": os.getloadavg()[0],
            "samples": len(paths),
            "batch_size": arguments.batch_size,
        }
        rates = common.in_turns(ways(grid(arguments.threads, arguments.batch_size), paths, workers), arguments.repeats)
        clock = clock_seconds(arguments.batch_size, arguments.repeats, workers)
        result["load_after"] = os.getloadavg()[0]
    result["rates"] = [
        {"way": cell.reader, "cache": cell.cache, "threads": threads_of(cell), "gigabytes_per_second": values}
        for cell, values in rates.items()
    ]
    result["clock_seconds_a_batch"] = clock
    result["targets"] = targets(rates, clock)
    files.write_json(arguments.dir / "readers.json", result)
    print(tables(result, rates))


def inter_x_intra(text: str) -> tuple[int, int]:
    """4x2 -> (4, 2)"""
    inter, intra = text.split("x")
    return int(inter), int(intra)


def write_samples(folder: Path, count: int) -> tuple[Path, ...]:
    """`count` files of random numbers, on storage."""
    rng = np.random.default_rng(2026)
    paths = tuple(folder / climate.npy_names(name)[0] for name in climate.synthetic_names(count))
    for path in paths:
        np.save(path, rng.random(SHAPE, dtype=np.float32))
    os.sync()
    return paths


def grid(threads: Sequence[tuple[int, int]], batch_size: int) -> list[Cell]:
    """All that is measured, cold and then warm. Whatever reads a sample in one piece takes no part in intra_threads."""
    single = {*(name for name in HOST_READERS if not READERS[name].chunks), *LOOPS, "fio-1m"}
    return [
        Cell("io", way, cache, NONE, 1, batch_size, inter, intra)
        for cache in ("cold", "warm")
        for way in ["fio", "fio-1m", *HOST_READERS, *LOOPS]
        for inter, intra in threads
        if intra == 1 or way not in single
    ]


def ways(cells: Sequence[Cell], paths: tuple[Path, ...], workers: ExitStack) -> dict[Cell, Callable[[], float]]:
    """How each cell is measured. Processes are kept from turn to turn: after the first, their memory is theirs."""
    # One for each number of chunks, which DALI reads from the environment, once.
    processes = {key: worker(workers) for key in {(cell.reader, cell.intra_threads) for cell in cells}}

    def way(cell: Cell) -> Callable[[], float]:
        function = run_fio if cell.reader.startswith("fio") else run_loop if cell.reader in LOOPS else run_reader
        return lambda: processes[cell.reader, cell.intra_threads].submit(function, cell, paths).result()

    return {cell: way(cell) for cell in cells}


def worker(workers: ExitStack) -> ProcessPoolExecutor:
    """A process of its own, started by the first call."""
    return workers.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))


def run_reader(cell: Cell, paths: tuple[Path, ...]) -> float:
    """GB/s of one of our readers in the benchmark's own loop."""
    warm = cell.cache == "warm"
    plan = timed_loop.Plan(cell, paths, SHAPE, one_run(int(warm), MIN_SECONDS if warm else 0))
    [run] = timed_loop.measure(plan, ranks.init_ranks(1)) or []
    check_residency(cell, run.residency_low)
    if run.ranks[0].samples != {path.name: run.passes for path in paths}:
        raise RuntimeError(f"{cell.id}: did not read every sample once a pass")
    return len(paths) * run.passes * SAMPLE_BYTES / run.ranks[0].seconds / 1e9


def one_run(warmup_runs: int, min_seconds: float) -> timed_loop.Settings:
    """A single run: repeats are the turns."""
    return timed_loop.Settings(warmup_runs, 1, min_seconds, drop_caches=False, shuffle="none")


def run_fio(cell: Cell, paths: tuple[Path, ...]) -> float:
    """GB/s of fio: a thread for each chunk of a sample in flight, each thread with files of its own."""
    chunk = SAMPLE_BYTES // cell.intra_threads // BLOCK * BLOCK
    cold = cell.cache == "cold"
    command = [
        "fio", "--output-format=json", "--group_reporting", "--thread", "--rw=read", "--ioengine=psync",
        f"--bs={FIO_BLOCK if cell.reader == 'fio-1m' else chunk}", f"--direct={int(cold)}", "--invalidate=0",
        "--file_service_type=sequential", f"--loops={1 if cold else WARM_PASSES}",
    ]  # fmt: skip
    for thread in range(cell.inter_threads * cell.intra_threads):
        sample, place = divmod(thread, cell.intra_threads)
        own = paths[sample :: cell.inter_threads]
        names, start = ":".join(map(str, own)), place * chunk
        command += [f"--name={thread}", f"--filename={names}", f"--offset={start}", f"--size={chunk * len(own)}"]
    # Huge pages, as our readers have them: without, O_DIRECT requests are small, and storage gives little over half.
    huge = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"} if cold else {}
    prepare(cell, paths)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | huge)
    read = json.loads(done.stdout)["jobs"][0]["read"]
    return read["io_bytes"] / read["runtime"] / 1e6  # milliseconds


def run_loop(cell: Cell, paths: tuple[Path, ...]) -> float:
    """GB/s of the least that one writes to read with DALI."""
    from nvidia.dali import Pipeline, fn

    prepare(cell, paths)
    pipeline = Pipeline(cell.local_batch_size, cell.inter_threads, device_id=None, prefetch_queue_depth=4)
    with pipeline:
        pipeline.set_outputs(fn.readers.numpy(files=[str(path) for path in paths], **LOOPS[cell.reader]))
    pipeline.build()
    passes = 1 if cell.cache == "cold" else WARM_PASSES
    batches = passes * len(paths) // cell.local_batch_size
    started = time.perf_counter()
    for _ in range(batches):
        pipeline.run()
    return batches * cell.local_batch_size * SAMPLE_BYTES / (time.perf_counter() - started) / 1e9


def prepare(cell: Cell, paths: tuple[Path, ...]) -> None:
    """Bring the page cache into the cell's state."""
    (page_cache.evict if cell.cache == "cold" else page_cache.preload)(paths)
    check_residency(cell, page_cache.resident_fraction(paths))


def check_residency(cell: Cell, resident: float) -> None:
    if abs(resident - (cell.cache == "warm")) > RESIDENCY_TOLERANCE:
        raise RuntimeError(f"{cell.id}: {resident:.0%} of the files are in the page cache; leave it more memory")


class Resident:
    """A reader that has nothing to do."""

    processes = ()

    def __init__(self, batch_size: int) -> None:
        self.details: dict[str, Any] = {}
        self.batch = Batch(["data.npy"] * batch_size, np.empty((batch_size, *SHAPE), np.float32))

    def __iter__(self) -> Iterator[Batch]:
        return (self.batch for _ in range(CLOCKED_BATCHES))


def clock_seconds(batch_size: int, repeats: int, workers: ExitStack) -> float:
    """What the benchmark's loop adds to a batch: a reader that has nothing to do, in that loop and in a bare one."""
    process = worker(workers)
    loops = {loop: lambda loop=loop: process.submit(loop, batch_size).result() for loop in (benchmark_loop, bare_loop)}
    seconds = common.in_turns(loops, repeats)
    return (statistics.median(seconds[benchmark_loop]) - statistics.median(seconds[bare_loop])) / CLOCKED_BATCHES


def benchmark_loop(batch_size: int) -> float:
    reader = Resident(batch_size)
    cell = Cell("io", "resident", NONE, NONE, 1, batch_size, 1, 1)
    plan = timed_loop.Plan(cell, (Path("data.npy"),), SHAPE, one_run(warmup_runs=0, min_seconds=0))
    with mock.patch.object(timed_loop, "open_reader", lambda *_: nullcontext(reader)):
        [run] = timed_loop.measure(plan, ranks.init_ranks(1)) or []
    return run.ranks[0].seconds


def bare_loop(batch_size: int) -> float:
    reader = Resident(batch_size)
    started = time.perf_counter()
    for _ in reader:
        pass
    return time.perf_counter() - started


def targets(rates: Rates, clock: float) -> list[dict[str, Any]]:
    """All targets, judged by medians. The first are ratios of rates, the last is a share of time."""
    medians = {cell: statistics.median(values) for cell, values in rates.items()}
    found: list[dict[str, Any]] = []

    def at_least(wanted: float, what: str, ratio: float) -> None:
        found.append({"target": what, "wanted": f"at least {wanted}", "value": ratio, "met": ratio >= wanted})

    def beside(cell: Cell, way: str) -> float:
        return medians[cell] / medians[dataclasses.replace(cell, reader=way)]

    for cache, of_raw, of_dali in (("cold", 0.95, 1.25), ("warm", 0.9, 1.1)):
        pread, raw, dali, loop = (
            best(medians, cache, names) for names in (["pread"], ["pread-discard"], DALI_READERS, list(LOOPS))
        )
        at_least(of_raw, f"{cache}: pread to raw, {threads_of(pread)} both", beside(pread, "pread-discard"))
        at_least(of_dali, f"{cache}: pread to {dali.reader}, each at its best", medians[pread] / medians[dali])
        at_least(0.7, f"{cache}: {dali.reader} to raw, each at its best", medians[dali] / medians[raw])
        at_least(LIKE_LOOP, f"{cache}: {dali.reader} to {loop.reader}, each at its best", medians[dali] / medians[loop])
        at_least(0.9, f"{cache}: raw to fio, {threads_of(raw)} both", beside(raw, "fio"))
    same = [cell for cell in medians if (cell.reader, cell.cache, cell.intra_threads) == ("pread", "warm", 1)]
    at_least(3, "warm: pread to torch, as many threads as workers", min(beside(cell, "torch") for cell in same))
    raw = best(medians, "warm", ["pread-discard"])
    share = clock / (raw.local_batch_size * SAMPLE_BYTES / 1e9 / medians[raw])
    what = f"warm: the timed loop itself, {clock * 1e6:.1f} microseconds a batch, share of a batch of raw"
    found.append({"target": what, "wanted": "at most 0.01", "value": share, "met": share <= 0.01})
    return found


def best(medians: dict[Cell, float], cache: str, names: Sequence[str]) -> Cell:
    """The fastest cell of these ways."""
    return max((cell for cell in medians if cell.cache == cache and cell.reader in names), key=medians.__getitem__)


def threads_of(cell: Cell) -> str:
    return f"{cell.inter_threads}x{cell.intra_threads}"


def tables(result: dict[str, Any], rates: Rates) -> str:
    """The result as Markdown."""
    medians = {cell: statistics.median(values) for cell, values in rates.items()}
    lines = [f"{common.headline(result)}, after: {result['load_after']:.1f}"]
    for cache in ("cold", "warm"):
        lines += ["", f"| {cache} | threads | GB/s | slowest to fastest | to raw |", "|---|---|---|---|---|"]
        raw = medians[best(medians, cache, ["pread-discard"])]
        for way in dict.fromkeys(cell.reader for cell in rates):
            cell = best(medians, cache, [way])
            low, middle, high = min(rates[cell]), medians[cell], max(rates[cell])
            lines.append(
                f"| {way} | {threads_of(cell)} | {middle:.2f} | {low:.2f} to {high:.2f} | {middle / raw:.2f} |"
            )
    lines += ["", "| target | wanted | measured | |", "|---|---|---|---|"]
    for row in result["targets"]:
        verdict = "pass" if row["met"] else "miss"
        lines.append(f"| {row['target']} | {row['wanted']} | {row['value']:.3g} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
