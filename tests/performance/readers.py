"""Compare all readers with each other, with fio and with a minimal DALI loop, and measure the overhead of the clock.

`make perf-readers` runs this. It writes results/performance/readers.json and prints its tables. All numbers of a table
come from one run, in which the ways take turns, on a machine that should be idle otherwise. Each way is tried with
several numbers of threads, and the best number counts.
"""

from __future__ import annotations

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
from deepcam.benchmark import measure, page_cache, ranks, timed_loop
from deepcam.benchmark.devices import open_device
from deepcam.benchmark.readers import Batch
from deepcam.benchmark.timed_evidence import TimedEvidence
from deepcam.grid import NONE, READERS, Cell
from deepcam.record.schema import Settings
from reader_targets import judge, tables, threads_of

SHAPE = (climate.HEIGHT, climate.WIDTH, len(climate.CHANNELS))
SAMPLE_BYTES = math.prod(SHAPE) * 4

HOST_READERS = [name for name, reader in READERS.items() if not reader.gpu]
LOOPS: dict[str, dict[str, Any]] = {
    "loop-mmap": {},
    "loop-buffered": {"dont_use_mmap": True},
    "loop-direct": {"dont_use_mmap": True, "use_o_direct": True},
}
"""DALI's arguments for its three ways to read, in the minimal loop."""

BLOCK = 4096
FIO_BLOCK = 1 << 20
"""Block size of `fio-1m`. The block size of `fio` is that of a chunk of `pread` and `pread-discard`."""

MIN_SECONDS, WARM_EPOCHS = 0.3, 3
"""Length of a warm run: seconds for a reader, as in config.yaml, and epochs for fio and the DALI loop."""

RESIDENCY_TOLERANCE = 0.01
CLOCKED_BATCHES = 20_000


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
    result["targets"] = judge(rates, LOOPS, clock, arguments.batch_size * SAMPLE_BYTES)
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
    """All cells, the cold ones first. Ways that read a sample in one piece have one intra-sample thread only."""
    single = {*(name for name in HOST_READERS if not READERS[name].chunks), *LOOPS, "fio-1m"}
    return [
        Cell("io", way, cache, NONE, 1, batch_size, inter, intra)
        for cache in ("cold", "warm")
        for way in ["fio", "fio-1m", *HOST_READERS, *LOOPS]
        for inter, intra in threads
        if intra == 1 or way not in single
    ]


def ways(cells: Sequence[Cell], paths: tuple[Path, ...], workers: ExitStack) -> dict[Cell, Callable[[], float]]:
    """The function that measures each cell. Processes live through all turns, so only the first waits for memory."""
    # A process for each number of chunks, because DALI reads it from the environment only once.
    processes = {key: worker(workers) for key in {(cell.reader, cell.intra_threads) for cell in cells}}

    def way(cell: Cell) -> Callable[[], float]:
        function = run_fio if cell.reader.startswith("fio") else run_loop if cell.reader in LOOPS else run_reader
        return lambda: processes[cell.reader, cell.intra_threads].submit(function, cell, paths).result()

    return {cell: way(cell) for cell in cells}


def worker(workers: ExitStack) -> ProcessPoolExecutor:
    """A process of its own, started by the first call."""
    return workers.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))


def run_reader(cell: Cell, paths: tuple[Path, ...]) -> float:
    """GB/s of one of this project's readers in the timed loop."""
    warm = cell.cache == "warm"
    workload = timed_loop.Workload(cell, paths, SHAPE, one_run(int(warm), MIN_SECONDS))
    measured = measure.measure(workload, ranks.init_ranks(1))
    [run] = measured.runs if measured else []
    check_residency(cell, min(run.page_cache_residency_min))
    numbers, counts = run.read_samples()
    if numbers.tolist() != [*range(len(paths))] or set(counts) != {run.epochs}:
        raise RuntimeError(f"{cell.id}: did not read every sample once per epoch")
    return len(paths) * run.epochs * SAMPLE_BYTES / sum(run.ranks[0].part_seconds) / 1e9


def one_run(warmup_runs: int, min_seconds: float) -> Settings:
    """The settings of a single run. The turns repeat it."""
    return Settings(warmup_runs=warmup_runs, runs=1, min_seconds=min_seconds, drop_caches=False, shuffle="none")


