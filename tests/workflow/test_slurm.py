"""The whole tiny workflow on a real Slurm of two nodes, and what happens when jobs, ranks and Snakemake are killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from servers import missing, require

ROOT = Path(__file__).parents[2]
TESTBED = ROOT / "tests/slurm/testbed.sh"
OVERLAY = {
    "data": {"files_per_shard": 4},
    "engines": [{"backend": "eager", "precision": "fp32"}],
    "benchmark": {
        "modes": ["io", "inference"],
        "readers": ["pread"],
        "cache": ["warm"],
        "ranks": [1, 3],
        "ranks_per_node": 2,
        "local_batch_sizes": [1],
        "inter_threads": [1],
        "per_mode": {
            "inference": {"ranks": [4]},
        },
    },
}
ONE_NODE = "io_pread_warm_none_r0001_b001_t01x01"
TWO_NODES = "io_pread_warm_none_r0003_b001_t01x01"
CELLS = {
    ONE_NODE: ["n1.0"],
    TWO_NODES: ["n1.0", "n1.1", "n2.0"],
    "inference_pread_warm_eager-fp32_r0004_b001_t01x01": ["n1.0", "n1.1", "n2.0", "n2.1"],
}
"""Each cell, and the node and local rank of each of its ranks."""
SITE = {"slurm_account": "climate", "slurm_partition": "main", "runtime": 17, "constraint": "nvme", "qos": "short"}
"""What the profile of a site asks for, which this project's own profile must leave alone."""


def wait_for(question, what, process):
    """The first true answer, while the process lives."""
    deadline = time.monotonic() + 300
    while not (answer := question()):
        assert process.poll() is None, f"Snakemake ended before there was {what}\n{process.stdout.read()}"
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.1)
    return answer


class Workflow:
    """Snakemake with the Slurm profile in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        (folder / "overlay.json").write_text(json.dumps(OVERLAY))
        (folder / "more.json").write_text(json.dumps({"benchmark": {"min_starts": 3, "max_starts": 3}}))
        (folder / "site").mkdir()
        (folder / "site/config.yaml").write_text(yaml.safe_dump({"default-resources": SITE}))
        # Before a job is submitted, the plugin looks for its account in Slurm's database, which this Slurm lacks.
        (folder / "sacctmgr").write_text("#!/bin/sh\n")
        # Without a database, Slurm drops a job's QOS, so what sbatch is asked for is kept.
        real = shutil.which("sbatch")
        (folder / "sbatch").write_text(f'#!/bin/sh\necho "$*" >> {folder}/submitted\nexec {real} "$@"\n')
        for program in ("sacctmgr", "sbatch"):
            (folder / program).chmod(0o755)

    def start(self, *more, overlays=()):
        command = [
            sys.executable, "-m", "snakemake", *more, "--snakefile", ROOT / "Snakefile", "--directory", self.folder,
            "--profile", self.folder / "site", "--workflow-profile", ROOT / "profiles/slurm",
            # The profile's pace is that of a cluster with queues. What fails here fails on purpose.
            "--slurm-init-seconds-before-status-checks", "1", "--retries", "0",
            "--configfile", ROOT / "config/tiny.yaml", self.folder / "overlay.json", *overlays,
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}"},
        )  # fmt: skip
        self.processes.append(process)
        return process

    def run(self, *more):
        """The output of a run that must succeed."""
        process = self.start(*more)
        output = process.communicate(timeout=600)[0]
        assert process.returncode == 0, output
        return output

    def start_more(self, group):
        """Start a group once more, for a third start of each of its cells; the Snakemake process."""
        return self.start(f"results/benchmark/{group}.json", overlays=[self.folder / "more.json"])

    def records(self):
        """The record of the first start of each cell."""
        return {path.parent.name: path for path in self.folder.glob("results/benchmark/*/0.json")}

    def close(self):
        """End what a test that failed left behind."""
        for process in self.processes:
            process.kill()
            process.wait()


def harm(process, act):
    """Act until Snakemake, which tries a benchmark twice, gives up. Its output."""
    deadline = time.monotonic() + 200
    while process.poll() is None:
        assert time.monotonic() < deadline, "Snakemake does not end"
        act()
        time.sleep(0.2)
    assert process.returncode != 0
    return process.stdout.read()


def processes_of_rank(rank):
    """Process ids of the Python programs that Slurm started as the benchmark's rank of that number."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it is gone, or not ours
            continue
        if b"run_benchmark\0--dataset" in command and f"PMIX_RANK={rank}".encode() in environment:
            found.append(int(folder.name))
    return found


