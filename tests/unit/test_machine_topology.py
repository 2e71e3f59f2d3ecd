"""The kernel's topology of a made-up machine, and the cores that the ranks of a node get of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deepcam import machine_topology
from deepcam.machine_topology import (
    Place,
    numa_node_of_cores,
    numa_node_of_device,
    numa_nodes_of_networks,
    parse_list,
    share_cores,
    thread_affinities,
    topology,
)

TWO_SOCKETS = {core: Place(core % 8 // 4, core % 8 // 4, core % 8) for core in range(16)}
"""Two sockets of 4 cores, which are NUMA nodes. Core n has the siblings n and n + 8."""

ONE_NODE = {core: Place(0, 0, core // 2 * 2) for core in range(8)}
"""One NUMA node of 4 cores. Core n has the siblings 2 n and 2 n + 1."""

UNEVEN = {core: Place(int(core > 1), 0, core) for core in range(6)}
"""NUMA nodes of 2 and of 4 cores without siblings."""


def cores(text: str) -> list[tuple[int, ...]]:
    return [tuple(sorted(parse_list(part))) for part in text.split()]


@pytest.mark.parametrize(
    ("machine", "allowed", "ranks", "quota", "expected"),
    [
        (TWO_SOCKETS, "0-15", 1, None, "0-3,8-11"),
        (TWO_SOCKETS, "0-15", 2, None, "0-3,8-11 4-7,12-15"),
        (TWO_SOCKETS, "0-15", 3, None, "0-1,8-9 2-3,10-11 4-5,12-13"),
        (TWO_SOCKETS, "0-15", 5, None, "0,8 1,9 2,10 4,12 5,13"),
        (TWO_SOCKETS, "0-15", 8, None, "0,8 1,9 2,10 3,11 4,12 5,13 6,14 7,15"),
        (TWO_SOCKETS, "0-15", 16, None, "0 8 1 9 2 10 3 11 4 12 5 13 6 14 7 15"),
        (TWO_SOCKETS, "0-15", 17, None, " ".join(["0-15"] * 17)),
        (TWO_SOCKETS, "0-7", 2, None, "0-3 4-7"),
        (TWO_SOCKETS, "4-7,12-14", 2, None, "4-5,12-13 6-7,14"),
        (TWO_SOCKETS, "0-15", 1, 4.5, "0-3"),
        (TWO_SOCKETS, "0-15", 2, 4.5, "0-1 4-5"),
        (TWO_SOCKETS, "0-15", 2, 12.0, "0-3,8-9 4-7,12-13"),
        (TWO_SOCKETS, "0-15", 1, 0.5, "0"),
        (TWO_SOCKETS, "0-15", 1, 64.0, "0-3,8-11"),
        (ONE_NODE, "0-7", 1, None, "0-7"),
        (ONE_NODE, "0-7", 2, None, "0-3 4-7"),
        (ONE_NODE, "0-7", 3, None, "0-1 2-3 4-5"),
        (ONE_NODE, "0-7", 1, 3.0, "0,2,4"),
        (UNEVEN, "0-5", 1, None, "2-5"),
        (UNEVEN, "0-5", 3, None, "0-1 2-3 4-5"),
        (UNEVEN, "0-5", 4, None, "0 1 2 3"),
    ],
)
def test_ranks_get_whole_cores_of_one_numa_node_within_the_quota(
    machine: dict[int, Place], allowed: str, ranks: int, quota: float | None, expected: str
) -> None:
    affinities = [sorted(parse_list(allowed))] * ranks
    assert share_cores(machine, affinities, quota) == cores(expected)


def test_the_binding_of_the_launcher_is_kept() -> None:
    assert share_cores(TWO_SOCKETS, [[0, 4], [1, 5, 9]]) == [(0, 4), (1, 5, 9)]


def test_the_topology_is_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_topology, "SYSTEM", tmp_path)
    for core, place in TWO_SOCKETS.items():
        folder = tmp_path / f"cpu/cpu{core}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{place.core},{place.core + 8}\n")
        (folder / "physical_package_id").write_text(f"{place.package}\n")
    for node, cpus in enumerate(["0-3,8-11", "4-7,12-15", ""]):  # the third has memory only
        (tmp_path / f"node/node{node}").mkdir(parents=True)
        (tmp_path / f"node/node{node}/cpulist").write_text(f"{cpus}\n")
    assert topology(range(16)) == TWO_SOCKETS


def test_a_kernel_that_tells_no_topology_has_cores_without_siblings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_topology, "SYSTEM", tmp_path)
    assert topology([0, 3]) == {0: Place(0, 0, 0), 3: Place(0, 0, 3)}


def test_the_numa_node_of_cores_is_known_if_they_are_of_one_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_topology, "SYSTEM", tmp_path)
    assert numa_node_of_cores([0]) is None  # this kernel tells of no nodes
    for node, cpus in enumerate(["0-1", "2-3"]):
        (tmp_path / f"node/node{node}").mkdir(parents=True)
        (tmp_path / f"node/node{node}/cpulist").write_text(f"{cpus}\n")
    assert [numa_node_of_cores(cores) for cores in ([0, 1], [3], [1, 2])] == [0, 1, None]


def device(folder: Path, numa_node: str | None = None) -> Path:
    folder.mkdir(parents=True)
    if numa_node is not None:
        (folder / "numa_node").write_text(f"{numa_node}\n")
    return folder


def test_a_device_is_on_the_numa_node_of_the_slot_that_it_is_a_part_of(tmp_path: Path) -> None:
    device(tmp_path / "pci0", "1")
    assert numa_node_of_device(device(tmp_path / "pci0/nvme/nvme0n1")) == 1
    assert numa_node_of_device(device(tmp_path / "pci1", "-1")) is None
    assert numa_node_of_device(device(tmp_path / "virtual/loop0")) is None


def test_network_cards_have_the_numa_node_of_their_slot_and_virtual_ones_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_topology, "CLASSES", tmp_path / "class")
    for kind, card, numa_node in (("net", "eth0", "0"), ("net", "eth1", "-1"), ("infiniband", "mlx5_0", "1")):
        (tmp_path / f"class/{kind}/{card}").mkdir(parents=True)
        (tmp_path / f"class/{kind}/{card}/device").symlink_to(device(tmp_path / f"pci-{card}", numa_node))
    (tmp_path / "class/net/lo").mkdir()
    assert numa_nodes_of_networks() == {"eth0": 0, "eth1": None, "mlx5_0": 1}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="binding to one of several cores needs two")
def test_the_affinities_are_those_of_all_threads_of_a_process() -> None:
    code = """
import os, threading
first, *_ = allowed = sorted(os.sched_getaffinity(0))
bound = threading.Event()
def bind():
    os.sched_setaffinity(0, {first})
    bound.set()
    input()
threading.Thread(target=bind).start()
bound.wait()
print(first, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        first = int(process.stdout.readline())
        found = thread_affinities([process.pid])
        process.communicate("\n")
    assert {parse_list(text) for text in found} == {frozenset({first}), frozenset(os.sched_getaffinity(0))}
