"""A run as one archive: what it takes to build its report again elsewhere, and to run it again."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepcam import files
from deepcam.climate import InputError

CODE = (
    "Snakefile", "Makefile", "README.md", "LICENSE", "pyproject.toml",
    "config", "envs", "profiles", "rules", "share", "workflow_scripts",
)  # fmt: skip
"""Of the workflow's folder: what runs it."""

LEFT_OUT = ("__pycache__", ".snakemake", files.TEMPORARY)

TOP = "deepcam-bundle"
"""The folder that the archive unpacks to."""

REPRODUCE = """# A run of the DeepCAM inference and IO benchmark

`results/summary.html` says what was run and what came of it. All commands are for this folder, and need what the README
says under "Two commands".

The tables, figures and pages again from the records, byte for byte, and Snakemake's report around them:

    make report KIND={kind} ARGS="--configfile config/bundle.yaml"
    sha256sum --check results.sha256

The same measurements on this machine, beside these:

    mv results results-of-the-bundle
    make run KIND={kind} ARGS="--configfile config/bundle.yaml"
    .venv/bin/python workflow_scripts/compare.py results-of-the-bundle results

The packages are those of `envs/requirements-{kind}.txt`, every version pinned. Each record in `results/benchmark` holds
the machine, the software and the raw times that its numbers come from.
"""


def write(code: Path, config: Path, made: Sequence[Path], output: Path, kind: str) -> None:
    """Archive the workflow in `code` and the files in `made` (relative paths): the same bytes for the same content.

    `config` is the configuration as it held, `kind` the environment that it runs in, cpu or gpu.

    Raises InputError for a file outside the working folder, and for one that is missing.
    """
    for path in made:
        if path.is_absolute() or ".." in path.parts:
            raise InputError(f"{path}: not under the working folder, so the bundle cannot hold it; see data.dir")
        if not path.is_file():
            raise InputError(f"{path}: missing; run the workflow again")
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}\n" for path in sorted(set(made)))
    members = {f"{path.relative_to(code)}": path for path in _code(code)} | {str(path): path for path in made}
    members["config/bundle.yaml"] = config
    texts = {"REPRODUCE.md": REPRODUCE.format(kind=kind), "results.sha256": sums}
    with (
        files.atomic_path(output) as temporary,
        open(temporary, "wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted([*members, *texts]):
            content = texts[name].encode() if name in texts else members[name].read_bytes()
            member = tarfile.TarInfo(f"{TOP}/{name}")
            member.size = len(content)
            member.mode = 0o755 if name in members and members[name].stat().st_mode & 0o100 else 0o644
            archive.addfile(member, io.BytesIO(content))


def _code(folder: Path) -> Iterable[Path]:
    for name in CODE:
        place = folder / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not any(part.endswith(LEFT_OUT) for part in path.relative_to(folder).parts):
                yield path
