"""Measure what grows with ranks, records, configurations and files, up to what no machine here can run.

`make perf-scale` runs this. Ranks of large records are made up; they go through the project's own data model, checks,
files and tables. Starts of up to 64 ranks are real: all of them run on this machine, and read tiny samples. The program
writes results/performance/scale.json and prints its tables.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
import made_up_ranks as made_up
import numpy as np
from deepcam import files, paths
from deepcam.benchmark.ranks import init_ranks
from deepcam.record import store
from deepcam.record.run_schema import RankRun
from npy_example import HEADER, npy

STARTS = 8
"""Starts of a configuration in the aggregation: `benchmark.max_starts`."""

GATHERS = 20
"""Repeats of a gather over MPI."""

STEPS = ("gather", "judge", "write", "read")
PHASES = ("interpreter", "imports", "MPI", "reading", "record", "end")
HERE = Path(__file__).parent
LAUNCHER = "mpirun --allow-run-as-root --bind-to none --map-by :OVERSUBSCRIBE -n"

PLANS: dict[str, dict[str, Any]] = {
    "config/config.yaml": {},
    "config/readers.yaml": {},
    "config/gpu.yaml": {"devices": list(range(8))},
    "config/full.yaml": {},
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 64, 512, 4096], help="ranks of made-up records")
    parser.add_argument("--real-ranks", type=int, nargs="+", default=[1, 4, 16, 64], help="ranks of real starts")
    parser.add_argument("--cells", type=int, nargs="+", default=[1, 5], help="configurations that are aggregated")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        step, ranks = arguments.worker
        found = WORKERS[step](arguments.dir, int(ranks))
        if found:
            print(json.dumps(found))
        return
    place = common.ROOT / "results/performance"
    arguments.dir.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"load_before": os.getloadavg()[0], "machine": common.machine(arguments.dir)}
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name)
        result["records"] = [record(folder, ranks) for ranks in arguments.ranks]
        largest = max(arguments.ranks)
        result["aggregation"] = [aggregate(folder, largest, cells) for cells in arguments.cells]
        result["gathers"] = [real_gather(folder, ranks) for ranks in arguments.real_ranks]
        result["starts"] = [start(folder, ranks, arguments.repeats) for ranks in arguments.real_ranks]
        result["plans"] = [plan(folder, name, more) for name, more in PLANS.items()]
        result["plans"].append(plan_of_folder(folder, 136_424))
    files.write_json(place / "scale.json", result)
    print(f"{common.headline(result)}\n\n{tables(result)}")


def record(folder: Path, ranks: int) -> dict[str, Any]:
    """Seconds of each step of a record's life, its size, and the peak memory of its writer and reader."""
    made = worker(folder, "make", ranks)
    read = worker(folder, "read", ranks)
    path = folder / f"{ranks}.json"
    with open(path, "rb") as lines:
        number = sum(1 for _ in lines)
    return {"ranks": ranks, "bytes": path.stat().st_size, "lines": number, **made, **read}


def worker(folder: Path, step: str, ranks: int) -> dict[str, Any]:
    """The result of a step in a process of its own, with its peak memory."""
    command = [sys.executable, __file__, "--dir", folder, "--worker", step, str(ranks)]
    return run_measured(command, f"{step}_peak_bytes")


