"""The file that a group of configurations leaves after its rounds: how many starts each has, and why it has no more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from deepcam import files, paths
from deepcam.errors import InputError
from deepcam.grid import Cell
from deepcam.record import store
from deepcam.record.columns import Model
from deepcam.record.fields import Positive

FORMAT_VERSION: Final = 6
"""Version of this file's format. It rises only when the format changes, and not with the records' version."""

MOST_BYTES = 16 * 2**20
"""Size of the largest file that is read. One of a grid of 100,000 configurations has about 10 MB."""


class Finished(Model):
    """A configuration that needs no further start."""

    starts: Positive = Field(description="Number of its starts.")
    stopped: Literal["precise", "max_starts", "max_seconds", "minutes"] = Field(
        description="Why measuring it ended: precise enough, or the limit that was reached."
    )


class Rounds(Model):
    """The outcome of all rounds of a group of configurations."""

    schema_version: Literal[6] = Field(description="Version of this format.")
    configurations: dict[Annotated[str, StringConstraints(min_length=1)], Finished] = Field(
        description="Id of each finished configuration to its outcome."
    )


def read(path: Path) -> Rounds:
    """Read and check a rounds file. Raises InputError for one that is damaged or of another version."""
    content = files.read_bytes(path, MOST_BYTES)
    try:
        return Rounds.model_validate_json(content)
    except ValueError as error:
        raise InputError(
            f"{path}: not the outcome of rounds ({store.reason(error)}); delete it and run the workflow again"
        ) from None


def stopped(files_of_rounds: Iterable[Path]) -> dict[str, str]:
    """Why measuring ended, by the id of the configuration, from rounds files. The errors are those of `read`."""
    return {cell: finished.stopped for path in files_of_rounds for cell, finished in read(path).configurations.items()}


def is_complete(path: Path, cells: Iterable[Cell]) -> bool:
    """Whether a rounds file can be read, and every one of these cells has the records that the file counts."""
    try:
        found = read(path).configurations
    except InputError:
        return False
    return all(cell.id in found and len(paths.records_of(cell.id)) >= found[cell.id].starts for cell in cells)
