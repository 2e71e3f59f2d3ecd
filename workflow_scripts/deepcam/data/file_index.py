"""Lists of samples: the archive's listing of a split, and the workflow's index of all samples and its shards.

A listing (`<split>/files.txt` at the archive) has one HDF5 file name per line. An index (index.tsv) has one
`<split>/<HDF5 name>` per line, below a header, or the absolute path of a sample that is already on this site's storage.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deepcam import files
from deepcam.climate import FILE_NAME
from deepcam.errors import InputError

HEADER = "path"


def parse_listing(body: bytes, url: str) -> list[str]:
    """Return the file names in a listing that came from `url`, sorted and without duplicates. Blank lines are skipped.

    Raises InputError with the URL and the line number if a line is not the name of a sample, or if there is no name.
    """
    names = set()
    for number, line in enumerate(body.split(b"\n"), start=1):
        name = line.strip().decode("ascii", "replace")
        if not name:
            continue
        if not FILE_NAME.fullmatch(name):
            raise InputError(f"{url}, line {number}: {name[:80]!r} is not data-YYYY-MM-DD-HH-n.h5: check the URL")
        names.add(name)
    if not names:
        raise InputError(f"{url}: is empty: check the URL")
    return sorted(names)


def write(path: Path | str, sample_paths: Iterable[str]) -> None:
    """Write an index of the samples, atomically."""
    files.write_text(path, "".join(f"{line}\n" for line in [HEADER, *sample_paths]))


def read(path: Path | str) -> list[str]:
    """Return the sample paths of an index, in order. Raises InputError for a missing file, a bad header or line."""
    sample_paths = []
    for number, line in files.read_lines(path, HEADER):
        split, _, name = line.partition("/")
        if not line.startswith("/") and not (split.isidentifier() and FILE_NAME.fullmatch(name)):
            raise InputError(
                f"{path}, line {number}: {line[:80]!r} is neither <split>/data-YYYY-MM-DD-HH-n.h5 nor a path: "
                "delete the index and run again"
            )
        sample_paths.append(line)
    return sample_paths


def shard_paths(sample_paths: list[str], number: int, files_per_shard: int) -> list[str]:
    """Return the samples of shard `number`, counted from 0. All shards but the last have `files_per_shard` samples.

    Raises InputError if the index has no such shard.
    """
    if files_per_shard < 1 or not 0 <= number * files_per_shard < len(sample_paths):
        raise InputError(
            f"shard {number} of {files_per_shard} files is not in an index of {len(sample_paths)} samples: "
            "check --shard and --files-per-shard"
        )
    return sample_paths[number * files_per_shard : (number + 1) * files_per_shard]


def file_name(sample_path: str) -> str:
    """Return the file name of a sample path."""
    return sample_path.rpartition("/")[2]