def run_measured(command: Sequence[Any], peak: str, **more: Any) -> dict[str, Any]:
    """What a command prints as JSON in its last line, if it does, and its peak memory under the name `peak`."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)
    assert process.stdout is not None
    printed = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command} failed")
    found = json.loads(printed[-1]) if printed and printed[-1].startswith("{") else {}
    return {**found, peak: usage.ru_maxrss * 1024}


def make(folder: Path, ranks: int) -> dict[str, Any]:
    """Gather made-up ranks as rank 0 does, judge and write their record."""
    random = np.random.default_rng(1)
    sent = [
        [made_up.rank_run(rank, ranks, random).model_dump_json().encode() for rank in range(ranks)]
        for _ in range(made_up.RUNS)
    ]
    ready = time.perf_counter()
    runs = [made_up.run([RankRun.model_validate_json(one) for one in of_run]) for of_run in sent]
    gathered = time.perf_counter()
    gathered_bytes = sum(len(one) for of_run in sent for one in of_run)
    del sent
    measured = made_up.measurement(runs)
    begin = time.perf_counter()
    judged = store.judged(measured)
    end = time.perf_counter()
    path = folder / f"{ranks}.json"
    store.write(judged, path)
    return {
        "gathered_bytes": gathered_bytes,
        "gather": gathered - ready,
        "judge": end - begin,
        "write": time.perf_counter() - end,
        "valid": judged.metrics.valid,
    }


def read(folder: Path, ranks: int) -> dict[str, Any]:
    """Read and check a record."""
    begin = time.perf_counter()
    [found] = store.read([folder / f"{ranks}.json"])
    return {"read": time.perf_counter() - begin, "valid": found.metrics.valid}


def real_gather(folder: Path, ranks: int) -> dict[str, Any]:
    """Gather the measurements of real ranks of this machine over MPI."""
    mpi = [*f"{LAUNCHER} {ranks}".split(), sys.executable, "-m", "mpi4py"] if ranks > 1 else [sys.executable]
    return {"ranks": ranks, **run_measured([*mpi, __file__, "--dir", folder, "--worker", "gather", str(ranks)], "peak")}


def gather(folder: Path, ranks: int) -> dict[str, Any]:
    """Seconds in which a rank turns its run into JSON, and in which rank 0 has all of them; nothing on other ranks."""
    me = init_ranks(ranks)
    made = made_up.rank_run(me.rank, ranks, np.random.default_rng(me.rank))
    pack, seconds = [], []
    for _ in range(GATHERS):
        begin = time.perf_counter()
        made.model_dump_json()
        pack.append(time.perf_counter() - begin)
        me.barrier()
        begin = time.perf_counter()
        me.gather_models(made)
        seconds.append(time.perf_counter() - begin)
    return {"pack": min(pack), "gather": statistics.median(seconds)} if me.rank == 0 else {}


def link(folder: Path, cells: int) -> dict[str, Any]:
    """Write the records of so many configurations, each with STARTS links to one file."""
    random = np.random.default_rng(2)
    ranks = int((folder / "aggregated_ranks").read_text())
    run = made_up.run([made_up.rank_run(rank, ranks, random) for rank in range(ranks)])
    runs = [run.model_copy(update={"epochs": run.epochs}) for _ in range(made_up.RUNS)]
    lines = []
    for batch_size in range(1, cells + 1):
        made = store.judged(made_up.measurement(runs, batch_size=batch_size))
        first = folder / paths.record(made.cell.id, 0)
        store.write(made, first)
        for number in range(STARTS):
            path = folder / paths.record(made.cell.id, number)
            if number:
                path.hardlink_to(first)
            lines.append(paths.record(made.cell.id, number))
    (folder / paths.RECORD_LIST).write_text("".join(f"{line}\n" for line in lines))
    return {"bytes": first.stat().st_size}


def aggregate(folder: Path, ranks: int, cells: int) -> dict[str, Any]:
    """Seconds and peak memory of the program that makes the tables of so many configurations."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        (place / "aggregated_ranks").write_text(str(ranks))
        worker(place, "link", cells)
        dataset_of(place / "npy", 1).write(place / "dataset.json")
        command = [
            sys.executable, common.ROOT / "workflow_scripts/aggregate_results.py", "--records", paths.RECORD_LIST,
            "--dataset", "dataset.json", "--channels", "0", "--output", "tables",
        ]  # fmt: skip
        begin = time.perf_counter()
        found = run_measured(command, "peak_bytes", cwd=place)
        return {"records": cells * STARTS, "cells": cells, "seconds": time.perf_counter() - begin, **found}


def dataset_of(folder: Path, number: int) -> Any:
    """A dataset of so many tiny samples, 32 x 48, in a new folder."""
    from deepcam.data import dataset

    folder.mkdir(parents=True, exist_ok=True)
    content = npy(HEADER, np.ones((32, 48, 16), np.float32).tobytes())
    for sample in range(number):
        (folder / f"data-{sample:06d}.npy").write_bytes(content)
    return dataset.from_folders([folder])


