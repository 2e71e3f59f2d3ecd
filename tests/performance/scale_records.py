"""The life of a record of many ranks: gathered, judged, written, read, and made into tables.

Times are CPU seconds of one thread, which other programs on the machine disturb less than elapsed time.
"""

from __future__ import annotations

import dataclasses
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
import made_up_ranks as made_up
import measured_process
import numpy as np
from dataset_example import dataset
from deepcam import files, paths
from deepcam.record import cell_summary, consistency_checks, store, validity
from deepcam.record.run_schema import RankRun
from deepcam.record.schema import Record
from pydantic_core import from_json

STARTS = 8
"""Starts of a configuration in the aggregation: `benchmark.max_starts`."""


def record(folder: Path, ranks: int) -> dict[str, Any]:
    """Seconds of each step of a record's life, its size, and the peak memory of its writer and reader."""
    made = measured_process.worker(folder, "make", ranks)
    found = measured_process.worker(folder, "read", ranks)
    content = (folder / f"{ranks}.json").read_bytes()
    return {"ranks": ranks, "bytes": len(content), "lines": content.count(b"\n"), **made, **found}


def make(folder: Path, ranks: int) -> dict[str, Any]:
    """Gather made-up ranks as rank 0 does, judge and write their record."""
    random = np.random.default_rng(1)
    sent = [
        [made_up.rank_run(rank, ranks, random).model_dump_json().encode() for rank in range(ranks)]
        for _ in range(made_up.RUNS)
    ]
    gathered_bytes = sum(len(one) for of_run in sent for one in of_run)
    ready = time.process_time()
    runs = [made_up.run([RankRun.model_validate_json(one) for one in of_run]) for of_run in sent]
    gathered = time.process_time()
    del sent
    measured = made_up.measurement(runs)
    begin = time.process_time()
    judged = store.judged(measured)
    end = time.process_time()
    store.write(judged, folder / f"{ranks}.json")
    written = time.process_time()
    return {
        "gathered_bytes": gathered_bytes,
        "gather": gathered - ready,
        "judge": end - begin,
        "write": written - end,
        "valid": judged.metrics.valid,
    }


def read(folder: Path, ranks: int) -> dict[str, Any]:
    """Read and check a record."""
    begin = time.process_time()
    [found] = store.read([folder / f"{ranks}.json"])
    return {"read": time.process_time() - begin, "valid": found.metrics.valid}


def reading(folder: Path, ranks: int) -> dict[str, float]:
    """Seconds of each part of reading a record."""
    found = measured_process.worker(folder, "read_by_part", ranks)
    return {part: seconds for part, seconds in found.items() if not part.endswith("_bytes")}


def read_by_part(folder: Path, ranks: int) -> dict[str, float]:
    """Do what `store.read` does, one part after the other."""
    gc.disable()  # as `store.parse` does
    times: dict[str, float] = {}
    begin = time.process_time()

    def ended(part: str) -> None:
        nonlocal begin
        now = time.process_time()
        times[part], begin = now - begin, now

    content = files.read_bytes(folder / f"{ranks}.json", store.MOST_BYTES)
    sum(map(content.count, (b",", b"[", b"{")))
    ended("bytes, and the number of values")
    made = Record.model_validate_json(content)
    ended("JSON with the types and bounds of all fields")
    values = from_json(content)
    ended("JSON once more, for the digest")
    consistency_checks.digest(values)
    ended("digest")
    checks = validity.checks(made)
    ended("checks")
    cell_summary.summarize([made], checks)
    ended("metrics")
    return times


def link(folder: Path, ranks: int, cells: int) -> None:
    """Write records of so many configurations: copies of the record of so many ranks, and STARTS links to each."""
    (folder / "ranks").write_text(str(ranks))
    measured_process.worker(folder, "write_links", cells)
    dataset().write(folder / "dataset.json")


def write_links(folder: Path, cells: int) -> dict[str, Any]:
    """See `link`."""
    ranks = int((folder / "ranks").read_text())
    [made] = store.read([folder / f"{ranks}.json"])
    for batch_size in range(1, cells + 1):
        other = made.model_copy(update={"cell": dataclasses.replace(made.cell, local_batch_size=batch_size)})
        first = folder / paths.record(other.cell.id, 0)
        store.write(other, first)
        for start in range(1, STARTS):
            (folder / paths.record(other.cell.id, start)).hardlink_to(first)
    return {}


def aggregation(folder: Path, cells: int) -> dict[str, Any]:
    """Seconds and peak memory of the program that makes the tables of so many configurations of `link`."""
    listed = folder / paths.RECORD_LIST
    cell_folders = sorted(place for place in listed.parent.iterdir() if place.is_dir())[:cells]
    records = [paths.record(place.name, start) for place in cell_folders for start in range(STARTS)]
    listed.write_text("".join(f"{record}\n" for record in records))
    command = [
        sys.executable, common.ROOT / "workflow_scripts/aggregate_results.py", "--records", listed,
        "--dataset", folder / "dataset.json", "--channels", "0", "--output", folder / "tables",
    ]  # fmt: skip
    _, measured = measured_process.run(command)
    return {"cells": cells, "records": len(records), **measured}


WORKERS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "make": make,
    "read": read,
    "read_by_part": read_by_part,
    "write_links": write_links,
}
