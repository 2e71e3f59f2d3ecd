"""Other differences between A and B: machine, software, settings, dataset, engines, configuration. Pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from deepcam.record import metadata
from deepcam.record.schema import Record
from deepcam.report.comparison.sides import Results

ABSENT = "-"


@dataclasses.dataclass(frozen=True)
class Difference:
    """A dotted key with its value in A and in B, as text; `-` if it is absent."""

    key: str
    a: str
    b: str


def differences(a: Results, b: Results) -> list[Difference]:
    """The keys whose values differ, sorted. Only records of cells that both A and B have are compared.

    If a key has several values, for instance on several nodes, all are listed. The configurations are compared if both
    are known.
    """
    common = a.records.keys() & b.records.keys()
    configs = (a.config, b.config) if a.config is not None and b.config is not None else ({}, {})
    facts_a, facts_b = (
        _known((record for cell in common for record in side.records[cell]), config)
        for side, config in zip((a, b), configs, strict=True)
    )
    pairs = [(key, facts_a.get(key, ABSENT), facts_b.get(key, ABSENT)) for key in sorted(facts_a.keys() | facts_b)]
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def _known(records: Iterable[Record], config: Mapping[str, Any]) -> dict[str, str]:
    found = {key: "; ".join(sorted(values)) for key, values in metadata.collect(records).items()}
    return found | {key: metadata.text(value) for key, value in metadata.flat({"config": config})}
