"""Records of version 6, brought to the form of today. Pure functions."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import to_json

from deepcam.record.schema import SCHEMA_VERSION, Measurement

OLD_VERSION = 6
"""The one older version that is still read."""


def upgrade_record(old: Mapping[str, Any]) -> Measurement:
    """The measurement in the record of version 6 with this content, as one of SCHEMA_VERSION.

    Raises KeyError, TypeError, AttributeError or pydantic's ValidationError for anything else.
    """
    content = {key: copy.deepcopy(value) for key, value in old.items() if key not in ("checks", "metrics")}
    content["schema_version"] = SCHEMA_VERSION
    _add_cores(content)
    _add_memory(content)
    _add_delivery(content)
    _add_code(content)
    return Measurement.model_validate_json(to_json(content))


def _add_cores(content: dict[str, Any]) -> None:
    for node in content.get("environment", {}).get("nodes", ()):
        node |= {"cpu_quota": None, "memory_limit_bytes": None, "machine_lock": "not recorded"}
    for rank in _rank_runs(content):
        rank |= {"throttled_seconds": None, "thread_cores": None}


def _add_memory(content: dict[str, Any]) -> None:
    content["environment"] = content.get("environment", {}) | {"allocator": "not recorded"}
    for node in content["environment"].get("nodes", ()):
        node["transparent_huge_pages"] = None
    for rank in _rank_runs(content):
        rank["page_faults"] = None


def _add_delivery(content: dict[str, Any]) -> None:
    content["verification"] = None
    for place in content.get("environment", {}).get("ranks", ()):
        place["engine_sha256"] = None
    for rank in _rank_runs(content):
        rank |= {"delivery": None, "masks": None, "bytes_returned_by_reads": None}


def _add_code(content: dict[str, Any]) -> None:
    content["environment"]["code_sha256"] = None
    for place in content["environment"].get("ranks", ()):
        place["scheduling"] = None


def _rank_runs(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for run in content.get("runs", ()):
        yield from run.get("ranks", ())
