"""Compare downloads with curl and conversion with cp and h5py, and measure how the job graph grows.

`make perf-data` runs this. It writes results/performance/data.json and prints its tables. All numbers of a table come
from one run, in which the ways take turns, on a machine that should be idle otherwise.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
import h5py
import numpy as np
from deepcam import climate, files
from deepcam.benchmark import page_cache
from deepcam.data import convert, download, manifest, synthesis
from servers import Nginx

STREAMS, THREADS = 4, 2
NAMES = climate.synthetic_names(16)
PATHS = [f"validation/{name}" for name in NAMES]
SHAPE = (climate.HEIGHT, climate.WIDTH)
GRAPH_SIZES = (1_000, 10_000, 136_424)
FILES_PER_SHARD = 64
FREE_BYTES = 4 * 2**30


def main() -> None:
    arguments = common.parser(__doc__).parse_args()
    arguments.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name)
        source = folder / "source"
        synthesis.synthesize_shard(
            NAMES, 0, source / "validation", seed=2026, height=SHAPE[0], width=SHAPE[1], processes=os.cpu_count() or 1
        )
        result = {
            "machine": common.machine(folder),
            "load_before": os.getloadavg()[0],
            "samples": len(NAMES),
            "bytes": sum((source / path).stat().st_size for path in PATHS),
            "download": downloads(folder, source, arguments.repeats),
            "conversion": conversions(folder, source / "validation", arguments.repeats),
            "graph": [graph(folder, size) for size in GRAPH_SIZES],
        }
    files.write_json(arguments.dir / "data.json", result)
    print(tables(result))


def downloads(folder: Path, source: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds of every way to fetch all samples from nginx on loopback."""
    target = folder / "downloaded"
    nginx = Nginx(folder / "nginx", source, "access_log off; sendfile on; tcp_nopush on;")
    listing = folder / "curl.txt"
    listing.write_text("".join(f'url = "{nginx.url}/{path}"\noutput = "{target}/{path}"\n' for path in PATHS))

    def curl() -> None:
        command = ["curl", "--silent", "--create-dirs", "--parallel", "--parallel-max", str(STREAMS), "-K", listing]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    def ours() -> None:
        download.download_shard(nginx.url, PATHS, target, streams=STREAMS, shape=SHAPE)

    try:
        return in_turns({"curl": curl, "curl, then sync": then_sync(curl, folder), "ours": ours}, target, repeats)
    finally:
        nginx.close()


def conversions(folder: Path, source: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds of every way to make npy files, or copies, of all samples; the HDF5 files are in the page cache."""
    target = folder / "converted"
    paths = [source / name for name in NAMES]
    page_cache.preload(paths)

    def copy() -> None:
        target.mkdir()
        subprocess.run(["cp", *paths, target], check=True)

    def plain() -> None:
        target.mkdir()
        for path in paths:
            data, label = climate.npy_names(path.name)
            with h5py.File(path) as file:
                np.save(target / data, file[climate.DATA][...])
                np.save(target / label, np.stack([file[name][...] for name in climate.LABELS], axis=-1))

    def ours() -> None:
        convert.convert_shard(source / manifest.MANIFEST, target, THREADS)

    ways = {
        "cp": copy,
        "cp, then sync": then_sync(copy, folder),
        "h5py + np.save": plain,
        "h5py + np.save, then sync": then_sync(plain, folder),
        "ours": ours,
    }
    return in_turns(ways, target, repeats)


def then_sync(way: Callable[[], None], folder: Path) -> Callable[[], None]:
    """The same, until the bytes are on storage, as ours are."""

    def synced() -> None:
        way()
        subprocess.run(["sync", "--file-system", folder], check=True)

    return synced


def in_turns(ways: dict[str, Callable[[], None]], target: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds of each way; each begins with no target."""

    def seconds(way: Callable[[], None]) -> float:
        shutil.rmtree(target, ignore_errors=True)
        os.sync()
        settle()
        started = time.perf_counter()
        way()
        return time.perf_counter() - started

    try:
        return common.in_turns({name: partial(seconds, way) for name, way in ways.items()}, repeats)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def settle() -> None:
    """Touch and free memory: on a virtual machine, pages that its host took back are slow to come by, whoever asks."""
    subprocess.run([sys.executable, "-S", "-c", f"bytearray(b'1') * {FREE_BYTES}"], check=True)


def graph(folder: Path, num_files: int) -> dict[str, Any]:
    """Time and memory of a dry run of the data stage for so many files of the archive."""
    overlay = folder / "graph.json"
    data = {"source": "nersc", "split": "all", "num_files": num_files, "files_per_shard": FILES_PER_SHARD}
    overlay.write_text(json.dumps({"data": data}))
    command = [
        sys.executable, "-m", "snakemake", "data", "--dry-run", "--quiet", "--snakefile", common.ROOT / "Snakefile",
        "--directory", folder, "--cores", "2", "--configfile", overlay,
    ]  # fmt: skip
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise RuntimeError(f"the dry run for {num_files} files failed")
    jobs = 2 * math.ceil(num_files / FILES_PER_SHARD) + 3
    return {"files": num_files, "jobs": jobs, "seconds": seconds, "peak_bytes": usage.ru_maxrss * 1024}


def tables(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [common.headline(result)]
    for title in ("download", "conversion"):
        lines += ["", f"| {title} | GB/s | slowest to fastest | time / ours |", "|---|---|---|---|"]
        ours = statistics.median(result[title]["ours"])
        for name, seconds in result[title].items():
            rates = [
                result["bytes"] / value / 1e9 for value in (statistics.median(seconds), max(seconds), min(seconds))
            ]
            ratio = statistics.median(seconds) / ours
            lines.append(f"| {name} | {rates[0]:.2f} | {rates[1]:.2f} to {rates[2]:.2f} | {ratio:.2f} |")
    lines += ["", "| files | jobs | seconds | peak MiB |", "|---|---|---|---|"]
    for row in result["graph"]:
        peak = row["peak_bytes"] / 2**20
        lines.append(f"| {row['files']:,} | {row['jobs']:,} | {row['seconds']:.1f} | {peak:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
