"""How long `make plan` takes, and `make run` until its first job starts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
import measured_process

PLANS: dict[str, tuple[str, dict[str, Any]]] = {
    "`config/config.yaml`": ("config/config.yaml", {}),
    "`config/readers.yaml`": ("config/readers.yaml", {}),
    "`config/gpu.yaml` with 8 devices": ("config/gpu.yaml", {"devices": list(range(8))}),
    "`config/full.yaml`": ("config/full.yaml", {}),
}
"""Names in the table, configurations, and keys that differ."""

JOB = re.compile(r"(?:local)?rule \w+:")
"""What Snakemake prints when it starts a job."""


def plans(folder: Path, samples: int) -> list[dict[str, Any]]:
    """The times of all configurations, and of a folder of so many npy files of one's own, which are empty."""
    source = folder / "source"
    source.mkdir()
    for sample in range(samples):
        for kind in ("data", "label"):
            (source / f"{kind}-{sample:06d}.npy").touch()
    data = {"source": str(source), "num_files": samples, "files_per_shard": 64}
    of_folder = {f"a folder of {samples:,} npy files": ("config/config.yaml", {"data": data})}
    return [plan(folder, name, *keys) for name, keys in (PLANS | of_folder).items()]


def plan(folder: Path, name: str, configuration: str, more: dict[str, Any]) -> dict[str, Any]:
    """The times of one configuration, each in an empty folder, and its numbers."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        overlay = Path(place, "overlay.json")
        overlay.write_text(json.dumps(more or {"data": {"seed": 1}}))
        arguments = [
            "--snakefile", common.ROOT / "Snakefile", "--workflow-profile", common.ROOT / "profiles/default",
            "--directory", place, "--configfile", common.ROOT / configuration, overlay,
        ]  # fmt: skip
        command = [sys.executable, common.ROOT / "workflow_scripts/plan_run.py", *arguments]
        printed, measured = measured_process.run(command)
        return {
            "configuration": name,
            "plan_seconds": measured["seconds"],
            "plan_cpu_seconds": measured["cpu_seconds"],
            **first_job(arguments),
            "cells": number("cells", printed),
            "samples": number("samples", printed),
            "jobs": number("all", printed),
        }


def number(name: str, printed: str) -> str:
    """The first number in the line of a plan that starts with a name."""
    found = re.search(rf"^{name} +([\d,]+)", printed, re.M)
    assert found
    return found[1]


def first_job(arguments: Sequence[Any]) -> dict[str, float]:
    """Seconds of `make run` until Snakemake starts its first job, and is killed; none if it starts none here."""
    begin = time.perf_counter()
    command = [sys.executable, common.ROOT / "workflow_scripts/prepare_run.py", "--then-run", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as snakemake:
        assert snakemake.stdout is not None
        started = any(map(JOB.match, snakemake.stdout))
        seconds = time.perf_counter() - begin
        ticks = Path(f"/proc/{snakemake.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        cpu_seconds = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        os.killpg(snakemake.pid, signal.SIGKILL)
    return {"job_seconds": seconds, "job_cpu_seconds": cpu_seconds} if started else {}
