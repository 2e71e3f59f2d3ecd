"""Records of version 6, brought to the form of today. Pure functions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from deepcam.record.fields import NOT_RECORDED
from deepcam.record.schema import SCHEMA_VERSION, Measurement

OLD_VERSION = 6
"""The one older version that is still read."""


def upgrade_record(old: Mapping[str, Any]) -> Measurement:
    """The measurement in the record of version 6 with this content, as one of SCHEMA_VERSION.

    Raises KeyError, TypeError, AttributeError or pydantic's ValidationError for anything else.
    """
    content = {key: copy.deepcopy(value) for key, value in old.items() if key not in ("checks", "metrics")}
    content["schema_version"] = SCHEMA_VERSION
    _add_fields(content)
    return Measurement.model_validate_json(to_json(content))


def _add_fields(content: dict[str, Any]) -> None:
    """Fill the fields that version 6 did not have with what stands for unknown."""
    content["verification"] = None
    environment = content["environment"] = content.get("environment", {}) | {
        "allocator": NOT_RECORDED,
        "code_sha256": None,
    }
    for node in environment.get("nodes", ()):
        node |= {
            "cpu_quota": None,
            "memory_limit_bytes": None,
            "machine_lock": NOT_RECORDED,
            "transparent_huge_pages": None,
        }
    for place in environment.get("ranks", ()):
        place |= {"engine_sha256": None, "scheduling": None}
    for run in content.get("runs", ()):
        for rank in run.get("ranks", ()):
            rank |= {
                "throttled_seconds": None,
                "thread_cores": None,
                "page_faults": None,
                "delivery": None,
                "masks": None,
                "bytes_returned_by_reads": None,
            }
