"""A plan as text for a terminal. Pure functions."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from deepcam.plan import estimates
from deepcam.plan.plan import Plan
from deepcam.text import count


def text(plan: Plan, config: Mapping[str, Any], devices: Sequence[str], free_bytes: int) -> str:
    """What there is to do, how long its stages take, and what that rests on. `free_bytes` are those of data.dir."""
    data, benchmark = config["data"], config["benchmark"]
    source = "synthetic" if data["source"] == "synthetic" else f"from {data['source']}"
    kept = "HDF5 files are kept" if data["keep_hdf5"] else "HDF5 files are removed once converted"
    modes = collections.Counter(cell.mode for cell in plan.cells)
    facts = {
        "samples": f"{plan.samples:,} {source}, {data['height']} x {data['width']}, in {count(plan.shards, 'shard')}; "
        + _there(plan.samples, plan.new_samples),
        "download": size(plan.download_bytes) if plan.download_bytes else "nothing",
        "disk": f"{size(plan.disk_bytes)} more in {data['dir']}, which has {size(free_bytes)} free; {kept}",
        "engines": f"{plan.engines} on {' '.join(devices)}; {_there(plan.engines, plan.new_engines)}"
        if plan.engines
        else "none: nothing computes",
        "cells": f"{len(plan.cells):,}: " + ", ".join(f"{cells:,} {mode}" for mode, cells in modes.items()),
        "records": f"{plan.records:,}, {benchmark['starts']} a cell; {_there(plan.records, len(plan.new_records))}",
    }
    lines = [f"{name:<10}{fact}" for name, fact in facts.items()]
    if plan.disk_bytes > free_bytes:
        lines.append(f"NOT ENOUGH DISK: {size(plan.disk_bytes - free_bytes)} are missing; set data.dir to a larger one")
    if plan.too_long:
        lines.append(
            f"TOO LONG: {count(plan.too_long, 'benchmark job')} would be ended by benchmark.timeout_seconds "
            f"({benchmark['timeout_seconds']}); raise it, or lower data.num_files"
        )
    jobs, seconds = (sum(getattr(stage, field) for stage in plan.stages) for field in ("jobs", "seconds"))
    rows = [
        ("stage", "jobs", "time"),
        *((stage.name, f"{stage.jobs:,}", about(stage.seconds)) for stage in plan.stages),
        ("all", f"{jobs:,}", about(seconds)),
    ]
    return "\n".join([*lines, "", *(f"{name:<20}{jobs:>8}  {time}" for name, jobs, time in rows), "", _basis(plan)])


def _basis(plan: Plan) -> str:
    measured = len(plan.new_records) - plan.guessed
    return (
        f"Times are rough: {measured:,} benchmarks at the rates of records that are there; for all else it is assumed\n"
        f"that a sample takes {estimates.SYNTHESIS_SECONDS} s of a core to make, or comes at "
        f"{estimates.DOWNLOAD_RATE / 1e6:.0f} MB/s; converting does {estimates.DISK_RATE / 1e9:.0f} GB/s, reading "
        f"{estimates.COLD_RATE / 1e9:.0f} GB/s cold and {estimates.WARM_RATE / 1e9:.0f} GB/s warm;\n"
        f"the full network takes {estimates.CPU_SECONDS:.0f} s of a core, or {estimates.GPU_SECONDS * 1e3:.0f} ms of a "
        f"GPU, a sample; an engine {estimates.COMPILE_SECONDS} s to compile, a benchmark 3 to 5 s to start."
    )


def about(seconds: float) -> str:
    """A time as roughly as it is known."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"about {float(f'{seconds / length:.2g}'):.0f} {unit}"
    return f"about {max(1, round(seconds / 10)) * 10} s" if seconds else "-"


def size(count: int) -> str:
    """Bytes in decimal units, three digits."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            return f"{count / length:.3g} {unit}"
    return f"{count} bytes"


def _there(all_of_them: int, new: int) -> str:
    return f"{all_of_them - new:,} there, {new:,} to come"
