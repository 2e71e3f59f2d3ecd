"""Another workflow imports this one with Snakemake's `module`, with a configuration and a target of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPORTING = f"""
configfile: "own.yaml"

module deepcam:
    snakefile: "{ROOT}/Snakefile"
    config: config

use rule * from deepcam

rule own:
    default_target: True
    input: "results/tables/summary.csv"
    output: "own.csv"
    shell: "cp {{input}} {{output}}"
"""


@pytest.fixture
def importing(tmp_path):
    """A folder with a workflow that imports this one; runs it without this checkout on PYTHONPATH."""
    (tmp_path / "Snakefile").write_text(IMPORTING)
    (tmp_path / "own.yaml").write_text((ROOT / "config/tiny.yaml").read_text())
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def snakemake(*arguments):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return snakemake


def test_its_rules_make_what_the_other_workflow_asks_for(importing):
    jobs = dict(line.split() for line in importing("-n", "--quiet", "rules").splitlines() if len(line.split()) == 2)
    assert jobs["own"] == jobs["aggregate_results"] == "1"
    assert jobs["run_rounds"] == "1"  # of the other workflow's configuration
    assert "plot_bottleneck" not in jobs and "all" not in jobs


def test_its_programs_are_found(importing, tmp_path):
    importing("results/data/index.tsv")
    assert len((tmp_path / "results/data/index.tsv").read_text().splitlines()) == 5
