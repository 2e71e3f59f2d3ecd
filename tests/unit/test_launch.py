"""Devices, launchers and resources of jobs."""

import dataclasses

import pytest
from deepcam import config, launch, machine
from deepcam.grid import Cell

COLD = Cell("io", "pread", "cold", "none", 1, 1, 1, 1)
CLUSTER = config.parse({"cluster": {"account": "climate", "partition": "gpus", "minutes": 30}}).cluster


@pytest.mark.parametrize(
    ("devices", "gpus", "names"),
    [
        ("cpu", [0, 1], ["cpu"]),
        ([3, 1], [], ["cuda3", "cuda1"]),
        ("auto", [0, 1], ["cuda0", "cuda1"]),
        ("auto", [], ["cpu"]),
    ],
)
def test_devices_are_the_configured_ones_or_all_gpus(monkeypatch, devices, gpus, names):
    monkeypatch.setattr(machine, "gpu_indices", lambda: gpus)
    assert launch.device_names(devices) == names


def test_a_device_has_the_name_that_pytorch_gives_it():
    assert [launch.torch_device(name) for name in ("cpu", "cuda0", "cuda11")] == ["cpu", "cuda:0", "cuda:11"]


@pytest.mark.parametrize(("ranks", "nodes"), [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_ranks_take_as_few_nodes_as_hold_them(ranks, nodes):
    assert launch.node_count(ranks, 4) == nodes


def settings():
    benchmark = {"ranks_per_node": 4, "launcher": "mpirun -n {ranks}"}
    return config.parse(
        {"benchmark": benchmark, "cluster": {"launcher": "srun -n {ranks} --ntasks-per-node={ranks_per_node}"}}
    )


@pytest.mark.parametrize("ranks", [1, 3])
def test_on_one_machine_its_launcher_starts_the_ranks(ranks):
    assert launch.launcher(settings(), ranks, on_cluster=False) == f"mpirun -n {ranks}"


@pytest.mark.parametrize(
    ("ranks", "command"),
    [
        (2, "srun -n 2 --ntasks-per-node=2"),
        (4, "srun -n 4 --ntasks-per-node=4"),
        (6, "srun -n 6 --ntasks-per-node=3"),
        (9, "srun -n 9 --ntasks-per-node=3"),
    ],
)
def test_on_a_cluster_the_ranks_are_spread_evenly_over_the_nodes(ranks, command):
    assert launch.launcher(settings(), ranks, on_cluster=True) == command


def test_on_a_cluster_a_single_rank_needs_no_launcher():
    assert launch.launcher(settings(), 1, on_cluster=True) == ""


def test_a_job_asks_for_account_partition_time_and_memory():
    assert launch.plain_job(CLUSTER) == {
        "slurm_account": "climate", "slurm_partition": "gpus", "runtime": 30, "mem_mb": 4000
    }  # fmt: skip


def test_by_default_a_job_leaves_account_and_partition_to_the_cluster():
    resources = launch.plain_job(config.parse({}).cluster)
    assert resources == {"slurm_account": "", "slurm_partition": "", "runtime": 60, "mem_mb": 4000}


@pytest.mark.parametrize(("devices", "gres"), [(["cpu"], ""), (["cuda0"], "gpu:1"), (["cuda0", "cuda1"], "gpu:2")])
def test_a_job_on_devices_asks_for_all_gpus_of_a_node_and_more_memory(devices, gres):
    resources = launch.plain_job(CLUSTER) | {"mem_mb": 16000, "gres": gres, "tasks_per_gpu": 0}
    assert launch.device_job(CLUSTER, devices) == resources


@pytest.mark.parametrize(
    ("cache", "configured", "dropped"),
    [("cold", True, True), ("cold", False, False), ("warm", True, False), ("none", True, False)],
)
def test_caches_are_dropped_before_cold_runs_only(cache, configured, dropped):
    assert launch.drops_caches(dataclasses.replace(COLD, cache=cache), configured) is dropped
