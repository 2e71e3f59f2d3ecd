"""Records and accuracy verdicts on disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from deepcam.errors import InputError
from deepcam.record.schema import SCHEMA_VERSION, AccuracyVerdict, Record
from deepcam.record.upgrade import OLD_VERSION, upgrade_record, upgrade_verdict


class _Versioned(BaseModel):
    schema_version: int


def find(listed: Path) -> tuple[list[Path], list[Path]]:
    """The records named in a list, a path a line: those that exist, and those that are missing."""
    paths = [Path(line) for line in listed.read_text(encoding="utf-8").splitlines()]
    return [path for path in paths if path.exists()], [path for path in paths if not path.exists()]


def read(paths: Iterable[Path]) -> list[Record]:
    """Read and check records; those of version 4 are converted.

    Raises InputError that names the file and the key for one that is damaged or of another version.
    """
    return [_read(path) for path in paths]


def read_verdict(path: Path) -> AccuracyVerdict:
    """Read and check an accuracy verdict, of any version. Raises InputError for one that is damaged."""
    try:
        return AccuracyVerdict.model_validate_json(to_json(upgrade_verdict(from_json(path.read_bytes()))))
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: not an accuracy verdict ({_reason(error)}); delete it and run the workflow again"
        ) from None


def _read(path: Path) -> Record:
    content = path.read_bytes()
    try:
        version = _Versioned.model_validate_json(content).schema_version
        if version == OLD_VERSION:
            content = to_json(upgrade_record(from_json(content)))
        elif version != SCHEMA_VERSION:
            advice = "update the workflow" if version > SCHEMA_VERSION else "delete it and run the workflow again"
            raise InputError(
                f"{path}: a record of version {version}, but versions {OLD_VERSION} and {SCHEMA_VERSION} are "
                f"supported; {advice}"
            )
        return Record.model_validate_json(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a benchmark record ({_reason(error)}); delete it and run the workflow again"
        ) from None


def _reason(error: Exception) -> str:
    """One line; for a field its place in the file."""
    if not isinstance(error, ValidationError):
        return repr(error)
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
