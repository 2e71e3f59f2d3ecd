"""A run as one archive: what it takes to build its report again elsewhere, and to run it again."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepcam import files
from deepcam.errors import InputError

CODE = (
    "Snakefile", "Makefile", "README.md", "LICENSE", "pyproject.toml",
    "config", "envs", "profiles", "rules", "share", "workflow_scripts",
)  # fmt: skip
"""Of the workflow's folder: what runs it."""

LEFT_OUT = ("__pycache__", ".snakemake", files.TEMPORARY)

DATASET = "results/data/dataset.json"
"""Where the description of the data stands in the bundle."""

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


def write(code: Path, config: Path, dataset: Path, made: Sequence[Path], output: Path, kind: str) -> None:
    """Archive the workflow in `code` and the files in `made` (relative paths): the same bytes for the same content.

    `config` is the configuration as it held, `dataset` the description of the data, wherever they lie, `kind` the
    environment that the workflow runs in, cpu or gpu. Raises InputError for a file that is missing.
    """
    results = {str(path): path for path in made} | {DATASET: dataset}
    for path in results.values():
        if not path.is_file():
            raise InputError(f"{path}: missing; run the workflow again")
    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n" for name, path in sorted(results.items())
    )
    members = {f"{path.relative_to(code)}": path for path in _code(code)} | results | {"config/bundle.yaml": config}
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
