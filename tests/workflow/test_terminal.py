"""The target plan: a table, within seconds, that agrees with Snakemake's own dry run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def snakemake(folder, overlay, *more):
    command = [sys.executable, "-m", "snakemake", *more, "--snakefile", ROOT / "Snakefile", "--directory", folder]
    return subprocess.run(
        [*command, "--cores", "2", "--configfile", ROOT / "config" / overlay],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("overlay", ["tiny.yaml", "readers.yaml", "gpu.yaml"])
def test_a_plan_counts_the_jobs_of_a_dry_run_and_needs_no_gpu(overlay, tmp_path):
    ended = snakemake(tmp_path, overlay, "plan")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    dry = snakemake(tmp_path, overlay, "-n", "--quiet", "rules")
    assert dry.returncode == 0, dry.stdout + dry.stderr
    # Snakemake counts the target itself.
    planned = int(re.search(r"^all +([\d,]+)  about", ended.stdout, re.M)[1].replace(",", "")) + 1
    assert planned == int(re.search(r"^total +(\d+)", dry.stdout, re.M)[1])
    assert ended.stdout.startswith("samples ")  # stdout is the table and nothing else
    assert {path.name for path in tmp_path.glob("results/*")} <= {"logs"}
