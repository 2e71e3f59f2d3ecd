"""Which logical cores and devices belong to a NUMA node, and which cores each rank of a node gets."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SYSTEM = Path("/sys/devices/system")

CLASSES = Path("/sys/class")

PROC = Path("/proc")


class Place(NamedTuple):
    """Where a logical core is. Places in order are close to each other."""

    numa_node: int
    package: int
    core: int
    """The lowest number of the logical cores of the same physical core."""


def topology(cores: Iterable[int]) -> dict[int, Place]:
    """Return the places of these logical cores. What the kernel does not tell is one package without siblings."""
    node_of = {
        core: int(folder.name.removeprefix("node"))
        for folder in (SYSTEM / "node").glob("node[0-9]*")
        for core in parse_list(_read(folder / "cpulist"))
    }
    found = {}
    for core in cores:
        folder = SYSTEM / f"cpu/cpu{core}/topology"
        siblings = parse_list(_read(folder / "thread_siblings_list"))
        package = _read(folder / "physical_package_id") or "0"
        found[core] = Place(node_of.get(core, 0), int(package), min(siblings, default=core))
    return found


def numa_node_of_cores(cores: Iterable[int]) -> int | None:
    """Return the NUMA node of these logical cores; None if they are of several, or if the kernel tells of no nodes."""
    nodes = {place.numa_node for place in topology(cores).values()}
    return nodes.pop() if len(nodes) == 1 and (SYSTEM / "node").is_dir() else None


def numa_node_of_device(folder: Path) -> int | None:
    """Return the NUMA node that a device is attached to; None if the kernel does not tell, as in most virtual machines.

    `folder` is the device's folder in /sys. The device, or one that it is a part of, has the number.
    """
    device = folder.resolve()
    found = (_read(above / "numa_node") for above in (device, *device.parents))
    number = next(filter(None, found), "-1")
    return int(number) if int(number) >= 0 else None


def numa_nodes_of_networks() -> dict[str, int | None]:
    """Return the NUMA node of each network card and InfiniBand adapter, by name; without virtual ones."""
    cards = (card for kind in ("net", "infiniband") for card in (CLASSES / kind).glob("*"))
    return {card.name: numa_node_of_device(card / "device") for card in sorted(cards) if (card / "device").exists()}


def parse_list(text: str) -> frozenset[int]:
    """Return the numbers of a list of cores in the kernel's notation, such as 0-3,8."""
    ranges = (part.partition("-") for part in text.split(",") if part)
    return frozenset(itertools.chain.from_iterable(range(int(a), int(b or a) + 1) for a, _, b in ranges))


def share_cores(
    places: Mapping[int, Place], affinities: Sequence[Sequence[int]], quota: float | None = None
) -> list[tuple[int, ...]]:
    """Return the logical cores of each of a node's ranks. `affinities` are those that each of the ranks may use.

    If all ranks may use the same ones, each gets equally many whole physical cores of one NUMA node, which no other
    rank gets. If there are more ranks than physical cores, each gets logical cores instead, and if there are more ranks
    than these, every rank keeps all of them. If the launcher has bound the ranks to different cores, its choice is
    kept. Of a CPU quota, which is a number of cores, each rank has an equal part, and uses no more logical cores than
    that, but at least one; they are of different physical cores as far as possible.
    """
    ranks, allowed = len(affinities), sorted(affinities[0], key=lambda core: (places[core], core))
    if any(set(cores) != set(allowed) for cores in affinities):
        shares = [tuple(cores) for cores in affinities]
    else:
        whole = [tuple(cores) for _, cores in itertools.groupby(allowed, places.__getitem__)]
        single = [(core,) for core in allowed]
        shares = _divide(places, whole, ranks) or _divide(places, single, ranks) or [tuple(allowed)] * ranks
    limit = max(1, int(quota / ranks)) if quota else None
    return [_at_most(limit, cores, places) for cores in shares]


def _divide(places: Mapping[int, Place], units: Sequence[tuple[int, ...]], ranks: int) -> list[tuple[int, ...]]:
    """Return equally many units for each rank, all of one NUMA node; empty if there are fewer units than ranks."""
    nodes = [list(of) for _, of in itertools.groupby(units, lambda unit: places[unit[0]].numa_node)]
    sizes = range(max(map(len, nodes)), 0, -1)
    each = next((size for size in sizes if sum(len(node) // size for node in nodes) >= ranks), None)
    if each is None:
        return []
    placed = [0] * len(nodes)
    for _ in range(ranks):
        free = [number for number, node in enumerate(nodes) if placed[number] < len(node) // each]
        placed[min(free, key=placed.__getitem__)] += 1
    return [
        tuple(itertools.chain.from_iterable(node[first : first + each]))
        for node, number in zip(nodes, placed, strict=True)
        for first in range(0, number * each, each)
    ]


def _at_most(limit: int | None, cores: Sequence[int], places: Mapping[int, Place]) -> tuple[int, ...]:
    """Return so many of the cores, or all of them, sorted: first one of each physical core, then its siblings."""
    siblings = [
        list(of) for _, of in itertools.groupby(sorted(cores, key=lambda core: (places[core], core)), places.get)
    ]
    one_of_each = (core for nth in itertools.zip_longest(*siblings) for core in nth if core is not None)
    return tuple(sorted(itertools.islice(one_of_each, limit)))


def thread_affinities(processes: Iterable[int]) -> frozenset[str]:
    """Return the different sets of cores that all threads of these processes may use, in the kernel's notation."""
    found = set()
    for status in (path for process in processes for path in (PROC / f"{process}/task").glob("*/status")):
        with contextlib.suppress(OSError):  # the thread has ended
            found.add(status.read_text(encoding="utf-8").partition("Cpus_allowed_list:")[2].split()[0])
    return frozenset(found)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""