def start(folder: Path, ranks: int, repeats: int) -> dict[str, Any]:
    """Seconds of each phase of a start of so many ranks on this machine: the latest rank of the median start."""
    place = folder / f"start-{ranks}"
    dataset_of(place, max(64, ranks))
    found = sorted((one_start(place, ranks) for _ in range(repeats)), key=lambda one: sum(one.values()))
    return {"ranks": ranks, **found[len(found) // 2]}


def one_start(place: Path, ranks: int) -> dict[str, float]:
    """Seconds of each phase of one start. Each rank notes the times at which its phases end."""
    for path in place.glob("times-*.json"):
        path.unlink()
    module = ["-m", "mpi4py"] if ranks > 1 else []
    command = [
        *(f"{LAUNCHER} {ranks}".split() if ranks > 1 else []), sys.executable, *module, str(HERE / "start_up.py"),
        "--mode", "io", "--reader", "pread", "--cache", "warm", "--batch-size", str(ranks), "--data-dirs", str(place),
        "--num-runs", "1", "--outputfile", str(place / "0.json"),
    ]  # fmt: skip
    begin = time.time()
    subprocess.run(command, check=True, cwd=place, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    end = time.time()
    noted = [json.loads(path.read_text()) for path in place.glob("times-*.json")]
    assert len(noted) == ranks
    latest = [begin, *(max(times[phase] for times in noted) for phase in PHASES[:-1]), end]
    return {phase: after - before for phase, before, after in zip(PHASES, latest, latest[1:], strict=False)}


def plan(folder: Path, configuration: str, more: dict[str, Any]) -> dict[str, Any]:
    """Seconds of `make plan` with a configuration, in an empty folder."""
    overlay = folder / "plan.json"
    overlay.write_text(json.dumps(more or {"data": {"seed": 1}}))
    command = [
        sys.executable, common.ROOT / "workflow_scripts/plan_run.py", "--snakefile", common.ROOT / "Snakefile",
        "--workflow-profile", common.ROOT / "profiles/default", "--directory", folder / "plan",
        "--configfile", common.ROOT / configuration, overlay,
    ]  # fmt: skip
    (folder / "plan").mkdir(exist_ok=True)
    begin = time.perf_counter()
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - begin
    facts = [line.strip() for line in ended.stdout.splitlines() if line.strip().startswith(("samples", "cells"))]
    return {"configuration": configuration, "seconds": seconds, "facts": facts}


def plan_of_folder(folder: Path, number: int) -> dict[str, Any]:
    """Seconds of `make plan` for so many npy files of one's own, which are empty."""
    source = folder / "source"
    source.mkdir()
    for sample in range(number):
        for kind in ("data", "label"):
            (source / f"{kind}-{sample:06d}.npy").touch()
    data = {"source": str(source), "num_files": number, "files_per_shard": 64}
    return plan(folder, "config/config.yaml", {"data": data}) | {"configuration": f"a folder of {number:,} npy samples"}


WORKERS: dict[str, Callable[[Path, int], dict[str, Any]]] = {"make": make, "read": read, "link": link, "gather": gather}


def tables(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = [
        f"| ranks | MB | lines | MB gathered | {', s | '.join(STEPS)}, s | peak MiB, write | peak MiB, read |",
        "|" + 10 * "---|",
    ]
    for one in result["records"]:
        seconds = " | ".join(f"{one[step]:.2f}" for step in STEPS)
        peaks = " | ".join(f"{one[f'{step}_peak_bytes'] / 2**20:.0f}" for step in ("make", "read"))
        sizes = f"{one['bytes'] / 1e6:.2f} | {one['lines']:,} | {one['gathered_bytes'] / 1e6:.2f}"
        rows.append(f"| {one['ranks']:,} | {sizes} | {seconds} | {peaks} |")
    rows += ["", "| configurations | records | seconds | peak MiB |", "|---|---|---|---|"]
    rows += [
        f"| {one['cells']} | {one['records']:,} | {one['seconds']:.0f} | {one['peak_bytes'] / 2**20:.0f} |"
        for one in result["aggregation"]
    ]
    rows += ["", "| ranks | a rank's JSON, ms | gather over MPI, ms |", "|---|---|---|"]
    rows += [f"| {one['ranks']} | {one['pack'] * 1e3:.2f} | {one['gather'] * 1e3:.1f} |" for one in result["gathers"]]
    rows += ["", f"| ranks | {' | '.join(PHASES)} | together |", "|" + (len(PHASES) + 2) * "---|"]
    for one in result["starts"]:
        seconds = " | ".join(f"{one[phase]:.2f}" for phase in PHASES)
        rows.append(f"| {one['ranks']} | {seconds} | {sum(one[phase] for phase in PHASES):.2f} |")
    rows += ["", "| plan | seconds |", "|---|---|"]
    rows += [
        f"| {one['configuration']} ({'; '.join(one['facts'])}) | {one['seconds']:.1f} |" for one in result["plans"]
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
