"""Another workflow imports this one with Snakemake's `module`, with a configuration and a target of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from servers import require

ROOT = Path(__file__).parents[2]
IMPORTING = """
configfile: "own.yaml"

module deepcam:
    snakefile: SNAKEFILE
    config: config

use rule * from deepcam

rule own:
    default_target: True
    input: "results/tables/summary.csv"
    output: "own.csv"
    shell: "cp {input} {output}"
"""
DEPLOYED = """
from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


module deepcam:
    snakefile:
        SNAKEFILE
    config:
        config


use rule * from deepcam
"""
"""What snakedeploy 0.17 writes to `workflow/Snakefile`."""


def snakemake_in(folder, **variables):
    """A function that runs Snakemake in the folder without this checkout on PYTHONPATH, and returns its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables

    def snakemake(*arguments):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return snakemake


@pytest.fixture
def importing(tmp_path):
    """A folder with a workflow that imports this one."""
    (tmp_path / "Snakefile").write_text(IMPORTING.replace("SNAKEFILE", f'"{ROOT}/Snakefile"'))
    (tmp_path / "own.yaml").write_text((ROOT / "config/tiny.yaml").read_text())
    return snakemake_in(tmp_path)


@pytest.fixture
def git_host(tmp_path):
    """Variables with which git takes a repository on this machine, of the files here, for `example/bench` on GitHub."""
    repository = tmp_path / "host/example/bench"
    ignored = shutil.ignore_patterns(".*", "results", "kept", "__pycache__")
    shutil.copytree(ROOT, repository, ignore=ignored)
    identity = ["-c", "user.name=test", "-c", "user.email=test"]
    for command in ["init", "--quiet", "--initial-branch=main"], ["add", "."], [*identity, "commit", "-qm", "all"]:
        subprocess.run([require("git", "git"), *command], cwd=repository, check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/host/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


def test_its_rules_make_what_the_other_workflow_asks_for(importing):
    jobs = dict(line.split() for line in importing("-n", "--quiet", "rules").splitlines() if len(line.split()) == 2)
    assert jobs["own"] == jobs["aggregate_results"] == "1"
    assert jobs["run_rounds"] == "1"  # of the other workflow's configuration
    assert "plot_bottleneck" not in jobs and "all" not in jobs


def test_its_programs_are_found(importing, tmp_path):
    importing("results/data/index.tsv")
    assert len((tmp_path / "results/data/index.tsv").read_text().splitlines()) == 5


def test_it_runs_from_a_git_host_in_the_folder_that_snakedeploy_makes(git_host, tmp_path):
    folder = tmp_path / "deployed"
    shutil.copytree(ROOT / "config", folder / "config")
    (folder / "workflow").mkdir()
    hosted = 'github("example/bench", path="Snakefile", branch="main")'
    (folder / "workflow/Snakefile").write_text(DEPLOYED.replace("SNAKEFILE", hosted))
    snakemake = snakemake_in(folder, **git_host)
    listed = snakemake("--dry-run", "--quiet", "rules", "--configfile", "config/tiny.yaml")
    assert re.search(r"^run_rounds +1$", listed, re.M) and re.search(r"^plot_bottleneck +1$", listed, re.M)
    snakemake("--configfile", "config/tiny.yaml", "--", "results/data/index.tsv")
    assert len((folder / "results/data/index.tsv").read_text().splitlines()) == 5
    commit = subprocess.check_output(["git", "-C", tmp_path / "host/example/bench", "rev-parse", "HEAD"], text=True)
    assert [path.name for path in folder.glob(".snakemake/deepcam-*")] == [f"deepcam-{commit.strip()}"]
