"""A run as one archive, from which its report can be built again elsewhere, and with which it can be repeated."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepcam import files, paths
from deepcam.errors import InputError

CODE = (
    "Snakefile", "Makefile", "README.md", "LICENSE", "pyproject.toml",
    "config", "docs", "envs", "profiles", "rules", "share", "workflow_scripts",
)  # fmt: skip
"""Files and folders of the workflow that are packed."""

KINDS = {".css", ".csv", ".js", ".json", ".md", ".py", ".rst", ".sh", ".smk", ".svg", ".txt", ".yaml", ".j2"}
NAMES = re.compile(r"Containerfile|SHA256SUMS|model_part_\w+")
"""Suffixes, and names without a suffix, of the workflow's files in those folders. They decide where git cannot."""

PUBLISHED = "share/results"
"""Folder of published bundles. A bundle does not contain others."""

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

REPRODUCE_ANONYMISED = """# An anonymised run of the DeepCAM inference and IO benchmark

`results/summary.html` shows the results. Hosts, servers, mounts, paths and accounts have other names, such as node-1.
The weights, the predictions and the workflow itself are not included. `git_commit` in each record of
`results/benchmark` names the commit of the workflow.

In a checkout of that commit, compare these results with your own, or build the pages again, byte for byte:

    .venv/bin/python workflow_scripts/compare.py bundle-anonymised.tar.gz results
    tar --extract --strip-components=1 --file bundle-anonymised.tar.gz
    make report KIND={kind} ARGS="--configfile config/bundle.yaml"
    sha256sum --check results.sha256

The second command replaces files of your results: run `make keep NAME=mine` and `make clean` before it.
"""


def write(code: Path | None, config: Path, dataset: Path, made: Sequence[Path], output: Path, kind: str) -> None:
    """Archive the workflow in `code` and the files in `made` (relative paths); the same content gives the same bytes.

    Without `code`, this is the anonymised form: neither the workflow nor its weights are packed.
    `config` is the configuration that was used and `dataset` the description of the data, wherever they are. `kind` is
    the environment that the workflow runs in, cpu or gpu. Raises InputError for a file that is missing, and for one in
    `made` that is not in the results, because a list or a link that somebody else made may lead anywhere.
    """
    results = {str(path): path for path in made} | {DATASET: dataset}
    for path in results.values():
        if not path.is_file():
            raise InputError(f"{path}: missing; run the workflow again")
    for path in made:
        if path.parts[0] != paths.RESULTS or ".." in path.parts or not _is_inside(path, Path(paths.RESULTS)):
            raise InputError(f"{path}: leads out of {paths.RESULTS}, so it is not packed; put a copy in its place")
    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n" for name, path in sorted(results.items())
    )
    packed_code = {} if code is None else {f"{path.relative_to(code)}": path for path in _code(code)}
    members = packed_code | results | {"config/bundle.yaml": config}
    how = (REPRODUCE_ANONYMISED if code is None else REPRODUCE).format(kind=kind)
    texts = {"REPRODUCE.md": how, "results.sha256": sums}
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
    """The workflow's files, without those that only lie beside them and links that lead out of its folder."""
    tracked = _tracked(folder)
    for path in _known(folder) if tracked is None else tracked:
        if path.is_file() and _is_inside(path, folder):
            yield path


def _tracked(folder: Path) -> list[Path] | None:
    """The files that git tracks; None if the folder is not a checkout, as in an image or an unpacked bundle."""
    command = ["git", "-C", str(folder), "ls-files", "-z", "--", *CODE, f":(exclude){PUBLISHED}"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = [folder / os.fsdecode(name) for name in listed.split(b"\0") if name]
    # A folder may also lie in a checkout of something else.
    return found if folder / "Snakefile" in found else None


def _known(folder: Path) -> Iterable[Path]:
    """The files that look like the workflow's by their place and name, and are not hidden."""
    for name in CODE:
        place = folder / name
        if not place.is_dir():
            yield place
        for path in place.rglob("*"):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if not hidden and (path.suffix in KINDS or NAMES.fullmatch(path.name)):
                yield path


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
