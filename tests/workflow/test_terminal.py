"""What is seen in a terminal: the plan, the list of rules, progress, and failures with what to do."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from deepcam.plan import dry_run

ROOT = Path(__file__).parents[2]


def run(program, folder, overlay, *more):
    command = [sys.executable, *program, *more, "--snakefile", ROOT / "Snakefile", "--directory", folder]
    return subprocess.run(
        [*command, "--workflow-profile", ROOT / "profiles/default", "--cores", "2", "--configfile", overlay],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


snakemake = functools.partial(run, ["-m", "snakemake"])
plan = functools.partial(run, [ROOT / "workflow_scripts/plan_run.py"])


def jobs(planned):
    """The number of all jobs in the text of a plan."""
    return int(re.search(r"^all +([\d,]+)  ", planned.stdout, re.M)[1].replace(",", ""))


@pytest.mark.parametrize("overlay", ["tiny.yaml", "readers.yaml", "gpu.yaml"])
def test_a_plan_counts_the_jobs_of_a_dry_run_and_needs_no_gpu(overlay, tmp_path):
    planned = plan(tmp_path, ROOT / "config" / overlay)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    dry = snakemake(tmp_path, ROOT / "config" / overlay, "-n", "--quiet", "rules")
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert jobs(planned) == int(re.search(r"^total +(\d+)", dry.stdout, re.M)[1])
    assert planned.stdout.startswith("samples ")  # stdout is the table and nothing else
    assert not list(tmp_path.glob("results/*"))


def test_the_jobs_of_a_plan_are_those_that_a_dry_run_lists(tmp_path):
    overlay = tmp_path / "shards.yaml"
    overlay.write_text("data: {num_files: 5, files_per_shard: 2}")
    arguments = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path), "--configfile", str(overlay)]
    planned = dry_run.run(arguments)
    assert (planned.folder, planned.config.data.files_per_shard) == (tmp_path, 2)
    listed = re.findall(r"^rule (\w+):\n((?:    .*\n)*)", snakemake(tmp_path, overlay, "-n").stdout, re.M)
    wildcards = [re.search(r"^    wildcards: (.*)$", details, re.M) for _, details in listed]
    assert sorted((job.rule, ", ".join(map("=".join, job.wildcards.items()))) for job in planned.jobs) == sorted(
        (rule, found[1] if found else "") for (rule, _), found in zip(listed, wildcards, strict=True)
    )
    assert sum(job.rule == "convert_shard" for job in planned.jobs) == 3


@pytest.mark.parametrize("option", ["--list", "--lint"])
def test_a_plan_of_something_else_than_a_run_is_one_line(option, tmp_path):
    ended = plan(tmp_path, ROOT / "config/tiny.yaml", option)
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1


def test_a_plan_can_be_made_during_a_run(tmp_path):
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/data/index.tsv\n")
    assert "LockException" in snakemake(tmp_path, ROOT / "config/tiny.yaml", "results/data/index.tsv").stderr
    planned = plan(tmp_path, ROOT / "config/tiny.yaml")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert jobs(planned) > 20


def test_a_plan_of_a_wrong_configuration_is_one_line(tmp_path):
    (tmp_path / "wrong.yaml").write_text("data: {num_files: 0}")
    ended = plan(tmp_path, tmp_path / "wrong.yaml")
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr.startswith("error: data.num_files: 0 is not allowed") and ended.stderr.count("\n") == 1


def test_every_rule_says_what_it_does(tmp_path):
    listed = snakemake(tmp_path, ROOT / "config/tiny.yaml", "--list").stdout.splitlines()
    assert len(listed) > 20
    assert [line for line in listed if not re.fullmatch(r"\w+ \(.+\.\)", line)] == []


def test_the_log_of_a_job_has_the_name_of_its_rule(tmp_path):
    dry = snakemake(tmp_path, ROOT / "config/tiny.yaml", "-n", "all", "bundle", "train", "verify").stdout
    logs = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    log: (.*)$", dry, re.M)
    assert len({rule for rule, _ in logs}) > 25
    assert [(rule, log) for rule, log in logs if not re.match(rf"results/logs/{rule}[./]", log)] == []


def test_a_failure_is_shown_with_its_log_and_what_to_do_beside_the_progress(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/model_part_aa").write_text("damaged")
    (tmp_path / "parts/SHA256SUMS").write_text(f"{'0' * 64}  model_part_aa\n{'0' * 64}  model.pth\n")
    (tmp_path / "parts.yaml").write_text(f"model: {{parts: {tmp_path}/parts}}")
    ended = snakemake(tmp_path, tmp_path / "parts.yaml", "results/model/model.pth", "results/data/index.tsv")
    assert ended.returncode != 0
    log = "results/logs/assemble_model.log"
    said = (tmp_path / log).read_text().splitlines()[-1]
    assert said.startswith("error: ")
    assert f"Logfile {log}:" in ended.stderr and ended.stderr.count(said) == 2
    assert "1 of 2 steps (50%) done" in ended.stderr
    last = ended.stderr.partition("Exiting because a job execution failed")[2]
    assert f"failed: {log}: {said}\nFinished jobs are kept" in last
