"""Which records belong to a run: the one list that tables, pages, bundle, comparison and plan ask."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepcam import files, paths
from deepcam.errors import InputError

MOST_BYTES = 64 * 2**20
"""Size of the largest list that is read. One of 100,000 records has about 8 MB."""

RECORD = re.compile(rf"{paths.RESULTS}/benchmark/([^/\0]+/[0-9]+\.json)")
"""A line of the list. Its group is the path from the list's folder."""

MOST_NAMED = 3
"""Records that a note names. It counts the others."""


@dataclasses.dataclass(frozen=True)
class RunRecords:
    """The records of a run: those that exist, those that are missing, and other files beside them that do not count.

    Without a list (`listed` is false), all records count that exist.
    """

    present: Sequence[Path]
    missing: Sequence[Path]
    left_out: Sequence[Path]
    listed: bool = True

    def notes(self) -> list[str]:
        """What a reader must know about the choice of records, a sentence each."""
        found = []
        if not self.listed:
            found.append(f"There is no list of the run's records, so all {len(self.present):,} in its folder count.")
        if self.missing:
            found.append(f"Records of this run that are missing: {_named(self.missing)}.")
        if self.left_out:
            found.append(f"Records left out because they are not of this run: {_named(self.left_out)}.")
        return found


def _named(records: Sequence[Path]) -> str:
    names = [f"{path.parent.name}/{path.name}" for path in records[:MOST_NAMED]]
    more = [f"and {len(records) - MOST_NAMED:,} more"] if len(records) > MOST_NAMED else []
    return ", ".join([*names, *more])


def listing(cells: Iterable[str], min_starts: int) -> list[str]:
    """The paths of the records of a run of these cells: those that exist, and those that are missing.

    A cell with fewer than `min_starts` records lacks some. Paths are relative to the working directory.
    """
    found = []
    for cell in cells:
        records = [str(path) for path in paths.records_of(cell)]
        found += records + [paths.record(cell, start) for start in range(min_starts)][len(records) :]
    return found


def of_cells(cells: Iterable[str]) -> RunRecords:
    """The records in the working directory that a run of these cells would continue. It writes its list at the end."""
    return choose(listing(cells, min_starts=0), paths.existing_records(Path(paths.RESULTS)), Path(paths.RECORD_LIST))


def read(listed: Path) -> RunRecords:
    """The records of the run that has left the list `results/benchmark/records.txt`, wherever its results lie now.

    A folder without the list was filled by hand. Raises InputError for a list that no run has written.
    """
    lines = parse(files.read_bytes(listed, MOST_BYTES), listed) if listed.exists() else None
    return choose(lines, paths.existing_records(listed.parent.parent), listed)


def parse(content: bytes, path: Path) -> list[str]:
    """The lines of a list with this content. `path` is where it lies; the error is that of `read`."""
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a list of records ({error}); delete it and run the workflow again") from None
    for number, line in enumerate(lines, 1):
        if not RECORD.fullmatch(line):
            raise InputError(
                f"{path}, line {number}: not the path of a record, {paths.record('<cell>', '<start>')}; delete the "
                "list and run the workflow again"
            )
    return lines


def choose(lines: Iterable[str] | None, existing: Sequence[Path], listed: Path) -> RunRecords:
    """The records that the lines of the list at `listed` name, of those that exist; all of them if there is no list."""
    if lines is None:
        return RunRecords([path for path in existing if path.stem.isdecimal()], [], [], listed=False)
    unique = dict.fromkeys(lines)
    wanted = [listed.parent / line.removeprefix(f"{paths.RESULTS}/benchmark/") for line in unique]
    exists, belongs = set(existing), set(wanted)
    return RunRecords(
        present=[path for path in wanted if path in exists],
        missing=[path for path in wanted if path not in exists],
        left_out=[path for path in existing if path not in belongs],
    )
