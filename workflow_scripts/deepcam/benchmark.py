"""One benchmark job: from a cell and a dataset to a record. Joins the rooms; the timed loop is in measure."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepcam import cell_summary, environment, files, page_cache, ranks, records, validity
from deepcam.climate import InputError
from deepcam.grid import Cell
from deepcam.measure import Plan, Run, measure

SCHEMA_VERSION = 2

MACHINE_LOCK = Path(tempfile.gettempdir()) / f"deepcam-benchmark-{environment.node_name()}.lock"
"""Held on every node for the length of a job: two benchmarks at once would measure each other. A workflow that was
killed may leave a job behind, which no resource of the workflow counts."""


LISTENING_SECONDS, LISTENING_TIMES = 0.5, 4
"""Before the start, for other load, until it is gone: what ran before may still write, and /proc/stat counts in
hundredths of a second."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How often and how long to measure."""

    warmup_runs: int
    runs: int
    min_seconds: float
    drop_caches: bool = False
    """Before each cold run also drop the machine's caches, which takes root."""


def run(
    cell: Cell,
    dataset: Path,
    devices: list[str],
    engine_files: list[Path],
    accuracy_files: list[Path],
    settings: Settings,
    output: Path,
) -> None:
    """Measure `cell` and write its record, on rank 0, atomically. Collective over all ranks.

    `devices` are a node's (cpu, or cuda:0, cuda:1, ...), taken in turn by its ranks; `engine_files` and
    `accuracy_files` are for each of them, in the same order, or none in mode io.
    """
    if settings.drop_caches and not page_cache.may_drop_all():
        raise InputError(
            f"--drop-fs-cache: {page_cache.DROP_CACHES} is for root; leave it out: cold runs evict the files anyway"
        )
    description = json.loads(dataset.read_text())
    paths = tuple(dataset.parent / sample["data"] for sample in description["samples"])
    me = ranks.join(cell.ranks)
    check_files(paths, [sample["bytes"] for sample in description["samples"]], cell)
    place = me.local_rank % len(devices)
    load_engine = None
    if cell.mode != "io":
        if len(engine_files) != len(devices):
            raise InputError(
                f"--engine-files: {len(engine_files)} given for {len(devices)} devices; "
                "compute and inference cells need the compiled engine of each device"
            )
        load_engine = _engine_loader(engine_files[place], devices[place], me)
    plan = Plan(
        cell=cell,
        files=paths,
        sample_shape=tuple(description["sample_shape"]),
        warmup_runs=settings.warmup_runs,
        runs=settings.runs,
        min_seconds=settings.min_seconds,
        drop_caches=settings.drop_caches,
        device=devices[place],
        load_engine=load_engine,
    )
    if me.node_leader:
        with files.locked(MACHINE_LOCK):
            other_load, runs = _measure(plan, me)
    else:
        other_load, runs = _measure(plan, me)
    places = me.gather(
        {
            "node": environment.node_name(),
            "local_rank": me.local_rank,
            "device": devices[place],
            "cores": list(me.cores),
        }
    )
    if runs is None:
        return
    record: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "cell": dataclasses.asdict(cell),
        "settings": dataclasses.asdict(settings),
        "dataset": {
            "source": description["source"],
            "sample_shape": description["sample_shape"],
            "bytes": description["total_bytes"],
            "samples": [path.name for path in paths],
        },
        "engine": describe_engine(engine_files[0], accuracy_files) if engine_files else None,
        "environment": {**environment.describe(paths[0]), "other_load": other_load, "ranks": places},
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    record["checks"] = validity.checks(record)
    record["metrics"] = cell_summary.row([record])
    records.validate(record)
    files.write_json(output, record)


def _measure(plan: Plan, me: ranks.Ranks) -> tuple[float, list[Run] | None]:
    me.barrier()  # all nodes have their lock, all ranks their modules
    for _ in range(LISTENING_TIMES):
        other_load = me.other_load(LISTENING_SECONDS)
        if other_load <= validity.OTHER_LOAD_LIMIT:
            break
    return other_load, measure(plan, me)


def describe_engine(engine_file: Path, accuracy_files: list[Path]) -> dict[str, Any]:
    """The engine's fingerprint and, under `accuracy`, the gate's verdict for each device."""
    fingerprint = json.loads(engine_file.with_suffix(".json").read_text())
    return fingerprint | {"accuracy": [json.loads(path.read_text()) for path in accuracy_files]}


def check_files(paths: tuple[Path, ...], sizes: list[int], cell: Cell) -> None:
    """Refuse, before any timing, a dataset whose files are gone or changed, or that is too small for the cell."""
    if len(paths) < cell.ranks * cell.local_batch_size:
        raise InputError(
            f"dataset has {len(paths)} samples, fewer than the global batch size "
            f"{cell.ranks * cell.local_batch_size}; lower --batch-size or add samples"
        )
    for path, size in zip(paths, sizes, strict=True):
        actual = path.stat().st_size if path.exists() else None
        if actual != size:
            found = "is missing" if actual is None else f"has {actual} bytes instead of {size}"
            raise InputError(f"{path}: {found}; delete {path.parent / 'manifest.tsv'} and run the workflow again")


def _engine_loader(path: Path, device: str, me: ranks.Ranks) -> Callable[[], Any]:
    def load() -> Callable[[Any], Any]:
        # As many threads as this rank has cores, set before any library starts its pool.
        os.environ["OMP_NUM_THREADS"] = str(len(me.cores))
        import torch

        from deepcam import engine

        torch.set_num_threads(len(me.cores))
        loaded = engine.load(path, device)
        return lambda batch: loaded(torch.from_dlpack(batch))

    return load
