"""Real ranks of this machine: what they gather over MPI, and the phases of their start."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common  # noqa: F401 first: it finds the project's code
import made_up_ranks as made_up
import measured_process
import numpy as np
from deepcam.benchmark.ranks import init_ranks
from npy_example import HEADER, npy
from scale_tables import PHASES

GATHERS = 20
"""Repeats of a gather over MPI."""

LAUNCHER = "mpirun --allow-run-as-root --bind-to none --map-by :OVERSUBSCRIBE -n"


def launcher(ranks: int) -> list[str]:
    """The command that launches so many ranks; none for one."""
    return [*LAUNCHER.split(), str(ranks)] if ranks > 1 else []


def gathering(folder: Path, ranks: int) -> dict[str, Any]:
    """Gather the measurements of so many real ranks over MPI."""
    return {"ranks": ranks, **measured_process.worker(folder, "gather_over_mpi", ranks, launcher(ranks))}


def gather_over_mpi(folder: Path, ranks: int) -> dict[str, Any]:
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


def start(folder: Path, ranks: int, repeats: int) -> dict[str, Any]:
    """Seconds of each phase of a start of so many ranks on this machine: the latest rank of the median start."""
    place = folder / f"start-{ranks}"
    place.mkdir()
    content = npy(HEADER, np.ones((32, 48, 16), np.float32).tobytes())
    for sample in range(max(64, ranks)):
        (place / f"data-{sample:06d}.npy").write_bytes(content)
    found = sorted((one_start(place, ranks) for _ in range(repeats)), key=lambda one: sum(one.values()))
    return {"ranks": ranks, **found[len(found) // 2]}


def one_start(place: Path, ranks: int) -> dict[str, float]:
    """Seconds of each phase of one start. Each rank notes the times at which its phases end."""
    for path in place.glob("times-*.json"):
        path.unlink()
    command = [
        *launcher(ranks), sys.executable, *(["-m", "mpi4py"] if ranks > 1 else []),
        str(Path(__file__).with_name("start_up.py")),
        "--mode", "io", "--reader", "pread", "--cache", "warm", "--batch-size", str(ranks), "--data-dirs", str(place),
        "--num-runs", "1", "--outputfile", str(place / "0.json"),
    ]  # fmt: skip
    begin = time.time()
    subprocess.run(command, check=True, cwd=place, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    end = time.time()
    noted = [json.loads(path.read_text()) for path in place.glob("times-*.json")]
    assert len(noted) == ranks
    latest = [begin, *(max(times[phase] for times in noted) for phase in [*PHASES][:-1]), end]
    return {phase: after - before for phase, before, after in zip(PHASES, latest, latest[1:], strict=False)}


WORKERS: dict[str, Callable[[Path, int], dict[str, Any]]] = {"gather_over_mpi": gather_over_mpi}
