"""Split a large file into parts for a Git repository, and join them again after checking their SHA-256."""

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
"""Name of the file of hashes, in the format of coreutils' sha256sum: a line for each part, then one for the whole."""

ADVICE = "restore the folder (share/ from the repository), or run split_model.py again"

_LINE = re.compile(rf"([0-9a-f]{{64}}) [ *]({PREFIX}[a-z]{{2}}|{re.escape(WHOLE)})")


def split(path: Path, directory: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Split a file into model_part_aa, model_part_ab, ... of at most `part_bytes` bytes, with SHA256SUMS; return them.

    Parts that are already in `directory` are replaced. Raises InputError if the file is missing or empty, or if more
    than 676 parts were needed.
    """
    if part_bytes < 1:
        raise InputError(f"--part-bytes {part_bytes}: must be at least 1")
    if not path.is_file() or not path.stat().st_size:
        raise InputError(f"{path}: does not exist or is empty; give the model to split")
    suffixes = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=2)]
    if path.stat().st_size > part_bytes * len(suffixes):
        raise InputError(f"{path}: over {len(suffixes)} parts of {part_bytes} bytes; increase the part size")
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

    Raises InputError naming the first part that is missing, extra or altered, before anything is written.
    """
    sums = _read_sums(directory / SUMS)
    whole = sums.pop(WHOLE)
    found = {part.name for part in _parts(directory)}
    for name in sorted(sums.keys() - found):
        raise InputError(f"{directory / name}: missing, although {SUMS} lists it; {ADVICE}")
    for name in sorted(found - sums.keys()):
        raise InputError(f"{directory / name}: extra, because {SUMS} does not list it; {ADVICE}")
    for name in sorted(sums):
        if files.sha256(directory / name) != sums[name]:
            raise InputError(f"{directory / name}: altered, because its SHA-256 differs from {SUMS}; {ADVICE}")
    digest = hashlib.sha256()
    with files.atomic_path(output) as temporary:
        with open(temporary, "wb") as target:
            for name in sorted(sums):
                data = (directory / name).read_bytes()
                digest.update(data)
                target.write(data)
        if digest.hexdigest() != whole:
            raise InputError(
                f"{directory}: SHA-256 of the joined parts differs from that of {WHOLE} in {SUMS}; {ADVICE}"
            )


def part_paths(directory: Path | str) -> list[str]:
    """Return the paths of the parts that SHA256SUMS lists, in order. Raises InputError for one that is missing."""
    directory = Path(directory)
    names = sorted(_read_sums(directory / SUMS).keys() - {WHOLE})
    for name in names:
        if not (directory / name).is_file():
            raise InputError(f"{directory / name}: missing, although {SUMS} lists it; {ADVICE}")
    return [str(directory / name) for name in names]


def _parts(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob(f"{PREFIX}*") if path.suffix != files.TEMPORARY)


def _read_sums(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each name. Raises InputError if the file is missing, malformed or incomplete."""
    if not path.is_file():
        raise InputError(f"{path}: missing; it lists the SHA-256 of each model part and is written by split_model.py")
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not (match := _LINE.fullmatch(line)):
            raise InputError(f"{path}: line {number} is not a SHA-256 and the name of a part; run split_model.py again")
        sums[match[2]] = match[1]
    if WHOLE not in sums or len(sums) < 2:
        raise InputError(f"{path}: must list at least one part and {WHOLE}; run split_model.py again")
    return sums
