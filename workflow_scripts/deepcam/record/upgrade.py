"""Records of version 5, brought to the form of today. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from deepcam.record import cell_summary, validity
from deepcam.record.schema import SCHEMA_VERSION, Measurement, Record

OLD_VERSION = 5
"""The one older version that is still read."""


def upgrade_record(old: Mapping[str, Any]) -> Record:
    """The record of version 5 with this content as one of SCHEMA_VERSION. Its checks and metrics are made anew.

    Raises KeyError, TypeError, AttributeError or pydantic's ValidationError for anything else.
    """
    content = {key: value for key, value in old.items() if key not in ("checks", "metrics")}
    environment = {key: value for key, value in old["environment"].items() if key != "hdf5"}
    settings = dict(old["settings"])
    if old["cell"]["cache"] == "cold":
        settings["min_seconds"] = 0.0  # a cold run was one epoch, however short
    content |= {
        "schema_version": SCHEMA_VERSION,
        "settings": settings,
        "start": None,
        "environment": environment,
        "runs": [_run(run) for run in old["runs"]],
    }
    measured = Measurement.model_validate_json(to_json(content))
    checks = validity.checks(measured)
    return Record(**dict(measured), checks=checks, metrics=cell_summary.summarize([measured], checks))


def _run(old: Mapping[str, Any]) -> dict[str, Any]:
    """A run, which had one part."""
    ranks = [
        {("part_seconds" if key == "seconds" else key): value for key, value in rank.items()} for rank in old["ranks"]
    ]
    for rank in ranks:
        rank["part_seconds"] = [rank["part_seconds"]]
    residency = {key: [old[key]] for key in ("page_cache_residency_min", "page_cache_residency_max")}
    return {**old, **residency, "ranks": ranks}
