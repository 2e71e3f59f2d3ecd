"""The manifest that completes a shard folder, and the ledger of the files that are finished so far."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepcam import files
from deepcam.errors import InputError

MANIFEST = "manifest.tsv"
"""Name of the manifest in a shard folder. It is written last: where it is, the shard is whole."""

LEDGER = "ledger.tsv"
"""Name of a shard folder's ledger: an entry per file as soon as it is finished. Unlike the manifest, which Snakemake
deletes before a job, it survives: a later run tells by it what need not be done again."""

HEADER = "name\tbytes\tsha256"


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
    files.write_text(path, f"{HEADER}\n" + "".join(_line(entry) for entry in entries))


def read(path: Path | str) -> list[Entry]:
    """The entries of a manifest, in order. Raises InputError for a missing file, a wrong header or a bad line."""
    entries = []
    for number, line in files.read_lines(path, HEADER):
        entry = _parsed(line)
        if entry is None:
            raise InputError(f"{path}, line {number}: not 'name, bytes, sha256': delete the file and run again")
        entries.append(entry)
    return entries


def record(folder: Path, entries: Iterable[Entry]) -> None:
    """Add finished files to the folder's ledger, in one write: a killed process adds all of them or none."""
    with files.full_disk_as_input_error(folder / LEDGER):
        descriptor = os.open(folder / LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, "".join(_line(entry) for entry in entries).encode())
        finally:
            os.close(descriptor)


def read_ledger(folder: Path) -> dict[str, Entry]:
    """The latest entry of every file name in the folder's ledger. A torn line is no entry: its file is done again."""
    try:
        lines = (folder / LEDGER).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    return {entry.name: entry for entry in map(_parsed, lines) if entry is not None}


def is_in_place(folder: Path, entry: Entry) -> bool:
    """Whether the entry's file is in the folder with the right size. Contents are not read."""
    path = folder / entry.name
    return path.is_file() and path.stat().st_size == entry.bytes


def outdated(folder: Path, entries: Iterable[Entry]) -> list[str]:
    """Names of the entries whose file is missing from the folder or has another size. Contents are not read."""
    return [entry.name for entry in entries if not is_in_place(folder, entry)]


def require(path: Path, entries: Iterable[Entry]) -> None:
    """Raise InputError naming the first of these entries of the manifest at `path` whose file is not in place."""
    if bad := outdated(path.parent, entries):
        raise InputError(
            f"{path.parent / bad[0]}: missing or not the size in {path.name}: delete {path}, make it again"
        )


def read_complete(path: Path) -> list[Entry]:
    """The entries of a manifest whose files all lie beside it with the right size; else InputError naming the first."""
    entries = read(path)
    require(path, entries)
    return entries


@contextlib.contextmanager
def filling(folder: Path, names: Iterable[str], resumable: Iterable[str] = ()) -> Iterator[None]:
    """Hold the folder's lock while a job fills it with `names`.

    First what does not belong is removed: temporary files of a killed process but for the `resumable` ones, the old
    manifest (it must not vouch for files that are about to change), and sample files of another configuration. Other
    files are left alone.
    """
    expected = {*names, *resumable}
    with files.locked(folder.with_name(folder.name + ".lock")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for pattern in ("*" + files.TEMPORARY, "data-*", "label-*"):
            for path in folder.glob(pattern):
                if path.name not in expected:
                    path.unlink()
        yield


def _line(entry: Entry) -> str:
    return f"{entry.name}\t{entry.bytes}\t{entry.sha256}\n"


def _parsed(line: str) -> Entry | None:
    """The entry of a line, None where it is not one."""
    fields = line.split("\t")
    if len(fields) != 3 or not fields[1].isdecimal() or len(fields[2]) != 64 or "/" in fields[0]:
        return None
    return Entry(fields[0], int(fields[1]), fields[2])
