"""Where the numbers come from: machine, storage, dataset, time and software, and what is to be kept in mind."""

from __future__ import annotations

import collections
import dataclasses
import datetime
from collections.abc import Iterable, Sequence

import pandas as pd

from deepcam import climate
from deepcam.record import metadata, metrics
from deepcam.record.environment_schema import UNSEEN, FileSystem, Node
from deepcam.record.schema import Record
from deepcam.report.page.words import DASH, digits, joined, percent, span

SHORT_PASS = 2.0
"""Seconds below which a cold pass is too short for storage to reach its steady speed."""

STRAGGLER = 0.1
"""Straggler gap from which on it is a caution."""

PACKAGES = {
    "torch": "PyTorch", "tensorrt": "TensorRT", "tensorrt-rtx-cu13": "TensorRT-RTX", "openvino": "OpenVINO",
    "nvidia-dali-cuda120": "DALI", "nvidia-dali-cuda130": "DALI", "kvikio-cu13": "KvikIO", "kvikio-cu12": "KvikIO",
}  # fmt: skip
"""Packages that the header shows, with their proper names."""


@dataclasses.dataclass(frozen=True)
class Provenance:
    """The header's lines."""

    host: str
    machine: str
    storage: str
    dataset: str
    network: str
    """Empty if no engine was measured."""
    when: str
    commit: str
    software: str
    differences: str
    """What differs between nodes, or between configurations; empty if nothing does."""
    on_gpus: bool


def provenance(records: Sequence[Record]) -> Provenance:
    """What the records say. They must be at least one; the first one stands for all, and differences are listed."""
    environment, dataset = records[0].environment, records[0].dataset
    node = environment.nodes[0]
    machine = _machine(node, environment.container, _cores(records, node))
    nodes = max(len(record.environment.nodes) for record in records)
    differing = metadata.differing_metadata(records)
    share = dataset.bytes / node.memory_bytes if node.memory_bytes else 0.0
    number = f"{len(dataset.samples):,}"
    samples = f"{number} {'NERSC' if dataset.source == 'nersc' else dataset.source} samples"
    if dataset.source.startswith("/"):
        samples = f"{number} samples from {dataset.source}"
    return Provenance(
        host=node.name,
        machine=f"{nodes} nodes, each {machine}" if nodes > 1 else machine,
        storage=_storages(records),
        dataset=f"{samples}, {digits(dataset.bytes / 1e9, 2)} GB "
        f"({percent(share) if share >= 0.01 else f'under {percent(0.01)}'} of memory)",
        network=_network(records),
        when=_when(record.environment.date for record in records),
        commit=environment.git_commit,
        software=", ".join(_software(records)),
        differences="; ".join(f"{key} ({', '.join(values)})" for key, values in differing.items()),
        on_gpus=any(place.device != "cpu" for record in records for place in record.environment.ranks),
    )


def _cores(records: Iterable[Record], node: Node) -> int:
    """The largest number of this node's logical cores that a configuration had."""
    places = [[place for place in record.environment.ranks if place.node == node.name] for record in records]
    return max(len({core for place in ranks for core in place.cores}) for ranks in places)


def _machine(node: Node, container: str | None, cores: int) -> str:
    gpus = ", ".join(f"{number} × {name}" for name, number in collections.Counter(node.gpus).items())
    parts = [
        node.cpu,
        f"{node.logical_cores:,} logical cores"
        if cores >= node.logical_cores
        else f"at most {cores:,} of {node.logical_cores:,} logical cores in use",
        f"CPU quota of {node.cpu_quota:g} cores" if node.cpu_quota else "",
        f"{node.memory_bytes / 2**30:,.0f} GiB memory",
        f"memory limit {node.memory_limit_bytes / 2**30:,.3g} GiB" if node.memory_limit_bytes else "",
        gpus or "no GPU",
        f"driver {node.driver}" if node.driver else "",
        f"in a {container} container" if container else "",
    ]
    return ", ".join(filter(None, parts))


def _network(records: Iterable[Record]) -> str:
    engine = next((record.engine.model_dump() for record in records if record.engine), {})
    if not {"width_multiplier", "channels"} <= engine.keys():
        return ""
    width, channels = engine["width_multiplier"], engine["channels"]
    size = "full width" if width == 1 else f"reduced to {percent(width)} of its width"
    return f"DeepCAM, {size}, {len(channels)} of {len(climate.CHANNELS)} channels"


def _storages(records: Iterable[Record]) -> str:
    """The file systems of the first node, for each place that is named."""
    places: dict[str, list[FileSystem]] = {}
    for record in records:
        places.setdefault(record.cell.storage, record.environment.nodes[0].file_systems)
    named = {place: systems for place, systems in places.items() if place} or places
    return "; ".join(
        (f"{place}: " if place else "") + ", ".join(map(_storage, systems)) for place, systems in sorted(named.items())
    )


