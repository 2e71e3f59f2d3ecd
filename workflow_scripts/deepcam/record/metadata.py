"""What records say of machine, software, settings, samples and engine, as dotted keys. Pure functions."""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deepcam.grid import NONE
from deepcam.record.metrics import Record

OF_ONE_JOB = re.compile(
    r"environment\.(date|other_load|ranks|variables\.SLURM_JOB_ID)|engine\.[^.]+\.(accuracy|build_seconds)"
)
"""Keys that say how one job or one compilation went, not with what."""

KIND = re.compile(
    r"environment\.(node\.(cpu|isa|logical_cores|governor|numa_nodes|memory_gibibytes|gpus|driver|kernel"
    r"|file_system\.(type|model))|python|packages\..+|mpi|hdf5|git_commit|container)"
)
"""Keys whose values must be alike for two rates to be of the same machine with the same software."""


def collect(records: Iterable[Record]) -> dict[str, set[str]]:
    """Each key's values, as text, over all records and their nodes."""
    values: dict[str, set[str]] = collections.defaultdict(set)
    for record in records:
        for tree in _trees(record):
            for key, value in flat(tree):
                if not OF_ONE_JOB.fullmatch(key):
                    values[key].add(text(value))
    return values


def unlike(records: Iterable[Record]) -> dict[str, list[str]]:
    """Of machine and software, what is not the same in all records and on all their nodes: keys with their values."""
    prefix = "environment."
    return {
        key.removeprefix(prefix): sorted(values)
        for key, values in sorted(collect(records).items())
        if len(values) > 1 and KIND.fullmatch(key)
    }


def _trees(record: Record) -> Iterator[Mapping[str, Any]]:
    """A record without its numbers, and each of its nodes; mode train has no engine's name."""
    cell, dataset, environment = record["cell"], record["dataset"], record["environment"]
    yield {
        "environment": {key: value for key, value in environment.items() if key != "nodes"},
        "settings": record["settings"],
        "dataset": {**dataset, "samples": len(dataset["samples"])},
        "engine": {cell["mode"] if cell["engine"] == NONE else cell["engine"]: record["engine"] or {}},
    }
    for node in environment["nodes"]:
        # Nodes of one kind differ by some kilobytes, which their firmware takes.
        gibibytes = round(node["memory_bytes"] / 2**30)
        own = {key: value for key, value in node.items() if key != "memory_bytes"}
        yield {"environment": {"node": own | {"memory_gibibytes": gibibytes}}}


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a tree of dictionaries, with dotted keys."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, default=str)
