"""Records of version 6, brought to the form of today. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from deepcam.record import cell_summary, validity
from deepcam.record.schema import SCHEMA_VERSION, Measurement, Record

OLD_VERSION = 6
"""The one older version that is still read."""


def upgrade_record(old: Mapping[str, Any]) -> Record:
    """The record of version 6 with this content as one of SCHEMA_VERSION. Its checks and metrics are made anew.

    Raises KeyError, TypeError, AttributeError or pydantic's ValidationError for anything else.
    """
    content = {key: value for key, value in old.items() if key not in ("checks", "metrics")}
    content["schema_version"] = SCHEMA_VERSION
    content["environment"] = {
        **old["environment"],
        "allocator": "not recorded",
        "nodes": [{**node, "transparent_huge_pages": None} for node in old["environment"]["nodes"]],
    }
    content["runs"] = [
        {**run, "ranks": [{**rank, "page_faults": None} for rank in run["ranks"]]} for run in old["runs"]
    ]
    measured = Measurement.model_validate_json(to_json(content))
    checks = validity.checks(measured)
    return Record(**dict(measured), checks=checks, metrics=cell_summary.summarize([measured], checks))
