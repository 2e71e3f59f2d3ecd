"""The ranks of a job: one without MPI or several with it, their cores and nodes, and the wait for a quiet machine."""

import json
import os
import subprocess
import sys

import pytest
from deepcam import cgroup, machine
from deepcam.benchmark import ranks
from deepcam.benchmark.ranks import check_even_distribution, init_ranks, started_ranks
from deepcam.errors import InputError
from deepcam.record.delivery_schema import MaskComparison
from mpirun import ROOT, mpirun

ONE_RANK = """
import os, sys
from deepcam import cli
from deepcam.benchmark import environment, run
from deepcam.benchmark.ranks import init_ranks
print(environment.describe(init_ranks(1).size)["mpi"])
print({"h5py", "matplotlib", "mpi4py", "nvidia", "pandas", "psutil", "scipy", "torch"} & sys.modules.keys())
print(len(os.listdir("/proc/self/task")), "thread")
"""

TWO_RANKS = """
import json, os, time
from pathlib import Path
from deepcam.benchmark import environment
from deepcam.benchmark.ranks import init_ranks
from deepcam.record.delivery_schema import MaskComparison
me = init_ranks(2)
models = me.gather_models(MaskComparison(samples=1, pixels=10 ** (10 * me.rank), differing_pixels=0))
if me.rank == 0:
    time.sleep(0.2)
    Path("before the barrier").touch()
me.barrier()
waited = Path("before the barrier").exists()
low_and_high, largest = me.allreduce_min_max(me.rank + 5), me.allreduce_max(-me.rank)
gathered, shared = me.gather(os.getpid()), me.broadcast(f"of rank {me.rank}")
meter = me.start_cpu_meter([os.getpid()])
load = me.wait_until_quiet(1.0)
found = me.gather({
    "waited": waited, "reduced": [*low_and_high, largest], "shared": shared, "gathers": gathered is not None,
    "leads": me.node_leader, "measures": meter() is not None, "load": load, "mpi": environment.describe(me.size)["mpi"],
    "pixels": models and [model.pixels for model in models],
    "cores": sorted(me.cores), "bound": sorted(os.sched_getaffinity(0)), "node_cores": sorted(me.node_cores),
})
if me.rank == 0:
    print(json.dumps(found))
"""


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in ranks.LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


def test_one_rank_loads_no_mpi_no_library_that_it_does_not_use_and_starts_no_threads():
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")}
    environment.pop("OPENBLAS_NUM_THREADS", None)  # what this very test has set, by its imports
    command = [sys.executable, "-c", ONE_RANK]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "\nset()\n1 thread\n"


def test_two_ranks_talk_over_mpi(tmp_path):
    (tmp_path / "program.py").write_text(TWO_RANKS)
    ended = mpirun(2, "program.py", tmp_path, timeout=60)
    assert ended.returncode == 0, ended.stderr
    first, second = json.loads(ended.stdout)
    for rank in (first, second):
        assert rank["waited"] and rank["reduced"] == [5, 6, 0] and rank["shared"] == "of rank 0"
        assert rank["bound"] == rank["cores"]
        assert rank["node_cores"] == sorted({*first["cores"], *second["cores"]})
        assert 0 <= rank["load"] <= 1
        assert "MPI" in rank["mpi"]
    assert [rank["gathers"] for rank in (first, second)] == [True, False]
    assert [rank["pixels"] for rank in (first, second)] == [[1, 10**10], None]
    assert [rank["leads"] for rank in (first, second)] == [True, False]
    assert [rank["measures"] for rank in (first, second)] == [True, False]


def test_one_rank_has_all_cores_of_its_process_and_talks_to_itself():
    me = init_ranks(1)
    assert (me.rank, me.size, me.local_rank, me.local_size, me.node_leader) == (0, 1, 0, 1, True)
    assert set(me.cores) == me.node_cores == os.sched_getaffinity(0)
    me.barrier()
    assert me.gather("a") == ["a"]
    model = MaskComparison(samples=1, pixels=2, differing_pixels=0)
    assert me.gather_models(model) == [model]
    assert me.broadcast("a") == "a"
    assert (me.allreduce_max(2.0), me.allreduce_min_max(2.0)) == (2.0, (2.0, 2.0))


@pytest.mark.parametrize("variable", ranks.LAUNCHERS)
def test_more_ranks_than_one_are_an_error_if_one_was_asked_for(variable, monkeypatch):
    monkeypatch.setenv(variable, "3")
    with pytest.raises(InputError, match="1 asked for but 3 started"):
        init_ranks(1)


def test_a_launcher_that_started_two_ranks_of_one_each_is_found_out(tmp_path):
    (tmp_path / "program.py").write_text(
        "from deepcam import cli\nfrom deepcam.benchmark.ranks import init_ranks\ncli.run(lambda: init_ranks(1))\n"
    )
    ended = mpirun(2, "program.py", tmp_path, timeout=60)
    assert ended.returncode != 0
    assert "ranks: 1 asked for but 2 started; start one process without a launcher\n" in ended.stderr


def test_the_script_of_a_batch_job_with_several_tasks_is_one_rank(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert started_ranks() == init_ranks(1).size == 1


def test_the_launcher_that_was_started_last_counts(monkeypatch):
    """mpirun in a step of Slurm."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert started_ranks() == 2


@pytest.fixture
def listening(monkeypatch):
    """Given the load that each time of listening finds, how often and how long a rank listened."""
    times = []

    def listen(loads):
        found = iter(loads)
        monkeypatch.setattr(
            machine, "start_cpu_meter", lambda job, cores: lambda: machine.CpuTime(1, 1, background=next(found), own=1)
        )
        monkeypatch.setattr(ranks.time, "sleep", times.append)
        return init_ranks(1).wait_until_quiet(0.1), times

    return listen


def test_a_quiet_machine_is_listened_to_once_and_briefly(listening):
    assert listening([0.1]) == (0.1, [0.1])


def test_a_busy_machine_is_listened_to_again_until_it_is_quiet(listening):
    assert listening([0.9, 0.8, 0.05]) == (0.05, [0.1, 0.5, 0.5])


def test_a_machine_that_stays_busy_is_waited_for_no_longer_than_2_seconds(listening):
    assert listening([0.9, 0.9, 0.9, 0.9, 0.8]) == (0.8, [0.1, 0.5, 0.5, 0.5, 0.5])


def test_a_rank_is_bound_to_its_share_of_the_quota(monkeypatch):
    allowed = os.sched_getaffinity(0)
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: 1.5)
    try:
        cores = init_ranks(1).cores
        assert len(cores) == 1 and os.sched_getaffinity(0) == set(cores) <= allowed
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("ranks_of", [{"a": 1}, {"a": 4}, {"a": 4, "b": 4}, {"a": 3, "b": 2}, {"a": 2, "b": 2, "c": 1}])
def test_an_even_distribution_is_accepted(ranks_of):
    check_even_distribution(nodes(ranks_of))


@pytest.mark.parametrize("ranks_of", [{"a": 7, "b": 1}, {"a": 4, "b": 2}, {"a": 1, "b": 1, "c": 3}])
def test_an_uneven_distribution_is_rejected_with_the_node(ranks_of):
    crowded = max(ranks_of, key=ranks_of.get)
    message = f"{ranks_of[crowded]} of {sum(ranks_of.values())} started on {crowded}, one of {len(ranks_of)} nodes"
    with pytest.raises(InputError, match=message):
        check_even_distribution(nodes(ranks_of))


def nodes(ranks_of):
    return [name for name, count in ranks_of.items() for _ in range(count)]
