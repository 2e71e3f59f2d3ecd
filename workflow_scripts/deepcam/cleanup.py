"""What runs have left in a working directory, in groups that are removed together, and its removal."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pydantic

from deepcam import config, paths
from deepcam.config import Data
from deepcam.config import file as config_file
from deepcam.errors import InputError
from deepcam.grid import Cell
from deepcam.text import count

RESULTS = Path(paths.RESULTS)

FIELDS = [field.name for field in dataclasses.fields(Cell)]
"""The columns of summary.csv that name a configuration. Earlier versions have no storage."""

REBUILT = [
    *("tables", "figures", "logs", "model", "report", "report.zip"),
    *(Path(path).name for path in (paths.SUMMARY_PAGE, paths.EXPLORER_PAGE, paths.RESULT)),
]
"""What `make report` or `make run` makes again in minutes, in the results."""

MEASURED = ["benchmark", "accuracy", Path(paths.PREDICTIONS).name, "bundle*.tar.gz"]
"""Records, what the report needs beside them, and bundles of them, in the results."""

SHARDS = ["npy/shard-*", "hdf5/*/shard-*"]
"""Samples, in the folder of a dataset."""

SHARD_FOLDERS = {"npy", "hdf5", "archive", "synthetic", "local"}
"""Names of the folders of shards. They are removed if nothing is left in them."""


@dataclasses.dataclass(frozen=True)
class Leftovers:
    """Files and folders that are removed together. `question` says what they are; it is empty if nobody is asked."""

    question: str
    paths: Sequence[Path]


def find() -> list[Leftovers]:
    """What runs have left in the results of the working directory, and where the configuration of the run puts data.

    Raises InputError if something of it is tracked by git or lies in `data.source`, where nothing may be removed.
    """
    made = Path(paths.CONFIG)
    try:
        data = config.parse(config_file.load(made)).data if made.exists() else Data()
    except InputError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{made}: not a configuration ({reason}), so it is unknown where the data is; remove {made} and the data "
            "yourself"
        ) from None
    records, trained = _existing(RESULTS, MEASURED), _existing(RESULTS, ["training"])
    groups = [
        Leftovers("", _existing(RESULTS, REBUILT)),
        Leftovers(_listed(count(len(paths.existing_records(RESULTS)), "record"), records), records),
        Leftovers(_listed("trained weights", trained), trained),
        _data(data, made),
    ]
    found = [path for group in groups for path in group.paths]
    for path in found:
        if paths.is_local(data.source) and _overlap(path, Path(data.source)):
            raise InputError(f"{path}: lies in data.source, {data.source}, or holds it; remove it yourself")
    if tracked := _tracked(found):
        raise InputError(f"{tracked[0]}: tracked by git, so it is not removed; move it out of {RESULTS}")
    return [group for group in groups if group.paths]


def invalid() -> list[Path]:
    """The folders of the records of configurations that are invalid in the tables of the run.

    Raises InputError if there is no such table.
    """
    table = Path(paths.table("summary.csv"))
    if not table.exists():
        raise InputError(f"{table}: missing, so it is unknown which configurations are invalid; run make report first")
    with open(table, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["valid"] == "False"]
    adapter = pydantic.TypeAdapter(Cell)
    cells = [adapter.validate_python({key: row[key] for key in FIELDS if key in row}, strict=False) for row in rows]
    folders = [Path(paths.record(cell.id, 0)).parent for cell in cells]
    return [folder for folder in folders if folder.exists()]


def remove(found: Iterable[Path]) -> None:
    """Remove files, folders and links. What a link leads to stays, and so does the folder of a dataset."""
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        for folder in itertools.takewhile(lambda parent: parent.name in SHARD_FOLDERS, path.parents):
            with contextlib.suppress(OSError):  # something is left in it
                folder.rmdir()


def _data(data: Data, made: Path) -> Leftovers:
    """The dataset at all of its places, and the configuration, which says where it lies."""
    folders = [Path(paths.data(place, data.source, data.split)) for place in data.places.values()]
    names = [Path(path("")).name for path in (paths.index, paths.statistics, paths.dataset, paths.hashes)]
    found = []
    for folder in folders:
        is_own = paths.is_local(data.source)  # only this dataset has the folder
        found += _existing(folder.parent, [folder.name]) if is_own else _existing(folder, [*SHARDS, *names])
    files = [Path(place, name) for path in found for place, _, names in os.walk(path) for name in names]
    size = sum(file.lstat().st_size for file in [*files, *(path for path in found if path.is_file())])
    question = _listed(f"data of {size / 1e9:.2f} GB", folders) if found else ""
    return Leftovers(question, [*found, *_existing(made.parent, [made.name])])


def _listed(what: str, found: Sequence[Path]) -> str:
    return f"{what} ({', '.join(map(str, found))})"


def _existing(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]


def _overlap(path: Path, source: Path) -> bool:
    path, source = path.resolve(), source.resolve()
    return path.is_relative_to(source) or source.is_relative_to(path)


def _tracked(found: Sequence[Path]) -> list[str]:
    """The files among these, or in them, that git tracks."""
    here = [os.fspath(path) for path in found if not path.is_absolute()]
    if not here:
        return []
    try:
        listed = subprocess.run(["git", "ls-files", "-z", "--", *here], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # there is no git, or this is no checkout
        return []
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]
