"""What a run would do, as a dry run of Snakemake finds it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcam import config, files
from deepcam.config import Config
from deepcam.errors import InputError

OUTLINE_VARIABLE = "DEEPCAM_OUTLINE"
"""Names a file to which the workflow writes what its dry run is about: see `write_outline`."""

SNAKEMAKE = Path(__file__).parents[2] / "prepare_run.py"
"""The program that checks configuration files, and then runs Snakemake."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A job that Snakemake would run."""

    rule: str
    wildcards: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DryRun:
    """The configuration that results from all arguments, the working directory, and the jobs."""

    config: Config
    folder: Path
    jobs: Sequence[Job]


def run(arguments: Sequence[str]) -> DryRun:
    """What Snakemake would do with these arguments. It takes no lock, so another run may be under way.

    Raises InputError with Snakemake's messages if it refuses them, or if they ask for something else than a run.
    """
    with tempfile.TemporaryDirectory() as folder:
        outline = Path(folder) / "outline.json"
        ended = subprocess.run(
            # Quiet, because printing thousands of jobs takes longer than finding them. Not last, because --quiet would
            # take the names of targets for its own.
            [sys.executable, SNAKEMAKE, "--keep-lock", "--then-run", "--quiet", "--dry-run", "--nolock", *arguments],
            env=os.environ | {OUTLINE_VARIABLE: str(outline), "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        if ended.returncode:
            lines = ended.stdout.strip().splitlines()
            raise InputError(*[line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines)
        if not outline.exists():
            raise InputError("these arguments make Snakemake do something else than a run; leave them out")
        return read_outline(outline)


def write_outline(path: str, complete_config: Mapping[str, Any], folder: str, jobs: Iterable[Job]) -> None:
    """Write what a dry run is about, as JSON: the configuration with all defaults, the working directory, the jobs."""
    content = {"config": complete_config, "folder": folder, "jobs": [dataclasses.astuple(job) for job in jobs]}
    files.write_text(path, json.dumps(content))


def read_outline(path: Path) -> DryRun:
    """Read what `write_outline` has written."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return DryRun(config.parse(found["config"]), Path(found["folder"]), [Job(*job) for job in found["jobs"]])
