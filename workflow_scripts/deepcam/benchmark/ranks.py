"""MPI ranks: their nodes, their cores, and their collective operations."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
import time
from collections.abc import Sequence
from typing import Any

from mpi4py import MPI

from deepcam import machine
from deepcam.benchmark import environment
from deepcam.errors import InputError


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process among all ranks of the job. `cores` are those that only this rank uses."""

    comm: MPI.Comm
    node: MPI.Comm
    """The ranks of this node."""
    rank: int
    size: int
    local_rank: int
    local_size: int
    cores: tuple[int, ...]

    @property
    def node_leader(self) -> bool:
        """True on exactly one rank of each node."""
        return self.local_rank == 0

    def barrier(self) -> None:
        self.comm.Barrier()

    def gather(self, value: Any) -> list[Any] | None:
        """Return all ranks' values in rank order on rank 0, and None on the other ranks. Collective."""
        return self.comm.gather(value, root=0)

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value on every rank. Collective."""
        return self.comm.bcast(value, root=0)

    def allreduce_max(self, value: float) -> float:
        """Return the largest of all ranks' values on every rank. Collective."""
        return self.comm.allreduce(value, op=MPI.MAX)

    def allreduce_min_max(self, value: float) -> tuple[float, float]:
        """Return the smallest and the largest of all ranks' values on every rank. Collective."""
        return self.comm.allreduce(value, op=MPI.MIN), self.comm.allreduce(value, op=MPI.MAX)

    def allgather_on_node(self, processes: Sequence[int]) -> list[int]:
        """Return the process ids that all ranks of this node pass. Collective."""
        return [process for of_rank in self.node.allgather(list(processes)) for process in of_rank]

    def background_cpu_load(self, seconds: float) -> float:
        """Measure for `seconds` how busy processes outside the job keep the cores of the busiest node. Collective.

        Returns the share of the node's cores, 0 to 1.
        """
        meter = machine.start_cpu_meter(self.allgather_on_node([os.getpid()]))
        time.sleep(seconds)  # a rank that waits in MPI keeps its core busy
        _, outside = meter()
        return self.allreduce_max(outside)


def init_ranks(expected_size: int) -> Ranks:
    """Initialise MPI and bind this process to an even, disjoint share of its node's cores.

    Raises InputError if the launcher started another number of ranks than `expected_size`, or spread them unevenly over
    nodes. For example, srun without PMIx starts N jobs of one rank each, whose results would all be wrong.
    """
    comm = MPI.COMM_WORLD
    size = comm.Get_size()
    if size != expected_size:
        raise InputError(f"ranks: {expected_size} asked for but {size} started; check the launcher (srun: --mpi=pmix)")
    # COMM_TYPE_SHARED is not used: if PMIx does not recognise the host's name, it takes each rank for a node.
    places = comm.allgather((environment.node_name(), machine.boot_id()))
    check_even_distribution([name for name, _ in places])
    node = comm.Split(sorted(set(places)).index(places[comm.Get_rank()]), comm.Get_rank())
    cores = share_of_cores(node.allgather(sorted(os.sched_getaffinity(0))), node.Get_rank())
    os.sched_setaffinity(0, cores)
    return Ranks(comm, node, comm.Get_rank(), size, node.Get_rank(), node.Get_size(), cores)


def check_even_distribution(nodes: Sequence[str]) -> None:
    """Raise InputError if one node has more ranks than an even distribution. `nodes` are the nodes of all ranks.

    Ranks on a crowded node share resources that ranks on other nodes have to themselves.
    """
    ranks_of = collections.Counter(nodes)
    ((name, most),) = ranks_of.most_common(1)
    if most > math.ceil(len(nodes) / len(ranks_of)):
        raise InputError(
            f"ranks: {most} of {len(nodes)} started on {name}, one of {len(ranks_of)} nodes; spread them evenly "
            "(srun: --ntasks-per-node, mpirun: --map-by ppr:N:node)"
        )


def share_of_cores(affinities: list[list[int]], local_rank: int) -> tuple[int, ...]:
    """Return the cores of one of a node's ranks. `affinities` are the cores that each of these ranks may use.

    If all ranks may use the same cores, their shares are contiguous, even and disjoint; if there are more ranks than
    cores, every rank keeps all of them. If the launcher has bound the ranks to different cores, its choice is kept.
    """
    own = affinities[local_rank]
    each = len(own) // len(affinities)
    if each == 0 or any(cores != own for cores in affinities):
        return tuple(own)
    return tuple(own[local_rank * each : (local_rank + 1) * each])
