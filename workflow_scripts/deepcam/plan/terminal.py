"""A plan as text for a terminal. Pure functions."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from deepcam import paths
from deepcam.config import Config
from deepcam.plan import estimates
from deepcam.plan.plan import Plan
from deepcam.text import count


@dataclasses.dataclass(frozen=True)
class Disk:
    """A file system with free bytes, and the names of the places that it holds."""

    places: Sequence[str]
    free_bytes: int


def text(plan: Plan, config: Config, devices: Sequence[str], disks: Sequence[Disk]) -> str:
    """What there is to do, how long its stages take, and what the times rest on.

    `disks` hold the places of data.dir.
    """
    data, benchmark = config.data, config.benchmark
    source = "synthetic" if data.source == "synthetic" else f"from {data.source}"
    kept = "HDF5 files are kept" if data.keep_hdf5 else "HDF5 files are removed once converted"
    if paths.is_local(data.source):
        kept = f"nothing in {data.source} is changed"
    modes = collections.Counter(cell.mode for cell in plan.cells)
    facts = {
        "samples": f"{plan.samples:,} {source}, {data.height} x {data.width}, in {count(plan.shards, 'shard')}; "
        f"{plan.new_samples:,} to make",
        "download": size(plan.download_bytes) if plan.download_bytes else "nothing",
        "disk": "; ".join([*(_disk(plan, config, disk) for disk in disks), kept]),
        "engines": f"{plan.engines} on {' '.join(devices)}; {plan.new_engines} to build"
        if plan.engines
        else "none: nothing computes",
        "cells": f"{len(plan.cells):,}: " + ", ".join(f"{cells:,} {mode}" for mode, cells in modes.items()),
        "starts": f"{benchmark.min_starts:,} to {benchmark.max_starts:,} per cell, until its number is precise within "
        f"{benchmark.precision:.0%}; at least {plan.new_starts:,} to make",
    }
    lines = [f"{name:<10}{fact}" for name, fact in facts.items()]
    lines += [
        f"NOT ENOUGH DISK SPACE: {size(missing)} are missing; set data.dir to a larger disk"
        for disk in disks
        if (missing := _needed(plan, disk) - disk.free_bytes) > 0
    ]
    if plan.too_long:
        lines.append(
            f"TOO LONG: starts of {count(plan.too_long, 'cell')} would take longer than benchmark.timeout_seconds "
            f"({benchmark.timeout_seconds} s), and would be ended; raise it, or lower data.num_files"
        )
    jobs, seconds = (sum(getattr(stage, field) for stage in plan.stages) for field in ("jobs", "seconds"))
    rows = [
        ("stage", "jobs", "time"),
        *((stage.name, f"{stage.jobs:,}", about(stage.seconds)) for stage in plan.stages),
        ("all", f"{jobs:,}", about(seconds)),
    ]
    return "\n".join([*lines, "", *(f"{name:<20}{jobs:>8}  {time}" for name, jobs, time in rows), "", _basis(plan)])


def _needed(plan: Plan, disk: Disk) -> int:
    return sum(plan.disk_bytes[place] for place in disk.places)


def _disk(plan: Plan, config: Config, disk: Disk) -> str:
    folders = " and ".join(config.data.places[place] for place in disk.places)
    have = "has" if len(disk.places) == 1 else "together have"
    return f"{size(_needed(plan, disk))} more in {folders}, which {have} {size(disk.free_bytes)} free"


def _basis(plan: Plan) -> str:
    measured = len(plan.new_cells) - plan.assumed
    return "\n".join(
        [
            "Times are rough estimates, for the least number of starts.",
            f"{count(measured, 'cell')} {'is' if measured == 1 else 'are'} assumed to run as fast as in earlier "
            "records.",
            f"For the rest: one core makes a sample in {estimates.SYNTHESIS_SECONDS} s; downloads run at "
            f"{estimates.DOWNLOAD_RATE / 1e6:.0f} MB/s, conversion at {estimates.DISK_RATE / 1e9:.0f} GB/s;",
            f"reading runs at {estimates.COLD_RATE / 1e9:.0f} GB/s cold and {estimates.WARM_RATE / 1e9:.0f} GB/s warm;",
            f"the full network takes {estimates.CPU_SECONDS:.0f} s per sample on one CPU core, or "
            f"{estimates.GPU_SECONDS * 1e3:.0f} ms on a GPU;",
            f"compiling an engine takes {estimates.COMPILE_SECONDS} s, and launching a start takes 1 to 3 s.",
        ]
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
