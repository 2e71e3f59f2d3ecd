"""Files of a bundle that somebody else may have made: read one after the other, with limits, and never unpacked."""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

from deepcam.errors import InputError

MOST_MEMBERS = 20_000
"""Files and folders in a bundle. A large run has some thousands."""

MOST_MEMBER_BYTES = 256 * 2**20
"""Size of a file in a bundle. The largest ones are records of some megabytes."""

MOST_BYTES = 64 * 2**30
"""Size of all files in a bundle, which are some thousands of records."""

MOST_EXPANSION, ALWAYS_BYTES = 100, 256 * 2**20
"""Ratio of the size of all files to that of the bundle, which is about 10 for records, and the size up to which the
ratio does not matter."""

LONGEST_PATH = 300
"""Characters of a path in a bundle."""

MOST_AT_ONCE = 2**20
"""Bytes of one read. A header that is larger is not one of a bundle."""


class _Forwards:
    """A stream that is read only forwards and in small pieces, because tarfile believes what every header says."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self._stream, self._most = stream, most
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MOST_AT_ONCE:
            raise tarfile.TarError(f"a header of {size:,} bytes")
        self._check(self.tell() + size)
        return self._stream.read(size)

    def seek(self, position: int) -> None:
        if position < self.tell():
            raise tarfile.TarError("a header that points backwards")
        self._check(position)
        self._stream.seek(position)

    def _check(self, position: int) -> None:
        if position > self._most:
            raise tarfile.TarError(f"more than {self._most:,} bytes")


def members(bundle: Path, wanted: re.Pattern[str]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path and content of each file whose path `wanted` matches completely, in the order of the archive.

    Raises InputError for an archive that is damaged, not of that form, or too large, and for a file that is a link,
    that has `..` in its path, or that occurs twice.
    """
    try:
        most = min(MOST_BYTES, max(ALWAYS_BYTES, MOST_EXPANSION * bundle.stat().st_size))
        with gzip.open(bundle) as stream:
            forwards = _Forwards(stream, most)
            with tarfile.open(fileobj=cast(Any, forwards), mode="r:") as archive:
                yield from _files(archive, wanted)
            # tarfile takes a damaged header for the end. Reading on also compares the checksum of the whole.
            while rest := forwards.read(MOST_AT_ONCE):
                if rest.strip(b"\0"):
                    raise tarfile.TarError("a damaged header")
    # tarfile also raises ValueError, OverflowError and others that come from what headers say.
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, ArithmeticError, LookupError) as error:
        raise InputError(
            f"{bundle}: no .tar.gz bundle that can be read ({error}); give a whole one, or a folder"
        ) from None


def _files(archive: tarfile.TarFile, wanted: re.Pattern[str]) -> Iterator[tuple[PurePosixPath, bytes]]:
    found: set[PurePosixPath] = set()
    for number, member in enumerate(archive):
        if number == MOST_MEMBERS:
            raise tarfile.TarError(f"more than {MOST_MEMBERS:,} files")
        if len(member.name) > LONGEST_PATH or not member.name.isprintable():
            raise tarfile.TarError(f"{member.name[:LONGEST_PATH]} is not a path")
        if not 0 <= member.size <= MOST_MEMBER_BYTES:
            raise tarfile.TarError(f"{member.name} has {member.size:,} bytes; at most {MOST_MEMBER_BYTES:,} are read")
        if wanted.fullmatch(member.name):
            path = PurePosixPath(member.name)
            if path in found:
                raise tarfile.TarError(f"{path} is in it twice")
            found.add(path)
            yield path, _content(archive, member)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    # tarfile follows links, and fills the holes of sparse files, which no bundle has.
    file = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if file is None or ".." in PurePosixPath(member.name).parts:
        raise tarfile.TarError(f"{member.name} is not a file inside of it")
    return b"".join(iter(lambda: file.read(MOST_AT_ONCE), b""))