def run_fio(cell: Cell, paths: tuple[Path, ...]) -> float:
    """GB/s of fio with a thread for each chunk of each sample in flight. Each thread reads files of its own."""
    chunk = SAMPLE_BYTES // cell.intra_threads // BLOCK * BLOCK
    cold = cell.cache == "cold"
    command = [
        "fio", "--output-format=json", "--group_reporting", "--thread", "--rw=read", "--ioengine=psync",
        f"--bs={FIO_BLOCK if cell.reader == 'fio-1m' else chunk}", f"--direct={int(cold)}", "--invalidate=0",
        "--file_service_type=sequential", f"--loops={1 if cold else WARM_EPOCHS}",
    ]  # fmt: skip
    for thread in range(cell.inter_threads * cell.intra_threads):
        sample, place = divmod(thread, cell.intra_threads)
        own = paths[sample :: cell.inter_threads]
        names, start = ":".join(map(str, own)), place * chunk
        command += [f"--name={thread}", f"--filename={names}", f"--offset={start}", f"--size={chunk * len(own)}"]
    # With huge pages, as in our readers. Without them O_DIRECT requests are small, and storage is about half as fast.
    huge = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"} if cold else {}
    prepare(cell, paths)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | huge)
    read = json.loads(done.stdout)["jobs"][0]["read"]
    return read["io_bytes"] / read["runtime"] / 1e6  # milliseconds


def run_loop(cell: Cell, paths: tuple[Path, ...]) -> float:
    """GB/s of the minimal DALI loop."""
    from nvidia.dali import Pipeline, fn

    prepare(cell, paths)
    pipeline = Pipeline(cell.local_batch_size, cell.inter_threads, device_id=None, prefetch_queue_depth=4)
    with pipeline:
        pipeline.set_outputs(fn.readers.numpy(files=[str(path) for path in paths], **LOOPS[cell.reader]))
    pipeline.build()
    epochs = 1 if cell.cache == "cold" else WARM_EPOCHS
    batches = epochs * len(paths) // cell.local_batch_size
    started = time.perf_counter()
    for _ in range(batches):
        pipeline.run()
    return batches * cell.local_batch_size * SAMPLE_BYTES / (time.perf_counter() - started) / 1e9


def prepare(cell: Cell, paths: tuple[Path, ...]) -> None:
    """Evict the files from the page cache, or load them into it, as the cell requires."""
    (page_cache.evict if cell.cache == "cold" else page_cache.preload)(paths)
    check_residency(cell, page_cache.resident_fraction(paths))


def check_residency(cell: Cell, resident: float) -> None:
    if abs(resident - (cell.cache == "warm")) > RESIDENCY_TOLERANCE:
        raise RuntimeError(f"{cell.id}: {resident:.0%} of the files are in the page cache; leave it more memory")


class Resident:
    """A reader that returns the same batch in memory each time."""

    processes = ()

    def __init__(self, batch_size: int) -> None:
        self.details: dict[str, Any] = {}
        self.batch = Batch(["data.npy"] * batch_size, np.ones((batch_size, *SHAPE), np.float32))

    def __iter__(self) -> Iterator[Batch]:
        return (self.batch for _ in range(CLOCKED_BATCHES))


def clock_seconds(batch_size: int, repeats: int, workers: ExitStack) -> float:
    """What the timed loop adds to a batch: the time of `Resident` in that loop minus the time in a bare loop."""
    process = worker(workers)
    loops = {loop: lambda loop=loop: process.submit(loop, batch_size).result() for loop in (benchmark_loop, bare_loop)}
    seconds = common.in_turns(loops, repeats)
    return (statistics.median(seconds[benchmark_loop]) - statistics.median(seconds[bare_loop])) / CLOCKED_BATCHES


def benchmark_loop(batch_size: int) -> float:
    reader = Resident(batch_size)
    cell = Cell("io", "resident", NONE, NONE, 1, batch_size, 1, 1)
    workload = timed_loop.Workload(cell, (Path("data.npy"),), SHAPE, one_run(warmup_runs=0, min_seconds=0))
    with mock.patch.object(timed_loop, "open_reader", lambda *_: nullcontext(reader)):
        loop = timed_loop.ReadingLoop(workload, open_device("cpu"), None)
        files = (Path("data.npy"),) * (CLOCKED_BATCHES * batch_size)
        evidence = TimedEvidence(files, SHAPE, open_device("cpu"))
        return loop(files[:1], ranks.init_ranks(1), evidence).seconds


def bare_loop(batch_size: int) -> float:
    reader = Resident(batch_size)
    started = time.perf_counter()
    for _ in reader:
        pass
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
