"""Machine, software, settings, samples and engine of records, as dotted keys. Pure functions."""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deepcam.grid import NONE
from deepcam.record.schema import Measurement

PER_JOB_KEYS = re.compile(
    r"environment\.(date|background_cpu_load|variables\.SLURM_JOB_ID)|engine\.[^.]+\.(accuracy|build_seconds|candidates)"
)
"""Per-job keys (date, load, build time), ignored when configurations are compared."""

MACHINE_KEYS = re.compile(
    r"environment\.(node\.(cpu|isa|logical_cores|governor|numa_nodes|memory_gibibytes|cpu_quota|memory_limit_bytes|gpus|driver|kernel"
    r"|file_system\.(.+\.)?(type|model))|python|packages\..+|mpi|git_commit|code_sha256|container)"
)
"""Keys whose values must be equal for two records to come from the same kind of machine with the same software."""


def collect(records: Iterable[Measurement]) -> dict[str, set[str]]:
    """The values of each key, as text, in all records and on all their nodes."""
    values: dict[str, set[str]] = collections.defaultdict(set)
    for record in records:
        for tree in _trees(record):
            for key, value in flat(tree):
                if not PER_JOB_KEYS.fullmatch(key):
                    values[key].add(text(value))
    return values


def differing_metadata(records: Iterable[Measurement]) -> dict[str, list[str]]:
    """Keys of machine and software whose values differ between records or nodes, with those values."""
    prefix = "environment."
    return {
        key.removeprefix(prefix): sorted(values)
        for key, values in sorted(collect(records).items())
        if len(values) > 1 and MACHINE_KEYS.fullmatch(key)
    }


def _trees(record: Measurement) -> Iterator[Mapping[str, Any]]:
    """A record without its runs, and each of its nodes. Mode train has no engine's name, and a single rank no MPI.

    The file systems of a named place have its name in their keys, because places are meant to differ.
    """
    cell, without = record.cell, {"nodes", "ranks"} | (set() if record.environment.mpi else {"mpi"})
    yield {
        "environment": record.environment.model_dump(exclude=without),
        "settings": record.settings.model_dump(),
        "dataset": {
            **record.dataset.model_dump(),
            "samples": len(record.dataset.samples),
            "header_bytes": record.dataset.header_bytes,
        },
        "engine": {
            cell.mode if cell.engine == NONE else cell.engine: record.engine.model_dump() if record.engine else {}
        },
    }
    for node in record.environment.nodes:
        # Nodes of one kind differ by some kilobytes, which their firmware takes.
        gibibytes = round(node.memory_bytes / 2**30)
        facts = {**node.model_dump(exclude={"memory_bytes"}), "memory_gibibytes": gibibytes}
        if cell.storage:
            facts |= {key: {cell.storage: facts[key]} for key in ("file_system", "other_file_systems")}
        yield {"environment": {"node": facts}}


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a tree of dictionaries, with dotted keys."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def text(value: Any) -> str:
    """Strings as they are, unless they are empty; other values as JSON."""
    return value if isinstance(value, str) and value else json.dumps(value, default=str)
