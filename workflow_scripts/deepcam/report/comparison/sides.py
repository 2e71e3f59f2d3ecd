"""One side of a comparison: the records and the configuration in a results folder or in a bundle."""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from deepcam import files, paths
from deepcam.errors import InputError
from deepcam.grid import Cell
from deepcam.record import run_records, store
from deepcam.record.compact import Compact
from deepcam.record.fields import Json
from deepcam.record.run_records import RunRecords
from deepcam.record.schema import Record
from deepcam.report.comparison import archive

MEMBER = re.compile(r"(?:\./)?[^/]+/results/(?:benchmark/(?:[^/]+/\d+\.json|records\.txt)|config\.yaml)")
"""The files that are read from a bundle, all in one top folder."""

LIST = Path(paths.RECORD_LIST).relative_to(paths.RESULTS)
"""The list of the run's records in a results folder."""

MOST_CONFIG_BYTES = 2**16
"""Size of the largest configuration that is read. A complete one has some kilobytes, and YAML is read slowly."""

CONFIG = TypeAdapter(dict[str, Json], config=ConfigDict(strict=True, allow_inf_nan=False))


@dataclasses.dataclass(frozen=True)
class Results:
    """Where the results come from, the records of each cell in the order of starts, and the configuration if known.

    The records that `read` makes are compact: they have no raw times. `notes` say which records do not count, and which
    are missing.
    """

    name: str
    records: Mapping[Cell, Sequence[Record]]
    config: Mapping[str, Any] | None
    notes: Sequence[str] = ()

    def all_records(self) -> list[Record]:
        """The records of all cells."""
        return [record for of_cell in self.records.values() for record in of_cell]


def read(path: Path) -> Results:
    """The results in a folder that has, or is, `results`, or in a .tar.gz bundle of such a folder.

    If the results have the list of their run's records, only these count. The errors are those of `store.read`, and
    InputError if there is no record.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise InputError(f"{path}: does not exist; give a results folder, or a bundle of one")
    return _read_bundle(path)


def _read_folder(folder: Path) -> Results:
    results = folder if (folder / "benchmark").is_dir() else folder / "results"
    config = results / "config.yaml"
    found = run_records.read(results / LIST)
    return _results(
        folder,
        found,
        map(Compact(), store.read_each(found.present)),
        _parse_config(files.read_bytes(config, MOST_CONFIG_BYTES), config) if config.exists() else None,
    )


def _read_bundle(bundle: Path) -> Results:
    records: dict[Path, Record] = {}
    config = lines = None
    compact = Compact()
    for member, content in archive.members(bundle, MEMBER):
        path = bundle / member
        if path.name == "config.yaml":
            config = _parse_config(content, path)
        elif path.name == LIST.name:
            lines = run_records.parse(content, path)
        else:
            records[path] = compact(store.parse(content, path))
    tops = {path.relative_to(bundle).parts[0] for path in records}
    if len(tops) != 1:
        raise InputError(f"{bundle}: has results in {len(tops)} top folders instead of one; give another bundle")
    found = run_records.choose(lines, sorted(records), bundle / tops.pop() / paths.RECORD_LIST)
    return _results(bundle, found, [records[path] for path in found.present], config)


def _results(path: Path, found: RunRecords, records: Iterable[Record], config: Mapping[str, Any] | None) -> Results:
    by_cell: dict[Cell, list[Record]] = collections.defaultdict(list)
    for record in records:
        by_cell[record.cell].append(record)
    if not by_cell:
        raise InputError(f"{path}: has no record benchmark/<cell>/<start>.json; give a folder that a run has filled")
    # In a locale that is not UTF-8, Python has decoded the path in another way.
    return Results(os.fsencode(path).decode(errors="backslashreplace"), dict(by_cell), config, found.notes())


class _Loader(yaml.SafeLoader):
    """Plain YAML without aliases, with which some bytes can stand for gigabytes, or for something without end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"alias *{self.peek_event().anchor}, which no configuration of a run has")
        return super().compose_node(parent, index)


def _parse_config(content: bytes, path: PurePath) -> dict[str, Any]:
    advice = "delete it to compare without"
    if len(content) > MOST_CONFIG_BYTES:
        raise InputError(f"{path}: has {len(content):,} bytes, but at most {MOST_CONFIG_BYTES:,} are read; {advice}")
    try:
        config = yaml.load(content, _Loader)
    # Values that YAML takes for dates or numbers and Python does not are a ValueError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not YAML ({str(error).partition(chr(10))[0]}); {advice}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: not a configuration, but {type(config).__name__}; {advice}")
    try:
        return CONFIG.validate_python(config)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(f"{path}: not a configuration ({first['msg']}); {advice}") from None