def running_groups():
    """Slurm's job id of each group that is being measured."""
    command = ["squeue", "--noheader", "--states=running", "--format=%i %k"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    jobs = [re.fullmatch(r"(\d+) rule_run_rounds_wildcards_(.+)", line) for line in lines]
    return {job[2]: job[1] for job in jobs if job}


def cancel_groups():
    """Cancel the jobs that measure groups, if there are any."""
    if jobs := running_groups():
        subprocess.run(["scancel", *jobs.values()], check=True)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Two nodes, n1 and n2."""
    for tool, package in (("slurmctld", "slurm-wlm"), ("srun", "slurm-wlm"), ("munged", "munge")):
        require(tool, package)
    if not list(Path("/usr/lib").glob("**/libpmix.so")):
        missing("libpmix.so is missing: apt-get install libpmix-dev")
    if os.geteuid() != 0:
        missing("Slurm's daemons need root")
    folder = tmp_path_factory.mktemp("slurm") / "testbed"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SLURM_CONF")
        try:
            subprocess.run([TESTBED, "up", folder], check=True)
            yield
        finally:
            subprocess.run([TESTBED, "down", folder], check=True)


@pytest.fixture(scope="module")
def finished(slurm, tmp_path_factory):
    """A folder in which Snakemake and its job were killed after the first record, and started again."""
    workflow = Workflow(tmp_path_factory.mktemp("work"))
    try:
        process = workflow.start()
        wait_for(workflow.records, "a first record", process)
        process.kill()
        process.wait()
        while running_groups():
            cancel_groups()
            time.sleep(0.1)
        workflow.kept = {path: path.stat().st_mtime_ns for path in workflow.records().values()}
        workflow.run("--unlock")
        workflow.run()
        # Slurm forgets jobs after minutes.
        shown = subprocess.run(["scontrol", "--oneliner", "show", "jobs"], capture_output=True, text=True, check=True)
        workflow.jobs = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in shown.stdout.splitlines()]
        yield workflow
    finally:
        workflow.close()


def test_the_whole_workflow_runs_on_slurm(finished):
    summary = pd.read_csv(finished.folder / "results/tables/summary.csv")
    reasons = "; ".join(summary["invalid_reasons"].dropna()).split("; ")
    # Two nodes on one machine, and everything else on it, disturb each other.
    assert {reason.partition(":")[0] for reason in reasons if reason} <= {
        "background_cpu_load",
        "background_storage_load",
        "run_seconds",
    }
    assert set(finished.records()) == set(CELLS)
    for name in ("io_throughput", "inference_throughput", "predictions"):
        assert (finished.folder / f"results/figures/{name}.svg").exists()


def test_every_job_asks_for_what_the_profile_of_the_site_says(finished):
    asked = {(job["Account"], job["Partition"], job["TimeLimit"], job["Features"]) for job in finished.jobs}
    assert asked == {("climate", "main", "00:17:00", "nvme")}
    submitted = (finished.folder / "submitted").read_text().splitlines()
    assert submitted and all("--qos=short" in words for words in submitted)


def test_a_restart_repeats_nothing_that_was_done(finished):
    assert finished.kept
    assert {path: path.stat().st_mtime_ns for path in finished.kept} == finished.kept


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_a_record_names_the_node_of_each_rank(finished, cell):
    environment = json.loads(finished.records()[cell].read_text())["environment"]
    places = [f"{place['node']}.{place['local_rank']}" for place in environment["ranks"]]
    assert places == CELLS[cell] or (cell == ONE_NODE and places == ["n2.0"])
    assert [node["name"] for node in environment["nodes"]] == sorted({place["node"] for place in environment["ranks"]})
    # Ranks that compute keep their memory, also if srun starts them.
    kept = "glibc.malloc.trim_threshold" in environment["variables"].get("GLIBC_TUNABLES", "")
    assert kept is cell.startswith("inference")


TWO_RANKS = """
from deepcam import cli
from deepcam.benchmark import environment, ranks
cli.run(lambda: print(ranks.init_ranks(2).size, environment.mpi_library()))
"""


def two_ranks(folder, mpi, library=None):
    """What two ranks say that srun starts with this kind of MPI, and that load this library."""
    (folder / "program.py").write_text(TWO_RANKS)
    places = {"PYTHONPATH": str(ROOT / "workflow_scripts")} | ({"MPI4PY_LIBMPI": str(library)} if library else {})
    command = ["srun", f"--mpi={mpi}", "--ntasks=2", sys.executable, "program.py"]
    return subprocess.run(command, cwd=folder, env=os.environ | places, capture_output=True, text=True, timeout=60)


def test_the_mpich_of_a_site_runs_with_pmi2(slurm, tmp_path, mpich):
    ended = two_ranks(tmp_path, "pmi2", mpich / "lib/libmpi.so.12")
    assert ended.returncode == 0, ended.stderr
    assert [line.split()[:2] for line in ended.stdout.splitlines()] == [["2", "MPICH"]] * 2


def test_ranks_that_srun_starts_without_their_library_are_told_the_cure(slurm, tmp_path):
    ended = two_ranks(tmp_path, "none")
    assert ended.returncode != 0
    assert "ranks: 2 asked for but 1 started; the launcher does not belong to the MPI library" in ended.stderr
    assert "srun --mpi=pmix" in ended.stderr


def test_each_rank_sees_the_gpus_of_its_node(finished):
    """No GPU here can run a rank, so a program that tells what it sees, and then fails, takes its place."""
    (finished.folder / "tell.sh").write_text(
        'echo "$SLURMD_NODENAME sees $CUDA_VISIBLE_DEVICES" >> seen.txt; sleep 2; exit 1'
    )
    launcher = yaml.safe_load((ROOT / "config/config.yaml").read_text())["cluster"]["launcher"]
    site = {
        "devices": [0, 1],
        "benchmark": {"modes": ["io"], "ranks": [3], "min_starts": 3, "max_starts": 3},
        "cluster": {"launcher": f"{launcher} bash tell.sh"},
    }
    (finished.folder / "gpus.json").write_text(json.dumps(site))
    process = finished.start("results/benchmark/nodes-2.json", overlays=[finished.folder / "gpus.json"])
    output = process.communicate(timeout=120)[0]
    assert process.returncode != 0, output
    seen = (finished.folder / "seen.txt").read_text().splitlines()
    assert sorted(seen) == sorted(["n1 sees 0,1", "n1 sees 0,1", "n2 sees 0,1"] * 2)  # a start is tried twice


def third_record(cell):
    return f"results/benchmark/{cell}/2.json"


def test_a_job_cancelled_is_named_and_a_rerun_finishes(finished):
    process = finished.start_more("nodes-1")
    output = harm(process, cancel_groups)
    told = r"failed: results/logs/run_rounds/nodes-1\.log: SLURM-job '\d+' failed, SLURM status is: 'CANCELLED'"
    assert re.search(told, output), output
    assert not (finished.folder / third_record(ONE_NODE)).exists()
    assert finished.start_more("nodes-1").wait(timeout=300) == 0
    assert (finished.folder / third_record(ONE_NODE)).exists()


def test_a_rank_killed_fails_its_start_and_is_named_and_a_rerun_finishes(finished):
    process = finished.start_more("nodes-2")
    output = harm(process, lambda: [os.kill(pid, signal.SIGKILL) for pid in processes_of_rank(2)])
    log = f"results/logs/run_benchmark/{TWO_NODES}/2.log"
    told = f"failed: results/logs/run_rounds/nodes-2.log: error: {log}: srun: error: n2: task 2: Killed"
    assert told in output, output
    assert not (finished.folder / third_record(TWO_NODES)).exists()
    assert finished.start_more("nodes-2").wait(timeout=300) == 0
    assert (finished.folder / third_record(TWO_NODES)).exists()
