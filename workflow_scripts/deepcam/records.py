"""Benchmark records on disk: their schema, and reading them back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema

from deepcam.climate import InputError

Record = Mapping[str, Any]

SCHEMA = Path(__file__).parents[2] / "config" / "schemas" / "record.schema.json"


def validate(record: Record) -> None:
    """Raise jsonschema.ValidationError where `record` does not follow the schema of records."""
    jsonschema.validate(record, json.loads(SCHEMA.read_text()))


def read(paths: Iterable[Path]) -> list[Record]:
    """The records in `paths`. InputError names a file that is no record of this version."""
    records = []
    for path in paths:
        try:
            record = json.loads(path.read_text())
            validate(record)
        except (json.JSONDecodeError, jsonschema.ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path}: not a benchmark record ({reason}); delete it and run the workflow again"
            ) from None
        records.append(record)
    return records
