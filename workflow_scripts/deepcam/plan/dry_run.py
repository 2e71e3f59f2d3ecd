"""What a run would do, as Snakemake says it in a dry run."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from deepcam import config
from deepcam.config import Config
from deepcam.errors import InputError

OUTLINE_VARIABLE = "DEEPCAM_OUTLINE"
"""Names a file to which the workflow writes its configuration and its working directory, as JSON."""

_JOB = re.compile(r"^rule ([\w.-]+):\n((?: {4}.*\n)*)", re.M)
_WILDCARDS = re.compile(r"^ {4}wildcards: (.*)$", re.M)
_TOTAL = re.compile(r"^total +(\d+)$", re.M)


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

    Raises InputError with Snakemake's messages if it refuses them.
    """
    with tempfile.TemporaryDirectory() as folder:
        outline = Path(folder) / "outline.json"
        ended = subprocess.run(
            [sys.executable, "-m", "snakemake", "--dry-run", "--nolock", *arguments],
            env=os.environ | {OUTLINE_VARIABLE: str(outline), "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        if ended.returncode:
            lines = ended.stdout.strip().splitlines()
            raise InputError(*[line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines)
        found = json.loads(outline.read_text(encoding="utf-8"))
    return DryRun(config.parse(found["config"]), Path(found["folder"]), parse(ended.stdout))


def parse(output: str) -> list[Job]:
    """The jobs that the output of a dry run lists. Raises InputError if it counts more jobs than it lists."""
    jobs = []
    for rule, details in _JOB.findall(output):
        wildcards = _WILDCARDS.search(details)
        jobs.append(Job(rule, dict(pair.split("=", 1) for pair in wildcards[1].split(", ")) if wildcards else {}))
    total = _TOTAL.search(output)
    counted = int(total[1]) if total else 0
    if counted != len(jobs):
        raise InputError(f"Snakemake lists {len(jobs)} of {counted} jobs; leave out options that make it say less")
    return jobs
