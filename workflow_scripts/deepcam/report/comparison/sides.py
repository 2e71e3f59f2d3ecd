"""One side of a comparison: the records and the configuration in a results folder or in a bundle."""

from __future__ import annotations

import collections
import dataclasses
import re
import tarfile
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deepcam import paths
from deepcam.errors import InputError
from deepcam.grid import Cell
from deepcam.record import store
from deepcam.record.schema import Record

MEMBER = re.compile(r"(?:\./)?[^/]+/results/(?:benchmark/[^/]+/\d+\.json|config\.yaml)")
"""The files that are read from a bundle, all in one top folder."""


@dataclasses.dataclass(frozen=True)
class Results:
    """Where the results come from, the records of each cell in the order of starts, and the configuration if known."""

    name: str
    records: Mapping[Cell, Sequence[Record]]
    config: Mapping[str, Any] | None


def read(path: Path) -> Results:
    """The results in a folder that has, or is, `results`, or in a .tar.gz bundle of such a folder.

    Records of version 4 are converted. Raises InputError if there is no record, or if one is damaged or of another
    version.
    """
    if path.is_dir():
        return _read_folder(path, str(path))
    if not path.is_file():
        raise InputError(f"{path}: does not exist; give a results folder, or a bundle of one")
    with tempfile.TemporaryDirectory() as temporary:
        _extract(path, Path(temporary))
        tops = list(Path(temporary).iterdir())
        if len(tops) != 1:
            raise InputError(f"{path}: has results in {len(tops)} top folders instead of one; give another bundle")
        try:
            return _read_folder(tops[0], str(path))
        except InputError as error:
            raise InputError(str(error).replace(temporary, str(path))) from None


def _extract(bundle: Path, folder: Path) -> None:
    try:
        with tarfile.open(bundle, "r:gz") as archive:
            for member in archive:
                if MEMBER.fullmatch(member.name):
                    _extract_file(archive, member, folder)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"{bundle}: no .tar.gz bundle that can be read ({error}); give a whole one, or a folder"
        ) from None


def _extract_file(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Extract one file with its own checks: tarfile has filters that make extraction safe since Python 3.11.4 only."""
    content = archive.extractfile(member) if member.isfile() else None
    if content is None or ".." in Path(member.name).parts:
        raise tarfile.TarError(f"{member.name} is not a file inside of it")
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read())


def _read_folder(folder: Path, name: str) -> Results:
    results = folder if (folder / "benchmark").is_dir() else folder / "results"
    found = paths.existing_records(results)
    if not found:
        raise InputError(f"{name}: has no record benchmark/<cell>/<start>.json; give a folder that a run has filled")
    by_cell: dict[Cell, list[Record]] = collections.defaultdict(list)
    for record in store.read(found):
        by_cell[record.cell].append(record)
    return Results(name, dict(by_cell), _read_config(results / "config.yaml"))


def _read_config(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        config = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({str(error).splitlines()[0]}); delete it to compare without") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: not a configuration, but {type(config).__name__}; delete it to compare without")
    return config
