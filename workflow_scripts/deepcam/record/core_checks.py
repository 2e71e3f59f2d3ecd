"""Did the job have the cores that its record states? Pure functions."""

from __future__ import annotations

import collections
import functools
import statistics
from collections.abc import Iterator

from deepcam.machine_topology import parse_list
from deepcam.record import metrics
from deepcam.record.checking import WARNING, check
from deepcam.record.schema import Check, Measurement

THROTTLED_LIMIT = 0.01
"""Share of the time of the job's cores for which the kernel may hold it back, because its CPU quota is used up. A job
that keeps all cores of its quota busy is held back for some moments by the kernel's way of counting."""

OTHER_CORES_LIMIT = 0.25
"""Share of the time of a node's other cores that they may be busy: the kernel's own work takes some of it."""

NORMAL = "SCHED_OTHER, nice 0"
"""The scheduling of a process that nobody changed."""


def checks(record: Measurement) -> list[Check]:
    """The checks of cores; none of a record of version 6, which did not say what they need."""
    return [
        *_thread_cores(record),
        *_throttling(record),
        *_scheduling(record),
        *_distance(record),
        *_other_cores(record),
    ]


def _thread_cores(record: Measurement) -> list[Check]:
    """Every thread may use all of its rank's cores."""
    if any(rank.thread_cores is None for run in record.runs for rank in run.ranks):
        return []
    allowed = functools.cache(parse_list)  # ranks of different nodes have the same sets
    bound = sorted(
        f"threads of rank {number} on {place.node} that may use {cores} only"
        for run in record.runs
        for number, (place, rank) in enumerate(metrics.places(record, run))
        for cores in rank.thread_cores or ()
        if not allowed(cores).issuperset(place.cores)
    )
    actual = bound[0] if bound else "such threads only"
    return [check("thread_cores", "threads that may use all cores of their rank", actual, not bound)]


def _throttling(record: Measurement) -> Iterator[Check]:
    """The kernel did not hold the job back: the mean over a node's cores in the worst run."""
    cores: dict[str, set[int]] = collections.defaultdict(set)
    for place in record.environment.ranks:
        cores[place.node] |= set(place.cores)
    shares = [
        (place.node, rank.throttled_seconds / seconds / len(cores[place.node]))
        for run, seconds in zip(record.runs, map(metrics.run_seconds, record.runs), strict=True)
        for place, rank in metrics.places(record, run)
        if rank.throttled_seconds is not None
    ]
    if shares:
        worst = max(share for _, share in shares)
        expected = f"at most {THROTTLED_LIMIT:.0%} of the time of the job's cores withheld for want of CPU quota"
        yield check("cpu_throttling", expected, f"{worst:.1%}", worst <= THROTTLED_LIMIT)
    # A record of version 6 says nothing of the scheduling either.
    if unseen := {place.node for place in record.environment.ranks if place.scheduling} - {node for node, _ in shares}:
        actual = f"none on {', '.join(sorted(unseen))}"
        yield check("cpu_throttling_unknown", "visible control groups", actual, False, WARNING)


def _scheduling(record: Measurement) -> list[Check]:
    """The kernel gave the job's processes the time that it gives others."""
    found = {place.scheduling for place in record.environment.ranks if place.scheduling is not None}
    if not found:
        return []
    return [check("scheduling", NORMAL, "; ".join(sorted(found)), found == {NORMAL}, WARNING)]


def _distance(record: Measurement) -> list[Check]:
    """Each rank's cores are on the NUMA node of its GPU: otherwise its samples cross the link between the nodes."""
    known = [
        (number, place)
        for number, place in enumerate(record.environment.ranks)
        if place.numa_node is not None and place.device_numa_node is not None
    ]
    if not known:
        return []
    far = [
        f"rank {number} on {place.node} has cores of NUMA node {place.numa_node} and a GPU of NUMA node "
        f"{place.device_numa_node}"
        for number, place in known
        if place.numa_node != place.device_numa_node
    ]
    return [check("gpu_numa_node", "each rank on the NUMA node of its GPU", far[0] if far else "so", not far, WARNING)]


def _other_cores(record: Measurement) -> list[Check]:
    """The cores that the job did not use were idle: the caches and the memory are shared with them."""
    shares: dict[str, list[float]] = collections.defaultdict(list)
    logical = {node.name: node.logical_cores for node in record.environment.nodes}
    for run in record.runs:
        seconds, of_node = metrics.run_seconds(run), collections.defaultdict(list)
        for place, rank in metrics.places(record, run):
            of_node[place.node].append((place, rank))
        for place, rank in metrics.places(record, run):
            if rank.node_cpu_utilisation is None or rank.background_cpu_load is None or place.node not in logical:
                continue  # this rank reports no node
            here = of_node[place.node]
            own = len({core for one, _ in here for core in one.cores})
            busy = rank.node_cpu_utilisation * logical[place.node] * seconds
            used = sum(its.cpu_seconds for _, its in here) + rank.background_cpu_load * own * seconds
            if others := logical[place.node] - own:
                shares[place.node].append(max(0.0, busy - used) / (others * seconds))
    if not shares:
        return []
    load, node = max((statistics.median(found), name) for name, found in shares.items())
    expected = f"at most {OTHER_CORES_LIMIT:.0%} of the cores that the job did not use busy"
    return [check("other_cores_busy", expected, f"{load:.0%} on {node}", load <= OTHER_CORES_LIMIT, WARNING)]
