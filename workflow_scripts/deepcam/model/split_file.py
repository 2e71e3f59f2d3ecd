"""A model in parts: how share/ holds a file that is too large for one. Knows nothing of what is in it."""

from __future__ import annotations

import hashlib
import itertools
import re
import string
from pathlib import Path

from deepcam import files
from deepcam.errors import InputError

PART_BYTES = 4 * 2**20
PREFIX = "model_part_"
WHOLE = "model.pth"
SUMS = "SHA256SUMS"
"""Hashes in the format of coreutils' sha256sum: one line a part, in order, then one for the whole file."""

ADVICE = "restore the folder (share/ from the repository), or run split_model.py again"

_LINE = re.compile(rf"([0-9a-f]{{64}}) [ *]({PREFIX}[a-z]{{2}}|{re.escape(WHOLE)})")


def split(path: Path, directory: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Cut a file into parts of at most `part_bytes` bytes, model_part_aa onwards, with SHA256SUMS; return the parts.

    Parts already in `directory` are replaced. Raises InputError for a missing or empty file, or for over 676 parts.
    """
    if part_bytes < 1:
        raise InputError(f"part bytes is {part_bytes}; it must be at least 1")
    if not path.is_file() or not path.stat().st_size:
        raise InputError(f"{path}: no such file, or an empty one; give the model to split")
    suffixes = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=2)]
    if path.stat().st_size > part_bytes * len(suffixes):
        raise InputError(f"{path}: over {len(suffixes)} parts of {part_bytes} bytes; raise the part size")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SUMS).unlink(missing_ok=True)
    for old in _parts(directory):
        old.unlink()
    parts = []
    with open(path, "rb") as source:
        for suffix in suffixes:
            if not (data := source.read(part_bytes)):
                break
            parts.append(directory / f"{PREFIX}{suffix}")
            with files.atomic_path(parts[-1]) as temporary:
                temporary.write_bytes(data)
    lines = [f"{files.sha256(part)}  {part.name}\n" for part in parts]
    files.write_text(directory / SUMS, "".join(lines) + f"{files.sha256(path)}  {WHOLE}\n")
    return parts


def assemble(directory: Path, output: Path) -> None:
    """Join the parts in `directory` into `output`, atomically, after checking each against SHA256SUMS.

    Raises InputError that names the first missing, extra or altered part, before anything is written.
    """
    sums = _sums(directory / SUMS)
    whole = sums.pop(WHOLE)
    found = {part.name for part in _parts(directory)}
    for name in sorted(sums.keys() - found):
        raise InputError(f"{directory / name}: missing, though {SUMS} lists it; {ADVICE}")
    for name in sorted(found - sums.keys()):
        raise InputError(f"{directory / name}: extra, {SUMS} does not list it; {ADVICE}")
    for name in sorted(sums):
        if files.sha256(directory / name) != sums[name]:
            raise InputError(f"{directory / name}: altered, its SHA-256 differs from {SUMS}; {ADVICE}")
    digest = hashlib.sha256()
    with files.atomic_path(output) as temporary:
        with open(temporary, "wb") as target:
            for name in sorted(sums):
                data = (directory / name).read_bytes()
                digest.update(data)
                target.write(data)
        if digest.hexdigest() != whole:
            raise InputError(f"{directory}: the joined parts' SHA-256 differs from {WHOLE}'s in {SUMS}; {ADVICE}")


def part_paths(directory: Path | str) -> list[str]:
    """Paths of the parts that SHA256SUMS lists, in order; InputError for one that is not there."""
    directory = Path(directory)
    names = sorted(_sums(directory / SUMS).keys() - {WHOLE})
    for name in names:
        if not (directory / name).is_file():
            raise InputError(f"{directory / name}: missing, though {SUMS} lists it; {ADVICE}")
    return [str(directory / name) for name in names]


def _parts(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob(f"{PREFIX}*") if path.suffix != files.TEMPORARY)


def _sums(path: Path) -> dict[str, str]:
    """SHA-256 by name; InputError if the list is missing, malformed, or lacks the whole or every part."""
    if not path.is_file():
        raise InputError(f"{path}: missing; it must list the SHA-256 of each model part (split_model.py writes it)")
    sums = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not (match := _LINE.fullmatch(line)):
            raise InputError(f"{path}: line {number} is not a SHA-256 and a part's name; run split_model.py again")
        sums[match[2]] = match[1]
    if WHOLE not in sums or len(sums) < 2:
        raise InputError(f"{path}: must list at least one part and {WHOLE}; run split_model.py again")
    return sums
