"""Folders with odd names, and files that must not be read: they work, or one line says that they do not."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARAMS = "folder|tables|npy|hdf5|dataset|converted|code|source|hashes|engines|accuracy"
PATHS = rf"\{{(?:input|output|params\.(?:{PARAMS}))[^}}]*\}}"


def run(*command, cwd):
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=120)


def snakemake(checkout, folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "--snakefile", checkout / "Snakefile", "--cores", "2", *arguments]
    return run(*command, "--configfile", ROOT / "config/tiny.yaml", "overlay.json", cwd=folder)


def errors(ended):
    return [line for line in ended.stderr.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize("rules", sorted(ROOT.glob("rules/*.smk")), ids=lambda path: path.stem)
def test_every_path_in_a_shell_command_is_quoted(rules):
    assert [path for path in re.findall(PATHS, rules.read_text()) if not path.endswith(":q}")] == []


def test_data_and_results_may_lie_in_folders_with_odd_names(tmp_path):
    folder = tmp_path / "it's {a} $(touch executed) working folder"
    folder.mkdir()
    data = tmp_path / 'my "disk", naïve & it\'s; touch executed'
    overlay = {"data": {"dir": str(data), "num_files": 2, "files_per_shard": 1, "keep_hdf5": False}}
    overlay["benchmark"] = {"modes": ["io"], "ranks": [1]}
    (folder / "overlay.json").write_text(json.dumps(overlay))
    ended = snakemake(ROOT, folder, "data", "verify", "results/config.yaml")
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads((data / "dataset.json").read_text())["samples"]) == 2
    assert not list(tmp_path.rglob("executed"))


def test_a_command_in_the_name_of_a_folder_is_refused_before_any_job(tmp_path):
    (tmp_path / "overlay.json").write_text(json.dumps({"data": {"dir": "a$(touch executed)b"}}))
    ended = snakemake(ROOT, tmp_path, "data")
    assert len(errors(ended)) == 1 and errors(ended)[0].startswith("error: data.dir: 'a$(touch executed)b' is not")
    assert not (tmp_path / "results").exists() and not (tmp_path / "executed").exists()


@pytest.mark.parametrize(("name", "problem"), [("a{x}", "must not have { or }"), ("a$x", "must not have $")])
def test_a_checkout_with_an_impossible_name_is_refused_in_one_line(name, problem, tmp_path):
    checkout = tmp_path / name
    checkout.mkdir()
    for part in ("Snakefile", "rules", "config", "workflow_scripts", "profiles", "share"):
        (checkout / part).symlink_to(ROOT / part)
    (tmp_path / "overlay.json").write_text("{}")
    (line,) = errors(snakemake(checkout, tmp_path, "--dry-run"))
    assert line.startswith(f"error: {checkout}: the path of this checkout {problem}")


def test_make_refuses_a_checkout_with_a_colon_in_its_path(tmp_path):
    (tmp_path / "a:b").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path / "a:b")
    ended = run("make", "plan", cwd=tmp_path / "a:b")
    (line,) = ended.stderr.splitlines()
    assert "the path of this checkout must not have :" in line


@pytest.mark.parametrize(("program", "status"), [("plan_run.py", 1), ("prepare_run.py", 2)])
def test_a_file_that_would_run_code_is_not_read(program, status, tmp_path):
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text("__use_yte__: true\ndata:\n  num_files: ?open('executed', 'w') and 4\n")
    arguments = ["--snakefile", ROOT / "Snakefile", "--configfile", theirs]
    ended = run(sys.executable, ROOT / "workflow_scripts" / program, *arguments, cwd=tmp_path)
    assert ended.returncode == status
    assert ended.stderr.startswith(f"error: {theirs}: __use_yte__ is not allowed") and ended.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["theirs.yaml"]


def test_what_snakemake_does_not_understand_is_one_line(tmp_path):
    ended = run(sys.executable, ROOT / "workflow_scripts/plan_run.py", "--nonsense", cwd=ROOT)
    assert ended.stderr == "error: unrecognized arguments: --nonsense\n"


def test_nested_values_of_config_are_answered_with_the_file(tmp_path):
    (tmp_path / "overlay.json").write_text('{"data": {}}')
    (line,) = errors(snakemake(ROOT, tmp_path, "--dry-run", "--config", "data={num_files: 4}"))
    assert line.startswith("error: data.num_files: '4' is not allowed") and "use --configfile" in line


def test_make_run_tells_a_mistake_once(tmp_path):
    record = tmp_path / "results/benchmark/cell/0.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    (tmp_path / "overlay.json").write_text('{"data": {"dir": "~/x"}}')
    arguments = ["--snakefile", ROOT / "Snakefile", "--configfile", "overlay.json", "--cores", "1"]
    ended = run(ROOT / "workflow_scripts/run_workflow.sh", *arguments, cwd=tmp_path)
    assert ended.returncode == 2 and len(errors(ended)) == 1


def test_make_run_shows_each_message_of_snakemake_once(tmp_path):
    arguments = ["results/config.yaml", "--snakefile", ROOT / "Snakefile", "--cores", "1"]
    ended = run(ROOT / "workflow_scripts/run_workflow.sh", *arguments, cwd=tmp_path)
    assert ended.returncode == 0 and ended.stderr.count("1 of 1 steps (100%) done") == 1


def test_a_lock_that_no_killed_run_has_left_is_kept(tmp_path):
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/data/index.tsv\n")
    ended = run(ROOT / "workflow_scripts/run_workflow.sh", "--snakefile", ROOT / "Snakefile", cwd=tmp_path)
    assert ended.returncode == 2 and "remove its lock with: rm -r .snakemake/locks" in ended.stderr
    assert (locks / "0.output.lock").exists()
