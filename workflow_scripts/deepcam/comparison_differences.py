"""What else differs between A and B: machine, software, settings, dataset, engines, configuration. Pure functions."""

from __future__ import annotations

import collections
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deepcam.comparison_input import Results
from deepcam.grid import NONE
from deepcam.metrics import Record

OF_ONE_JOB = re.compile(
    r"environment\.(date|other_load|ranks|variables\.SLURM_JOB_ID)|engine\.[^.]+\.(accuracy|build_seconds)"
)
"""Keys that say how one job or one compilation went, not with what."""

ABSENT = "-"


@dataclasses.dataclass(frozen=True)
class Difference:
    """A dotted key with its value in A and in B, as text; `-` where it is absent."""

    key: str
    a: str
    b: str


def differences(a: Results, b: Results) -> list[Difference]:
    """The keys whose values differ, sorted. Records are those of the cells that both have: others prove nothing.

    Several values, of several nodes for instance, are all named. Configurations count if both are known.
    """
    common = a.records.keys() & b.records.keys()
    facts_a, facts_b = (_facts(record for cell in common for record in side.records[cell]) for side in (a, b))
    if a.config is not None and b.config is not None:
        facts_a |= {key: _text(value) for key, value in _flat({"config": a.config})}
        facts_b |= {key: _text(value) for key, value in _flat({"config": b.config})}
    pairs = [(key, facts_a.get(key, ABSENT), facts_b.get(key, ABSENT)) for key in sorted(facts_a.keys() | facts_b)]
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def _facts(records: Iterable[Record]) -> dict[str, str]:
    values: dict[str, set[str]] = collections.defaultdict(set)
    for record in records:
        for key, value in _flat(_described(record)):
            if not OF_ONE_JOB.fullmatch(key):
                values[key].add(_text(value))
    return {key: "; ".join(sorted(found)) for key, found in values.items()}


def _described(record: Record) -> dict[str, Any]:
    """What a record says of its machine, software, settings, samples and engine; mode train has no engine's name."""
    cell, dataset = record["cell"], record["dataset"]
    return {
        "environment": record["environment"],
        "settings": record["settings"],
        "dataset": {**dataset, "samples": len(dataset["samples"])},
        "engine": {cell["mode"] if cell["engine"] == NONE else cell["engine"]: record["engine"] or {}},
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, default=str)
