"""Run a grid of 1,000 cells with 3 starts each through the workflow. The starts themselves are simulated.

`make perf-workflow` runs this. One cell fails, and the workflow is interrupted halfway and resumed. Then the cell is
repaired, and the workflow is started once more. The program writes results/performance/long_run.json and prints its
table.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
from deepcam import files, grid
from deepcam.config import parse

STARTS = 3
BENCHMARK: dict[str, Any] = {
    "modes": ["io"], "readers": ["pread", "pread-discard"], "cache": ["cold", "warm"], "ranks": [2, 4, 6, 7, 8],
    "local_batch_sizes": [1, 2], "inter_threads": [1, 2, 3, 4, 5], "intra_threads": [1, 2, 3, 4, 5],
    "max_threads": 32, "max_node_threads": 200,
    "min_starts": STARTS, "max_starts": STARTS, "runs": 5, "warmup_runs": 0, "min_seconds": 0,
    "per_mode": {"io": {"local_batch_sizes": [1, 2]}},
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "data": {"num_files": 32, "files_per_shard": 32, "height": 32, "width": 32},
    "engines": [{"backend": "eager", "precision": "fp32", "cuda_graphs": False}],
    "benchmark": BENCHMARK,
}
CELLS = [cell.id for cell in grid.cells(parse(CONFIG))]
FAILING = CELLS[len(CELLS) // 3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    place = common.ROOT / "results/performance"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as name:
        result = measure(Path(name))
    files.write_json(place / "long_run.json", result)
    print(table(result))


def measure(folder: Path) -> dict[str, Any]:
    """Everything in the table, measured in an empty folder."""
    machine = common.machine(folder)
    make_template(folder)
    (folder / "failing").write_text(FAILING)
    graph = snakemake(folder, "--dry-run", "--quiet")
    halfway = len(CELLS) * STARTS // 2
    interrupted = snakemake(folder, interrupt_after=halfway)
    resumed = snakemake(folder)
    failed = lines(folder, "started.txt") - lines(folder, "done.txt")
    (folder / "failing").write_text("")
    mended = snakemake(folder)
    done = lines(folder, "done.txt")
    summary = (folder / "results/tables/summary.csv").read_text().splitlines()
    return {
        "machine": machine,
        "cells": len(CELLS),
        "starts": len(CELLS) * STARTS,
        "phases": {"graph": graph, "interrupted": interrupted, "resumed": resumed, "mended": mended},
        "failed_cells": sorted({start.split("/")[0] for start in failed}),
        "starts_done": len(done),
        "starts_done_twice": sum(count > 1 for count in done.values()),
        "rows": len(summary) - 1,
    }


def make_template(folder: Path) -> None:
    """The dataset and one real record, which stands for all."""
    one = {key: value[:1] if isinstance(value, list) else value for key, value in BENCHMARK.items()}
    one |= {"min_starts": 1, "max_starts": 1, "per_mode": {"io": {"local_batch_sizes": [1]}}}
    (folder / "config.json").write_text(json.dumps(CONFIG | {"benchmark": one}))
    phase = snakemake(folder)
    if phase["status"]:
        raise RuntimeError(f"the real cell failed; see {folder}")
    (record,) = folder.glob("results/benchmark/*/0.json")
    record.rename(folder / "template.json")
    launcher = f"{sys.executable} -S -E {Path(__file__).with_name('stand_in.py')} {folder} {{ranks}}"
    (folder / "config.json").write_text(json.dumps(CONFIG | {"benchmark": BENCHMARK | {"launcher": launcher}}))


def snakemake(folder: Path, *more: str, interrupt_after: int | None = None) -> dict[str, Any]:
    """Time, peak memory, exit status and starts done of one run, interrupted as by Ctrl-C after so many starts.

    The time of the CPU is Snakemake's with that of the processes that it waited for.
    """
    command = [
        sys.executable, "-m", "snakemake", "tables", *more,
        "--snakefile", common.ROOT / "Snakefile", "--directory", folder,
        "--workflow-profile", common.ROOT / "profiles/default", "--configfile", folder / "config.json",
        "--cores", "all",
    ]  # fmt: skip
    before = lines(folder, "done.txt").total()
    started = time.perf_counter()
    with open(folder / "snakemake.log", "a") as log:
        # A shell starts what it runs in the background deaf to Ctrl-C.
        process = subprocess.Popen(
            command, stdout=log, stderr=log, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        )
    while interrupt_after and lines(folder, "done.txt").total() < interrupt_after:
        time.sleep(0.5)
    if interrupt_after:
        process.send_signal(signal.SIGINT)
    _, status, usage = os.wait4(process.pid, 0)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "status": os.waitstatus_to_exitcode(status),
        "starts": lines(folder, "done.txt").total() - before,
    }


def lines(folder: Path, name: str) -> collections.Counter[str]:
    """How often each start is in one of the stand-in's files."""
    path = folder / name
    return collections.Counter(path.read_text().split() if path.exists() else [])


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    machine = result["machine"]
    rows = [
        f"{machine['cpu']}, {machine['logical_cores']} cores, Linux {machine['kernel']}, "
        f"commit {machine['git_commit']}, {machine['date'][:10]}",
        "",
        "| run | seconds | of the CPU | starts done | exit status | peak MiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, phase in result["phases"].items():
        peak = phase["peak_bytes"] / 2**20
        seconds = f"{phase['seconds']:.1f} | {phase['cpu_seconds']:.1f}"
        rows.append(f"| {name} | {seconds} | {phase['starts']:,} | {phase['status']} | {peak:.0f} |")
    rows += [
        "",
        f"{result['cells']:,} cells, {result['starts']:,} starts; cells that failed until mended: "
        f"{len(result['failed_cells'])}; starts done {result['starts_done']:,}, of them twice "
        f"{result['starts_done_twice']}; rows in summary.csv {result['rows']:,}",
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
