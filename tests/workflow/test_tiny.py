"""The whole workflow on tiny samples, as a user would run it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deepcam.record.packed import unpack
from deepcam.report import contents
from mpirun import mpirun

ROOT = Path(__file__).parents[2]
FIELDS = "mode reader cache engine ranks local_batch_size inter_threads intra_threads storage samples_per_second"


def command(folder, *more):
    return [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
        "--configfile", str(ROOT / "config/tiny.yaml"), "--workflow-profile", str(ROOT / "profiles/default"),
        "--cores", "2", *more,
    ]  # fmt: skip


def snakemake(folder, *more):
    return subprocess.run(command(folder, *more), capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the workflow was killed once in the middle, and then finished."""
    folder = tmp_path_factory.mktemp("tiny")
    process = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and not list(folder.glob("results/benchmark/*/0.json")):
        assert process.poll() is None, "the workflow ended before its first record"
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert snakemake(folder, "--unlock").returncode == 0
    result = snakemake(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


NOISE = {"background_cpu_load", "background_storage_load", "run_seconds"}
"""Checks that fail where tests share a machine, and on runs as short as these."""


def test_tables_hold_every_cell_and_all_are_valid(finished):
    summary = pd.read_csv(finished / "results/tables/summary.csv")
    assert FIELDS.split() == summary.columns[:10].tolist()
    reasons = "; ".join(summary["invalid_reasons"].dropna()).split("; ")
    assert {reason.partition(":")[0] for reason in reasons if reason} <= NOISE
    assert set(summary["mode"]) == {"io", "compute", "inference"}
    assert set(summary["engine"]) == {"none", "eager-fp32", "aotinductor-auto"}
    parquet = pd.read_parquet(finished / "results/tables/summary.parquet")
    assert len(parquet) == len(summary) == len(list(finished.glob("results/benchmark/*/0.json")))
    assert set(summary["num_starts"]) == {2}
    assert set(summary["stopped"]) <= {"precise", "max_starts"}
    best = pd.read_csv(finished / "results/tables/best.csv")
    assert set(best["engine"]) == set(summary[summary["valid"]]["engine"])
    sizing = pd.read_csv(finished / "results/tables/sizing.csv")
    assert set(sizing["engine"]) == set(best[best["mode"] == "compute"]["engine"])


def test_figures_are_drawn(finished):
    names = set(contents.FIGURES) - {"io_split", "scaling", "storage_ratio"}  # one chunk a sample, few ranks, one place
    assert {path.stem for path in finished.glob("results/figures/*.svg")} == names
    # If noise makes cells invalid, there is no verdict to draw. Engines may have the same precision and accuracy.
    for name in names - {"bottleneck", "accuracy_throughput"}:
        assert (finished / f"results/figures/{name}.svg").read_text().startswith("<?xml")
        assert (finished / f"results/figures/{name}.png").stat().st_size > 10_000
        assert len(pd.read_csv(finished / f"results/figures/{name}.csv")) > 0


def test_the_summary_says_what_was_run(finished):
    page = (finished / "results/summary.html").read_text()
    for words in ("4 synthetic samples", "20 configurations are VALID", "Accuracy target: at least 99"):
        assert words in page
    assert "Missing records" not in page


def test_records_prove_that_two_ranks_read_every_sample_once(finished):
    (path,) = finished.glob("results/benchmark/io_pread-discard_warm_none_r0002_b002_t01x01/0.json")
    record = json.loads(path.read_text())
    for run in record["runs"]:
        assert len(run["ranks"]) == 2
        numbers, counts = (
            np.concatenate([unpack(rank[field]) for rank in run["ranks"]])
            for field in ("sample_numbers", "sample_counts")
        )
        assert sorted(numbers) == [0, 1, 2, 3] and set(counts) == {run["epochs"]}
    cores = [set(rank["cores"]) for rank in record["environment"]["ranks"]]
    assert len(os.sched_getaffinity(0)) < 2 or not cores[0] & cores[1]


def test_two_ranks_train_together(finished):
    ended = mpirun(
        2,
        "-m run_benchmark --mode train --reader pread --batch-size 4 --width-multiplier 0.25 --num-runs 1"
        f" --outputfile train.json --dataset {finished}/results/data/dataset.json",
        finished,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    record = json.loads((finished / "train.json").read_text())
    assert record["engine"]["backend"] == "training"
    assert [len(run["ranks"]) for run in record["runs"]] == [2]
    assert "every_sample_once" not in [check["name"] for check in record["checks"] if not check["ok"]]


def test_nothing_is_left_half_written(finished):
    assert not [path for path in finished.rglob("*.part")]


def test_a_second_run_has_nothing_to_do(finished):
    result = snakemake(finished)
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout + result.stderr


def plan(folder, *more):
    program = [sys.executable, str(ROOT / "workflow_scripts/plan_run.py"), *command(folder, *more)[3:]]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return dict(re.findall(r"^(\w+).*? (\d+)  (?:about .*|-)$", ended.stdout, re.M))


def test_a_plan_of_a_finished_run_has_no_jobs(finished):
    assert plan(finished) == {"data": "0", "engines": "0", "benchmark": "0", "tables": "0", "all": "0"}


def starts_to_make(folder, *more):
    """Number of starts that a plan has to make."""
    program = [sys.executable, str(ROOT / "workflow_scripts/plan_run.py"), *command(folder, *more)[3:]]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120, check=True)
    return int(re.search(r"at least (\d+) to make", ended.stdout)[1])


@pytest.mark.parametrize("setting", ["warmup_runs: 2", "min_seconds: 1.0", "shuffle: rank"])
def test_a_plan_measures_again_with_other_settings(finished, tmp_path, setting):
    (tmp_path / "other.yaml").write_text(f"benchmark: {{{setting}}}")
    overlays = "--configfile", str(ROOT / "config/tiny.yaml"), str(tmp_path / "other.yaml")
    jobs = plan(finished, *overlays)
    assert (jobs["data"], jobs["engines"], jobs["benchmark"]) == ("0", "0", "1")
    assert starts_to_make(finished, *overlays) == len(list(finished.glob("results/benchmark/*/*.json")))


def lose(finished):
    """Delete a record; its path, its content, and the other records with their times."""
    lost = next(finished.glob("results/benchmark/io_pread-discard_warm_none_r0002_*/1.json"))
    others = {path: path.stat().st_mtime_ns for path in finished.glob("results/benchmark/*/?.json") if path != lost}
    content = lost.read_bytes()
    lost.unlink()
    return lost, content, others


def test_a_deleted_record_is_measured_again_and_nothing_else(finished):
    lost, content, others = lose(finished)
    assert starts_to_make(finished) == 1
    again = snakemake(finished)
    assert again.returncode == 0, again.stdout + again.stderr
    assert lost.read_bytes() != content
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_a_start_that_takes_too_long_is_ended_and_the_others_stay(finished):
    lost, _, others = lose(finished)
    hurried = finished / "hurried.yaml"
    (finished / "slow.sh").write_text("sleep 20\n")
    hurried.write_text("benchmark: {timeout_seconds: 1, launcher: 'bash slow.sh {ranks}'}\n")
    target = "results/benchmark/nodes-1.json"
    ended = snakemake(finished, target, "--configfile", str(ROOT / "config/tiny.yaml"), str(hurried))
    assert ended.returncode != 0
    log = f"results/logs/run_benchmark/{lost.parent.name}/1.log"
    told = f"error: {log}: took longer than 1 s; see benchmark.timeout_seconds"
    assert f"failed: results/logs/run_rounds/nodes-1.log: {told}" in ended.stdout + ended.stderr
    assert not lost.exists()
    again = snakemake(finished, target)
    assert again.returncode == 0, again.stdout + again.stderr
    assert lost.exists()
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_after_a_failed_start_there_is_a_report_of_the_rest(finished):
    lost, content, _ = lose(finished)
    (finished / "failing.yaml").write_text("benchmark: {launcher: 'false {ranks}'}\n")
    places = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(
        [ROOT / "workflow_scripts/run_workflow.sh", *command(finished)[3:], "--configfile", ROOT / "config/tiny.yaml",
         "failing.yaml"],
        cwd=finished, env=os.environ | places, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    lost.write_bytes(content)
    assert ended.returncode == 1
    assert "error: some jobs failed; the report covers the finished jobs" in ended.stderr
    page = (finished / "results/summary.html").read_text()
    assert "Missing records" in page and "Run the same command again" in page
    assert (finished / "results/report/report.html").exists()
