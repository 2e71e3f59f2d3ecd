"""MPI ranks: who runs where, on which cores, and how they meet."""

from __future__ import annotations

import collections
import dataclasses
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
    """This process among its peers. `cores` are the ones that this rank has to itself."""

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
        """True on one rank of each node."""
        return self.local_rank == 0

    def barrier(self) -> None:
        self.comm.Barrier()

    def gather(self, value: Any) -> list[Any] | None:
        """All ranks' values in rank order on rank 0, None elsewhere."""
        return self.comm.gather(value, root=0)

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        return self.comm.bcast(value, root=0)

    def allreduce_max(self, seconds: float) -> float:
        """The largest of all ranks' values, on every rank."""
        return self.comm.allreduce(seconds, op=MPI.MAX)

    def allreduce_min_max(self, residency: float) -> tuple[float, float]:
        """Smallest and largest of all ranks' values, on every rank."""
        return self.comm.allreduce(residency, op=MPI.MIN), self.comm.allreduce(residency, op=MPI.MAX)

    def allgather_on_node(self, processes: Sequence[int]) -> list[int]:
        """The process ids that all ranks of this node name. Collective."""
        return [process for of_rank in self.node.allgather(list(processes)) for process in of_rank]

    def background_cpu_load(self, seconds: float) -> float:
        """Share of the busiest node's cores that processes outside the job keep busy. Collective; lasts `seconds`."""
        meter = machine.start_cpu_meter(self.allgather_on_node([os.getpid()]))
        time.sleep(seconds)  # a rank that waited in MPI would spin
        _, others = meter()
        return self.comm.allreduce(others, op=MPI.MAX)


def init_ranks(expected_size: int) -> Ranks:
    """Join the job and take an even, disjoint share of this node's cores.

    InputError when the launcher started another number of ranks than asked for (srun without PMIx starts N jobs of one
    rank each, and all their numbers would be wrong), or crowded them on some of the nodes.
    """
    comm = MPI.COMM_WORLD
    size = comm.Get_size()
    if size != expected_size:
        raise InputError(f"ranks: {expected_size} asked for but {size} started; check the launcher (srun: --mpi=pmix)")
    # Not by COMM_TYPE_SHARED: where PMIx does not recognise a host by its name, MPI takes each rank for a node.
    places = comm.allgather((environment.node_name(), machine.boot_id()))
    check_even_distribution([name for name, _ in places])
    node = comm.Split(sorted(set(places)).index(places[comm.Get_rank()]), comm.Get_rank())
    cores = share_of_cores(node.allgather(sorted(os.sched_getaffinity(0))), node.Get_rank())
    os.sched_setaffinity(0, cores)
    return Ranks(comm, node, comm.Get_rank(), size, node.Get_rank(), node.Get_size(), cores)


def check_even_distribution(nodes: Sequence[str]) -> None:
    """InputError where one of the ranks' nodes has more than its share: there they share what others have alone."""
    ranks_of = collections.Counter(nodes)
    ((name, most),) = ranks_of.most_common(1)
    if most > -(-len(nodes) // len(ranks_of)):
        raise InputError(
            f"ranks: {most} of {len(nodes)} started on {name}, one of {len(ranks_of)} nodes; spread them evenly "
            "(srun: --ntasks-per-node, mpirun: --map-by ppr:N:node)"
        )


def share_of_cores(affinities: list[list[int]], local_rank: int) -> tuple[int, ...]:
    """The cores of one of a node's ranks, given what each of them may use.

    Where all may use the same: contiguous, even, disjoint shares; all of them where ranks outnumber cores. Where the
    launcher has bound them differently, its choice.
    """
    own = affinities[local_rank]
    each = len(own) // len(affinities)
    if each == 0 or any(cores != own for cores in affinities):
        return tuple(own)
    return tuple(own[local_rank * each : (local_rank + 1) * each])
