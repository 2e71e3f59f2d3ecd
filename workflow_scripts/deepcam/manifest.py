"""Which files exist: the index (names of all samples), its shards, and the manifest that completes a shard folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepcam import files
from deepcam.climate import FILE_NAME, InputError

MANIFEST = "manifest.tsv"
"""Name of the manifest in a shard folder. It is written last: where it is, the shard is whole."""

HEADER = "name\tbytes\tsha256"
INDEX_HEADER = "name"


@dataclass(frozen=True)
class Entry:
    """One file of a shard: its name in the folder, its size in bytes, and its SHA-256 in hexadecimal."""

    name: str
    bytes: int
    sha256: str


def entry(path: Path) -> Entry:
    """The entry of a file on disk; reads all of it."""
    return Entry(path.name, path.stat().st_size, files.sha256(path))


def write(path: Path | str, entries: Iterable[Entry]) -> None:
    """Write a manifest, atomically."""
    _write_lines(path, [HEADER, *(f"{e.name}\t{e.bytes}\t{e.sha256}" for e in entries)])


def read(path: Path | str) -> list[Entry]:
    """The entries of a manifest, in order. Raises InputError for a missing file, a wrong header or a bad line."""
    entries = []
    for number, line in _read_lines(path, HEADER):
        fields = line.split("\t")
        if len(fields) != 3 or not fields[1].isdecimal() or len(fields[2]) != 64 or "/" in fields[0]:
            raise InputError(f"{path}, line {number}: not 'name, bytes, sha256': delete the file and run again")
        entries.append(Entry(fields[0], int(fields[1]), fields[2]))
    return entries


def write_index(path: Path | str, names: Iterable[str]) -> None:
    """Write an index of HDF5 names, atomically."""
    _write_lines(path, [INDEX_HEADER, *names])


def read_index(path: Path | str) -> list[str]:
    """The HDF5 names of an index, in order. Raises InputError for a missing file, a wrong header or a bad name."""
    names = []
    for number, name in _read_lines(path, INDEX_HEADER):
        if not FILE_NAME.fullmatch(name):
            raise InputError(
                f"{path}, line {number}: {name[:80]!r} is not data-YYYY-MM-DD-HH-n.h5: make the index again"
            )
        names.append(name)
    return names


def shard(names: list[str], index: int, files_per_shard: int) -> list[str]:
    """Shard `index` of the names: lines [index * K, (index + 1) * K) for K files a shard; the last may be short.

    Raises InputError where the index has no such lines.
    """
    if files_per_shard < 1 or not 0 <= index * files_per_shard < len(names):
        raise InputError(
            f"shard {index} of {files_per_shard} files is not in an index of {len(names)} names: "
            "check --shard and --files-per-shard"
        )
    return names[index * files_per_shard : (index + 1) * files_per_shard]


def outdated(folder: Path, entries: Iterable[Entry]) -> list[str]:
    """Names of the entries whose file is missing from the folder or has another size. Contents are not read."""
    return [e.name for e in entries if not (folder / e.name).is_file() or (folder / e.name).stat().st_size != e.bytes]


def read_complete(path: Path) -> list[Entry]:
    """The entries of a manifest whose files all lie beside it with the right size; else InputError naming the first."""
    entries = read(path)
    if bad := outdated(path.parent, entries):
        raise InputError(
            f"{path.parent / bad[0]}: missing or not the size in {path.name}: delete {path}, make it again"
        )
    return entries


@contextlib.contextmanager
def filling(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """Hold the folder's lock while a job fills it with `names`.

    First what does not belong is removed: temporary files of a killed process, the old manifest (it must not vouch
    for files that are about to change), and sample files of another configuration. Other files are left alone.
    """
    expected = set(names)
    with files.locked(folder.with_name(folder.name + ".lock")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for path in folder.glob("*" + files.TEMPORARY):
            path.unlink()
        for pattern in ("data-*", "label-*"):
            for path in folder.glob(pattern):
                if path.name not in expected:
                    path.unlink()
        yield


def _write_lines(path: Path | str, lines: Iterable[str]) -> None:
    with files.atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines))


def _read_lines(path: Path | str, header: str) -> Iterator[tuple[int, str]]:
    """Numbered lines below the header, the first being line 2."""
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}): make it again") from error
    if not lines or lines[0] != header:
        raise InputError(f"{path}, line 1: the header is not {header!r}: delete the file and make it again")
    return iter(list(enumerate(lines[1:], start=2)))
