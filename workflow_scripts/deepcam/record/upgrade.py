"""Records of version 6, brought to the form of today. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from deepcam.record.schema import SCHEMA_VERSION, Measurement

OLD_VERSION = 6
"""The one older version that is still read."""


def upgrade_record(old: Mapping[str, Any]) -> Measurement:
    """The measurement in the record of version 6 with this content, as one of SCHEMA_VERSION.

    Raises KeyError, TypeError, AttributeError or pydantic's ValidationError for anything else.
    """
    content = {key: value for key, value in old.items() if key not in ("checks", "metrics")}
    content["schema_version"] = SCHEMA_VERSION
    return Measurement.model_validate_json(to_json(content))
