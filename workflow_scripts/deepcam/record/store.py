"""Benchmark records on disk: their schema, and reading them back."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema

from deepcam.errors import InputError

Record = Mapping[str, Any]

SCHEMA_VERSION = 4

SCHEMA = Path(__file__).parents[3] / "config" / "schemas" / "record.schema.json"


def validate(record: Record) -> None:
    """Raise jsonschema.ValidationError where `record` does not follow the schema of records."""
    error = jsonschema.exceptions.best_match(_validator().iter_errors(record))
    if error is not None:
        raise error


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    """Built once: to check the schema itself takes longer than to check a record."""
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))


def find(listed: Path) -> tuple[list[Path], list[Path]]:
    """Of the records in a list, a path a line, those that exist and those that are missing."""
    paths = [Path(line) for line in listed.read_text().splitlines()]
    return [path for path in paths if path.exists()], [path for path in paths if not path.exists()]


def read(paths: Iterable[Path]) -> list[Record]:
    """The records in `paths`. InputError names a file that is no record of this version."""
    records = []
    for path in paths:
        try:
            record = json.loads(path.read_text())
            validate(record)
        except (ValueError, jsonschema.ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path}: not a benchmark record ({reason}); delete it and run the workflow again"
            ) from None
        records.append(record)
    return records


def glance(path: Path) -> Record:
    """A record of this version, not checked any further: for thousands that would take a minute.

    InputError names a file that is none.
    """
    try:
        record = json.loads(path.read_text())
        if record["schema_version"] == SCHEMA_VERSION:
            return record
        reason = f"its schema_version is {record['schema_version']}"
    except (ValueError, KeyError, TypeError) as error:
        reason = repr(error)
    raise InputError(
        f"{path}: not a record of version {SCHEMA_VERSION} ({reason}); delete it and run the workflow again"
    )
