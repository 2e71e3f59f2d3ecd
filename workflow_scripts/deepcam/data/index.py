"""The index: the paths of all samples, a line each, and the shards that they are divided into."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deepcam import files
from deepcam.climate import FILE_NAME
from deepcam.errors import InputError

HEADER = "path"


def write(path: Path | str, sample_paths: Iterable[str]) -> None:
    """Write an index of samples, `<split>/<HDF5 name>` a line, atomically."""
    files.write_text(path, "".join(f"{line}\n" for line in [HEADER, *sample_paths]))


def read(path: Path | str) -> list[str]:
    """The sample paths of an index, in order. Raises InputError for a missing file, a wrong header or a bad line."""
    sample_paths = []
    for number, line in files.read_lines(path, HEADER):
        split, _, name = line.partition("/")
        if not (split.isidentifier() and FILE_NAME.fullmatch(name)):
            raise InputError(
                f"{path}, line {number}: {line[:80]!r} is not <split>/data-YYYY-MM-DD-HH-n.h5: make the index again"
            )
        sample_paths.append(line)
    return sample_paths


def shard(sample_paths: list[str], index: int, files_per_shard: int) -> list[str]:
    """Shard `index` of the samples: lines [index * K, (index + 1) * K) for K files a shard; the last may be short.

    Raises InputError where the index has no such lines.
    """
    if files_per_shard < 1 or not 0 <= index * files_per_shard < len(sample_paths):
        raise InputError(
            f"shard {index} of {files_per_shard} files is not in an index of {len(sample_paths)} samples: "
            "check --shard and --files-per-shard"
        )
    return sample_paths[index * files_per_shard : (index + 1) * files_per_shard]


def name_of(sample_path: str) -> str:
    """The file name in a sample path of the index."""
    return sample_path.rpartition("/")[2]