def _storage(file_system: FileSystem) -> str:
    model = f" ({file_system.model})" if file_system.model else ""
    virtual = ", virtual disk" if _is_virtual(file_system) else ""
    if file_system.type == UNSEEN:
        return f"a file system that is not visible from here{model}{virtual}"
    return f"{file_system.type} on {file_system.device}{model}{virtual}"


def _is_virtual(file_system: FileSystem) -> bool:
    return "virtual machine" in file_system.caveat


def _when(dates: Iterable[str]) -> str:
    """The first and the last time in UTC; dates that are not ISO 8601 as they are."""
    ordered = sorted(dates)
    try:
        first, last = (
            datetime.datetime.fromisoformat(date).astimezone(datetime.UTC) for date in (ordered[0], ordered[-1])
        )
    except ValueError:
        return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]} {DASH} {ordered[-1]}"
    if first.date() != last.date():
        return f"{first:%Y-%m-%d %H:%M} {DASH} {last:%Y-%m-%d %H:%M} UTC"
    times = f"{first:%H:%M}" if f"{first:%H:%M}" == f"{last:%H:%M}" else f"{first:%H:%M}{DASH}{last:%H:%M}"
    return f"{first:%Y-%m-%d} {times} UTC"


def _software(records: Sequence[Record]) -> Iterable[str]:
    environment = records[0].environment
    if environment.version:
        yield f"DeepCAM benchmark {environment.version}"
    yield f"Python {environment.python}"
    yield from (f"{name} {environment.packages[key]}" for key, name in PACKAGES.items() if key in environment.packages)
    yield from sorted({record.environment.mpi for record in records} - {""})  # a single rank has no MPI
    yield f"Linux {environment.nodes[0].kernel}"


def cautions(table: pd.DataFrame, records: Sequence[Record]) -> list[str]:
    """What holds for the whole run rather than for one configuration."""
    return [*_short_passes(records), *_caches(records), *_unlike_nodes(records), *_straggler(table)]


def _short_passes(records: Sequence[Record]) -> Iterable[str]:
    """The shortest and the longest cold pass over the dataset, if it is short. A part of a cold run is one pass."""
    passes = [
        max(times)
        for record in records
        if record.cell.mode == "io" and record.cell.cache == "cold"
        for run in record.runs
        for times in zip(*(rank.part_seconds for rank in run.ranks), strict=True)
    ]
    if passes and min(passes) < SHORT_PASS:
        lasts = span(*(digits(seconds, 2) for seconds in (min(passes), max(passes))))
        size = digits(records[0].dataset.bytes / 1e9, 2)
        yield f"A cold I/O-only pass lasts {lasts} s, because the dataset has only {size} GB. Aim for 5 s or more."


def _caches(records: Sequence[Record]) -> Iterable[str]:
    """Caches that cannot be dropped, if anything was read with a cold page cache."""
    systems = {
        (system.type, system.caveat): system
        for record in records
        if record.cell.cache == "cold"
        for node in record.environment.nodes
        for system in node.file_systems
        if system.caveat
    }
    for (kind, caveat), system in sorted(systems.items()):
        if _is_virtual(system):
            yield "Virtual disk: the hypervisor may cache data, so cold results may be too high."
        elif "servers" in caveat:
            yield (
                "Network file system: server caches cannot be dropped from here; use a dataset larger than they are."
            )
        else:
            yield f"Storage ({kind}): {caveat}, so cold results may be too high."


def _unlike_nodes(records: Sequence[Record]) -> Iterable[str]:
    several = [record for record in records if len(record.environment.nodes) > 1]
    keys = {key.removeprefix("node.") for record in several for key in metadata.differing_metadata([record])}
    if keys:
        yield f"The nodes differ in {joined(sorted(keys))}; a run is as fast as the slowest node."


def _straggler(table: pd.DataFrame) -> Iterable[str]:
    """The node that is late in most configurations of several nodes, if it is late by much."""
    several = table[(table["num_nodes"] > 1) & (table["straggler_gap"] > STRAGGLER)]
    if len(several):
        (node, _), *_ = collections.Counter(several["straggler_node"]).most_common(1)
        gap = several.loc[several["straggler_node"] == node, "straggler_gap"].median()
        yield (
            f"Where ranks on several nodes finish more than {percent(STRAGGLER)} apart, {node} is most often last. "
            f"There, the fastest rank takes {percent(gap)} less time than the slowest one."
        )


def shortest_runs(records: Iterable[Record]) -> dict[str, float]:
    """The length of the shortest run of each configuration's id, seconds."""
    found: dict[str, float] = {}
    for record in records:
        seconds = min(map(metrics.run_seconds, record.runs))
        found[record.cell.id] = min(seconds, found.get(record.cell.id, seconds))
    return found
