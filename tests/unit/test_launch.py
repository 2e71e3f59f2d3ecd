"""Devices, launchers and resources of jobs."""

import pytest
from deepcam import config, grid, launch, machine

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
    assert grid.node_count(ranks, 4) == nodes


def settings():
    benchmark = {"ranks_per_node": 4, "launcher": "mpirun -n {ranks}"}
    return config.parse(
        {"benchmark": benchmark, "cluster": {"launcher": "srun -n {ranks} --ntasks-per-node={ranks_per_node}"}}
    )


@pytest.mark.parametrize(
    ("ranks", "on_cluster", "template"),
    [
        (1, False, ""),
        (1, True, ""),
        (3, False, "mpirun -n {ranks}"),
        (3, True, "srun -n {ranks} --ntasks-per-node={ranks_per_node}"),
    ],
)
def test_several_ranks_have_the_launcher_of_where_they_run(ranks, on_cluster, template):
    assert launch.launcher(settings(), ranks, on_cluster) == template


@pytest.mark.parametrize(
    ("ranks", "command"),
    [
        (2, "srun -n 2 --ntasks-per-node=2"),
        (4, "srun -n 4 --ntasks-per-node=4"),
        (6, "srun -n 6 --ntasks-per-node=3"),
        (9, "srun -n 9 --ntasks-per-node=3"),
    ],
)
def test_the_ranks_are_spread_evenly_over_the_nodes(ranks, command):
    assert launch.fill_launcher("srun -n {ranks} --ntasks-per-node={ranks_per_node}", ranks, 4) == command


def test_a_job_asks_for_account_partition_time_and_memory():
    assert launch.plain_job(CLUSTER) == {
        "slurm_account": "climate", "slurm_partition": "gpus", "runtime": 30, "mem_mb": 4000
    }  # fmt: skip


def test_by_default_a_job_leaves_account_partition_and_time_to_the_site():
    assert launch.plain_job(config.parse({}).cluster) == {"mem_mb": 4000}


@pytest.mark.parametrize(("devices", "gres"), [(["cuda0"], "gpu:1"), (["cuda0", "cuda1"], "gpu:2")])
def test_a_job_on_gpus_asks_for_all_gpus_of_a_node_and_more_memory(devices, gres):
    resources = launch.plain_job(CLUSTER) | {"mem_mb": 16000, "gres": gres, "tasks_per_gpu": 0}
    assert launch.device_job(CLUSTER, devices) == resources


def test_a_job_on_the_cpu_leaves_gres_to_the_site():
    assert launch.device_job(CLUSTER, ["cpu"]) == launch.plain_job(CLUSTER) | {"mem_mb": 16000}
