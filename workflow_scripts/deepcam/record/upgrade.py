"""Records of version 6, brought to the form of today. Pure functions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic_core import to_json

from deepcam.record.fields import NOT_RECORDED
from deepcam.record.packed import pack
from deepcam.record.schema import SCHEMA_VERSION, Measurement

OLD_VERSION = 6
"""The one older version that is still read."""

LONGEST_SECONDS = 10**6
"""The longest batch interval that is converted: 11 days. A thousand of them fit into 63 bits of nanoseconds."""


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
    samples = content.get("dataset", {}).get("samples", ())
    numbers = {name: number for number, name in enumerate(samples)}
    for run in content.get("runs", ()):
        for rank in run.get("ranks", ()):
            _pack_lists(rank, numbers)
            rank |= {
                "throttled_seconds": None,
                "thread_cores": None,
                "page_faults": None,
                "delivery": None,
                "masks": None,
                "bytes_returned_by_reads": None,
            }


def _pack_lists(rank: dict[str, Any], numbers: Mapping[str, int]) -> None:
    """Pack the lists of a rank. `numbers` maps names of samples to their places in the dataset."""
    intervals, samples = rank.pop("batch_interval_seconds"), rank.pop("samples")
    if not all(type(seconds) in (int, float) and 0 <= seconds <= LONGEST_SECONDS for seconds in intervals):
        raise ValueError(f"batch_interval_seconds must be numbers from 0 to {LONGEST_SECONDS:,}")
    # The times since the start are rounded, so that the sum of the intervals stays that of the part.
    finished = np.round(np.cumsum(np.array(intervals, float)) * 1e9).astype(np.int64)
    known = {numbers[name]: times for name, times in samples.items() if name in numbers}
    rank |= {
        "batch_interval_nanoseconds": pack(np.diff(finished, prepend=0)),
        "batch_samples": pack(_whole(rank["batch_samples"])),
        "sample_numbers": pack(list(known)),
        "sample_counts": pack(_whole(list(known.values()))),
        "unknown_samples": {name: times for name, times in samples.items() if name not in numbers},
    }


def _whole(values: list[Any]) -> list[int]:
    """The values. Raises ValueError if one is not a whole number, or does not fit into 63 bits."""
    if not all(type(value) is int and 0 <= value < 2**63 for value in values):
        raise ValueError("batch_samples and samples must be whole numbers of at least 0")
    return values
