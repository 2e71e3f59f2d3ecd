"""The manifest of a finished shard folder, and the ledger of the files that are finished so far."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from deepcam import files
from deepcam.errors import InputError

log = logging.getLogger(__name__)

MANIFEST = "manifest.tsv"
"""Name of the manifest in a shard folder. It is written last, so a shard that has one is complete."""

LEDGER = "ledger.tsv"
"""Name of the ledger in a shard folder. It gets an entry as soon as a file is finished. Snakemake deletes the manifest
before a job, but not the ledger, so a later run can tell which files it need not make again."""

SHARD_NAMES = "shard-[0-9]*"
"""Pattern of the names of shard folders."""

HEADER = "name\tbytes\tsha256"


@dataclass(frozen=True)
class Entry:
    """One file of a shard: its name in the folder, its size in bytes, and its SHA-256 in hexadecimal."""

    name: str
    bytes: int
    sha256: str


def entry(path: Path) -> Entry:
    """Return the entry of a file on disk. Reads the whole file."""
    return Entry(path.name, path.stat().st_size, files.sha256(path))


def write(path: Path | str, entries: Iterable[Entry]) -> None:
    """Write a manifest, atomically."""
    files.write_text(path, f"{HEADER}\n" + "".join(_line(entry) for entry in entries))


def read(path: Path | str) -> list[Entry]:
    """Return the entries of a manifest, in order. Raises InputError for a missing file, a bad header or a bad line."""
    entries = []
    for number, line in files.read_lines(path, HEADER):
        entry = _parse(line)
        if entry is None:
            raise InputError(f"{path}, line {number}: not 'name, bytes, sha256': delete the file and run again")
        entries.append(entry)
    return entries


def append_to_ledger(folder: Path, entries: Collection[Entry]) -> None:
    """Add finished files to the folder's ledger in one write.

    Of a killed process there may be an incomplete line, which `read_ledger` skips.
    """
    if not entries:
        return
    with files.full_disk_as_input_error(folder / LEDGER):
        files.append(folder / LEDGER, "".join(_line(entry) for entry in entries).encode())


def forget(path: Path) -> None:
    """Let the ledger say that a file is not finished.

    It is then made again, even if files that were made from it exist.
    """
    append_to_ledger(path.parent, [Entry(path.name, 0, "0" * 64)])


def read_ledger(folder: Path) -> dict[str, Entry]:
    """Return the latest entry for each file name in the folder's ledger. Incomplete lines are skipped."""
    try:
        lines = (folder / LEDGER).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    return {entry.name: entry for entry in map(_parse, lines) if entry is not None}


def is_in_place(folder: Path, entry: Entry) -> bool:
    """Return whether the entry's file is in the folder with the right size. Contents are not read."""
    path = folder / entry.name
    return path.is_file() and path.stat().st_size == entry.bytes


def not_in_place(folder: Path, entries: Iterable[Entry]) -> list[str]:
    """Return the names of files that are missing from the folder or have another size. Contents are not read."""
    return [entry.name for entry in entries if not is_in_place(folder, entry)]


def check_in_place(path: Path, entries: Iterable[Entry]) -> None:
    """Raise InputError for the first of these entries of the manifest at `path` whose file is not in place."""
    if bad := not_in_place(path.parent, entries):
        raise InputError(
            f"{path.parent / bad[0]}: is missing, or has another size than in {path.name}; delete {path} and run again"
        )


def read_complete(path: Path) -> list[Entry]:
    """Return the entries of a manifest. Raises InputError for the first file that is missing or has another size."""
    entries = read(path)
    check_in_place(path, entries)
    return entries


@contextlib.contextmanager
def exclusive_folder(folder: Path, names: Iterable[str], resumable: Iterable[str] = ()) -> Iterator[None]:
    """Create a shard folder and hold its lock while a job fills it with the files `names`.

    Before that, the old manifest and the temporary files of a killed process are removed, except the `resumable` ones.
    Files that a configuration with other shards has made are not made again: those of `names` are moved here from the
    shard folders beside this one, and others stay where they are.
    """
    with files.locked(folder.with_name(folder.name + ".lock")):
        with files.os_errors_as_input_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / MANIFEST).unlink(missing_ok=True)
            for path in folder.glob("*" + files.TEMPORARY):
                if path.name not in resumable:
                    path.unlink()
            _gather(folder, names)
        yield


def shard_folders(parent: Path, shards: int) -> list[Path]:
    """Return the folders of the shards 0 to `shards` - 1 in a folder."""
    return [parent / f"shard-{number:05d}" for number in range(shards)]


def shards_beside(folder: Path) -> list[Path]:
    """Return the other shard folders of the same kind. A folder that is not named as a shard has none."""
    if not fnmatch(folder.name, SHARD_NAMES):
        return []
    return [path for path in sorted(folder.parent.glob(SHARD_NAMES)) if path.is_dir() and path != folder]


def _gather(folder: Path, names: Iterable[str]) -> None:
    """Move those of `names` that other shards have to this one, and copy their entries of the ledgers.

    An entry may have no file, because the HDF5 files of converted samples can be removed.
    """
    lacking = {name for name in names if not (folder / name).exists()}
    known = set(read_ledger(folder))
    for other in shards_beside(folder):
        if not lacking:
            return
        found = lacking.intersection(os.listdir(other))
        entries = [entry for name, entry in read_ledger(other).items() if name in found | (lacking - known)]
        append_to_ledger(folder, entries)
        known.update(entry.name for entry in entries)
        if not found:
            continue
        if _claims(other, found):
            (other / MANIFEST).unlink(missing_ok=True)
        try:
            for name in found:
                (other / name).replace(folder / name)
        except OSError as error:
            log.warning("%s: its files are made again, because they cannot be moved to %s: %s", other, folder, error)
        else:
            log.info("%s: moved %d files here from %s instead of making them again", folder, len(found), other)
        lacking -= found


def _claims(folder: Path, names: set[str]) -> bool:
    """Return whether the folder's manifest lists one of these files."""
    try:
        return any(entry.name in names for entry in read(folder / MANIFEST))
    except InputError:  # missing, or damaged and of no use to anybody
        return True


def _line(entry: Entry) -> str:
    return f"{entry.name}\t{entry.bytes}\t{entry.sha256}\n"


def _parse(line: str) -> Entry | None:
    """Return the entry in a line, or None if it holds none."""
    fields = line.split("\t")
    if len(fields) != 3 or not fields[1].isdecimal() or len(fields[2]) != 64 or "/" in fields[0]:
        return None
    return Entry(fields[0], int(fields[1]), fields[2])
