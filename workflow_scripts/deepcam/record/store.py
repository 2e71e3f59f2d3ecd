"""Records and accuracy verdicts on disk."""

from __future__ import annotations

import contextlib
import datetime
import gc
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json

from deepcam import files
from deepcam.errors import InputError, first_mistake
from deepcam.record import cell_summary, consistency_checks, validity
from deepcam.record.schema import SCHEMA_VERSION, AccuracyVerdict, Check, Measurement, Record
from deepcam.record.upgrade import OLD_VERSION, upgrade_record

MOST_BYTES = 256 * 2**20
"""Size of the largest file that is read. The record of 4,096 ranks with 5 runs of 100 batches has 42 MB."""

MOST_VALUES = 8 * 10**6
"""Values in a file, which may take a hundred times as much memory as text."""

MOST_BATCHES = 32 * 10**6
"""Batches in a file, which are packed and therefore no values of their own."""

DEEPEST_LINES = 4
"""Depth in the tree of a record from which values share a line: a rank in runs[].ranks has this depth."""

START = re.compile(rb'\s*\{\s*"schema_version"\s*:\s*([0-9]{1,9})\s*,')
"""How the records of a run start. The version of others is found by parsing them once more."""

LONGEST_REASON = 200
"""Characters. A key of a damaged file may have any length."""


class _Versioned(BaseModel):
    schema_version: int = Field(ge=0, lt=10**9)


def judged(measured: Measurement, checks_of_file: Iterable[Check] = ()) -> Record:
    """The record of a measurement, with its checks, those of the file that it was read from, and its metrics."""
    checks = [*validity.checks(measured), *checks_of_file]
    metrics = cell_summary.summarize([measured], checks)
    return Record(**dict(measured) | {"checks": checks, "metrics": metrics})


def write(record: Record, path: Path) -> None:
    """Write a record with its digest, atomically."""
    content = record.model_dump(mode="json")
    content["digest"] = consistency_checks.digest(content)
    files.write_pieces(path, [*_lines(content), "\n"])


def _lines(value: Any, depth: int = 0) -> Iterator[str]:
    """JSON with a line for each value that is not deep in the tree. Each rank's part of a run has one line."""
    if not value or not isinstance(value, dict | list) or depth >= DEEPEST_LINES:
        yield json.dumps(value, allow_nan=False)
        return
    if isinstance(value, dict):
        begin, end, items = "{", "}", [(f"{json.dumps(key)}: ", one) for key, one in value.items()]
    else:
        begin, end, items = "[", "]", [("", one) for one in value]
    for key, one in items:
        yield f"{begin}\n{' ' * (depth + 1)}{key}"
        yield from _lines(one, depth + 1)
        begin = ","
    yield f"\n{' ' * depth}{end}"


def read(paths: Iterable[Path]) -> list[Record]:
    """Read records, and make their checks and metrics again from what was measured; those of version 6 are converted.

    A record that was edited has a failed check, so that the others can still be shown. Raises InputError that names the
    file and the key for one that is damaged, of another version, or in the place of another cell or start.
    """
    return list(read_each(paths))


def read_each(paths: Iterable[Path]) -> Iterator[Record]:
    """Read records like `read`, one after the other, so that they need not be in memory together."""
    return (parse(files.read_bytes(path, MOST_BYTES), path) for path in paths)


def parse(content: bytes, path: PurePath) -> Record:
    """The record with this content. `path` is where it lies; the errors are those of `read`."""
    with _without_garbage_collection():
        return _parse(content, path)


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep Python from looking for cycles of objects: a record has none, and has so many objects that it takes long."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _parse(content: bytes, path: PurePath) -> Record:
    if len(content) > 2 * MOST_VALUES and sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise InputError(f"{path}: has more than {MOST_VALUES:,} values; remove it")
    try:
        start = START.match(content)
        version = int(start[1]) if start else _Versioned.model_validate_json(content).schema_version
        if version == OLD_VERSION:
            old = upgrade_record(from_json(content))
            record = judged(old, [consistency_checks.check_of_digest(None, "", path.name), *_date(old, path.name)])
        elif version != SCHEMA_VERSION:
            advice = "update the workflow" if version > SCHEMA_VERSION else "delete it and run the workflow again"
            raise InputError(
                f"{path}: a record of version {version}, but versions {OLD_VERSION} and {SCHEMA_VERSION} are "
                f"supported; {advice}"
            )
        else:
            record = _judged_again(Record.model_validate_json(content), from_json(content), path.name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a benchmark record ({reason(error)}); delete it and run the workflow again"
        ) from None
    if (batches := sum(rank.num_batches for run in record.runs for rank in run.ranks)) > MOST_BATCHES:
        raise InputError(f"{path}: has {batches:,} batches, but at most {MOST_BATCHES:,} are read; remove it")
    _check_place(record, path)
    return record


def read_verdict(path: Path) -> AccuracyVerdict:
    """Read and check an accuracy verdict. Raises InputError for one that is damaged."""
    content = files.read_bytes(path, MOST_BYTES)
    try:
        return AccuracyVerdict.model_validate_json(content)
    except ValueError as error:
        raise InputError(
            f"{path}: not an accuracy verdict ({reason(error)}); delete it and run the workflow again"
        ) from None


def _judged_again(recorded: Record, content: Mapping[str, Any], name: str) -> Record:
    """A record with the checks and metrics that follow from its measurement, whatever the file of this name says."""
    verified = consistency_checks.check_of_digest(recorded.digest, consistency_checks.digest(content), name)
    of_file = [verified, *_date(recorded, name)]
    record = judged(recorded, of_file)
    same = consistency_checks.check_of_metrics(recorded.metrics, record.metrics, name)
    return record if same.ok else judged(recorded, [*of_file, same])


def _date(measured: Measurement, name: str) -> list[Check]:
    """The check of the date if it fails."""
    check = consistency_checks.check_of_date(measured.environment.date, datetime.datetime.now(datetime.UTC), name)
    return [] if check.ok else [check]


def _check_place(record: Record, path: PurePath) -> None:
    """A record at `benchmark/<cell>/<start>.json`, where a run keeps it, must be one of that cell and start."""
    if path.parent.parent.name != "benchmark":
        return
    if path.parent.name != record.cell.id:
        raise InputError(
            f"{path}: a record of {record.cell.id} in the folder of another cell; move it there, or delete it"
        )
    if record.start is not None and path.stem != str(record.start.number):
        raise InputError(
            f"{path}: a record of start {record.start.number} with the name of another start; rename it to "
            f"{record.start.number}.json, or delete it if it is a copy"
        )


def reason(error: Exception) -> str:
    """One short line; for a field its place in the file."""
    reason = first_mistake(error) if isinstance(error, ValidationError) else repr(error)
    return reason[:LONGEST_REASON]
