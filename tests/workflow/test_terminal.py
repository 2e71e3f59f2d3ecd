"""What who runs it in a terminal sees: the plan, the list of rules, progress, and failures with what to do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def snakemake(folder, overlay, *more):
    command = [sys.executable, "-m", "snakemake", *more, "--snakefile", ROOT / "Snakefile", "--directory", folder]
    return subprocess.run(
        [*command, "--workflow-profile", ROOT / "profiles/default", "--cores", "2", "--configfile", overlay],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("overlay", ["tiny.yaml", "readers.yaml", "gpu.yaml"])
def test_a_plan_counts_the_jobs_of_a_dry_run_and_needs_no_gpu(overlay, tmp_path):
    ended = snakemake(tmp_path, ROOT / "config" / overlay, "plan")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    dry = snakemake(tmp_path, ROOT / "config" / overlay, "-n", "--quiet", "rules")
    assert dry.returncode == 0, dry.stdout + dry.stderr
    # Snakemake counts the target itself.
    planned = int(re.search(r"^all +([\d,]+)  about", ended.stdout, re.M)[1].replace(",", "")) + 1
    assert planned == int(re.search(r"^total +(\d+)", dry.stdout, re.M)[1])
    assert ended.stdout.startswith("samples ")  # stdout is the table and nothing else
    assert {path.name for path in tmp_path.glob("results/*")} <= {"logs"}


def test_every_rule_says_what_it_does(tmp_path):
    listed = snakemake(tmp_path, ROOT / "config/tiny.yaml", "--list").stdout.splitlines()
    assert len(listed) > 20
    assert [line for line in listed if not re.fullmatch(r"\w+ \(.+\.\)", line)] == []


def test_the_log_of_a_job_has_the_name_of_its_rule():
    rules = [path.read_text() for path in (ROOT / "rules").glob("*.smk")]
    logs = re.findall(r"^rule (\w+):\n(?:(?!^rule ).*\n)*?    log:\n +\"(.*)\"", "\n".join(rules), re.M)
    assert len(logs) > 10
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
    assert f"failed: {log}: {said}\nWhat is done is kept" in last
