"""A run as one archive, from which its report can be built again elsewhere, and with which it can be repeated."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepcam import files, paths
from deepcam.errors import InputError

CODE = (
    "Snakefile", "Makefile", "README.md", "LICENSE", "pyproject.toml",
    "config", "envs", "profiles", "rules", "share", "workflow_scripts",
)  # fmt: skip
"""Files and folders of the workflow that are packed."""

LEFT_OUT = ("__pycache__", ".snakemake", files.TEMPORARY)

DATASET = paths.dataset(paths.DATA)
"""Path of the dataset's description in the bundle."""

TOP = "deepcam-bundle"
"""The folder that the archive unpacks into."""

REPRODUCE = """# A run of the DeepCAM inference and IO benchmark

`results/summary.html` shows what was run and the results. Run all commands in this folder. They need what the README
lists under "Two commands".

Build the tables, figures and pages again from the records, byte for byte, together with Snakemake's report:

    make report KIND={kind} ARGS="--configfile config/bundle.yaml"
    sha256sum --check results.sha256

Repeat the measurements on this machine, and compare them with these:

    mv results results-of-the-bundle
    make run KIND={kind} ARGS="--configfile config/bundle.yaml"
    .venv/bin/python workflow_scripts/compare.py results-of-the-bundle results

`envs/requirements-{kind}.txt` pins the version of every package. Each record in `results/benchmark` describes the
machine and the software, and holds the raw times behind its numbers.
"""


def write(code: Path, config: Path, dataset: Path, made: Sequence[Path], output: Path, kind: str) -> None:
    """Archive the workflow in `code` and the files in `made` (relative paths); the same content gives the same bytes.

    `config` is the configuration that was used and `dataset` the description of the data, wherever they are. `kind` is
    the environment that the workflow runs in, cpu or gpu. Raises InputError for a file that is missing.
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
