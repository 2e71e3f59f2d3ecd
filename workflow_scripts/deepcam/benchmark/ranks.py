"""The ranks of a job: their nodes, their cores, and their collective operations."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from pydantic import BaseModel

from deepcam import cgroup, machine, machine_topology
from deepcam.benchmark import environment
from deepcam.errors import InputError

Gathered = TypeVar("Gathered", bound=BaseModel)

LAUNCHERS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
"""Environment variables in which launchers state the number of ranks that they have started. SLURM_NTASKS is none of
them: it is also set in the script of a batch job, which is a single process however many tasks the job has."""

LIBRARY_VARIABLE = "MPI4PY_LIBMPI"
"""Environment variable that names another MPI library than the one in the environment, see mpi4py's documentation."""

LISTENING_SECONDS = (0.1, 0.5, 0.5, 0.5, 0.5)
"""How long a job measures the background load before it starts, as often as the load is too high: an earlier process
may still be writing. The shortest is 10 steps of the kernel's idle time."""


class Communicator(Protocol):
    """What is used of mpi4py's communicators."""

    def Get_rank(self) -> int: ...

    def Get_size(self) -> int: ...

    def Split(self, color: int, key: int) -> Communicator: ...

    def Barrier(self) -> None: ...

    def gather(self, value: Any) -> list[Any] | None: ...

    def Gatherv(self, sent: Any, received: Any) -> None: ...

    def allgather(self, value: Any) -> list[Any]: ...

    def bcast(self, value: Any) -> Any: ...


class SingleRank:
    """The communicator of a job with one rank. It takes the place of MPI, which takes a second to load."""

    def Get_rank(self) -> int:
        return 0

    def Get_size(self) -> int:
        return 1

    def Split(self, color: int, key: int) -> SingleRank:
        return self

    def Barrier(self) -> None:
        """Return at once: there is no other rank to wait for."""

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def Gatherv(self, sent: Any, received: Any) -> None:
        """Copy what is sent to where it is received."""
        buffer, _ = received
        buffer[:] = sent

    def allgather(self, value: Any) -> list[Any]:
        return [value]

    def bcast(self, value: Any) -> Any:
        return value


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process among all ranks of the job. `cores` are those that only this rank uses."""

    comm: Communicator
    node: Communicator
    """The ranks of this node."""
    rank: int
    size: int
    local_rank: int
    local_size: int
    cores: tuple[int, ...]
    node_cores: frozenset[int]
    """The cores of all ranks of this node."""

    @property
    def node_leader(self) -> bool:
        """True on exactly one rank of each node."""
        return self.local_rank == 0

    def barrier(self) -> None:
        self.comm.Barrier()

    def gather(self, value: Any) -> list[Any] | None:
        """Return all ranks' values in rank order on rank 0, and None on the other ranks. Collective."""
        return self.comm.gather(value)

    def gather_models(self, value: Gathered) -> list[Gathered] | None:
        """Return all ranks' values like `gather`. They travel as JSON, in one buffer. Collective.

        Without pickles, rank 0 holds one copy of what it receives, besides the values that it makes of it.
        """
        sent = np.frombuffer(value.model_dump_json().encode(), np.uint8)
        sizes = self.comm.gather(len(sent))
        if sizes is None:
            self.comm.Gatherv(sent, None)
            return None
        received = np.empty(sum(sizes), np.uint8)
        self.comm.Gatherv(sent, (received, sizes))
        ends = itertools.accumulate(sizes)
        return [
            type(value).model_validate_json(received[end - size : end].tobytes())
            for size, end in zip(sizes, ends, strict=True)
        ]

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value on every rank. Collective."""
        return self.comm.bcast(value)

    def allreduce_max(self, value: float) -> float:
        """Return the largest of all ranks' values on every rank. Collective."""
        return max(self.comm.allgather(value))

    def allreduce_min_max(self, value: float) -> tuple[float, float]:
        """Return the smallest and the largest of all ranks' values on every rank. Collective."""
        values = self.comm.allgather(value)
        return min(values), max(values)

    def start_cpu_meter(self, processes: Sequence[int]) -> Callable[[], machine.CpuTime | None]:
        """Start to measure how the cores of this node are used. `processes` are this rank's. Collective.

        The returned function gives the times since then on the leader of each node, and None on other ranks.
        """
        job = itertools.chain.from_iterable(self.node.allgather(list(processes)))
        return machine.start_cpu_meter(job, self.node_cores) if self.node_leader else lambda: None

    def wait_until_quiet(self, limit: float) -> float:
        """Wait, but not for long, until processes outside the job take at most `limit` of its cores. Collective.

        Returns the share of the job's cores that they took at last, 0 to 1, on the node where it was largest.
        """
        load = math.inf
        for seconds in LISTENING_SECONDS:
            meter = self.start_cpu_meter([os.getpid()])
            time.sleep(seconds)  # a rank that waits in MPI keeps its core busy
            used = meter()
            load = self.allreduce_max(used.background_load if used else 0.0)
            if load <= limit:
                break
        return load


def init_ranks(expected_size: int) -> Ranks:
    """Bind this process to its share of its node's cores. Initialises MPI if there are several ranks.

    Raises InputError if the launcher started another number of ranks than `expected_size`, or spread them unevenly over
    nodes. For example, srun without PMIx starts N jobs of one rank each, whose results would all be wrong.
    """
    comm = _communicator(expected_size)
    size = comm.Get_size()
    if size != expected_size:
        cure = _cure(environment.mpi_library()) if size == 1 else "correct the number in the launcher's options"
        raise InputError(f"ranks: {expected_size} asked for but {size} started; {cure}")
    # COMM_TYPE_SHARED is not used: if PMIx does not recognise the host's name, it takes each rank for a node.
    places = comm.allgather((environment.node_name(), machine.boot_id()))
    check_even_distribution([name for name, _ in places])
    node = comm.Split(sorted(set(places)).index(places[comm.Get_rank()]), comm.Get_rank())
    affinities = node.allgather(sorted(os.sched_getaffinity(0)))
    topology = machine_topology.topology(itertools.chain.from_iterable(affinities))
    shares = machine_topology.share_cores(topology, affinities, cgroup.cpu_quota())
    cores = shares[node.Get_rank()]
    os.sched_setaffinity(0, cores)
    return Ranks(
        comm=comm,
        node=node,
        rank=comm.Get_rank(),
        size=size,
        local_rank=node.Get_rank(),
        local_size=node.Get_size(),
        cores=cores,
        node_cores=frozenset(itertools.chain.from_iterable(shares)),
    )


def started_ranks() -> int:
    """Return the number of ranks that the launcher of this process states; 1 without a launcher.

    Raises InputError if it states something else.
    """
    name = next((name for name in LAUNCHERS if name in os.environ), None)
    if name is None:
        return 1
    if not os.environ[name].isdecimal():
        raise InputError(f"{name}: {os.environ[name]!r} is not a number of ranks; unset this environment variable")
    return int(os.environ[name])


def _communicator(expected_size: int) -> Communicator:
    """Return the communicator of all ranks.

    Raises InputError if one is expected and the launcher started more, and if the MPI library cannot be loaded.
    """
    if expected_size > 1:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise InputError(
                f"the MPI library cannot be loaded ({str(error).splitlines()[-1]}); unset {LIBRARY_VARIABLE}, or name "
                "a library of your site in it; docs/cluster.md has a table of launchers and libraries"
            ) from None
        return MPI.COMM_WORLD
    if started_ranks() > 1:
        raise InputError(f"ranks: 1 asked for but {started_ranks()} started; start one process without a launcher")
    return SingleRank()


def _cure(library: str) -> str:
    """What to do if each rank takes itself for the only one: the launcher belongs to another MPI library."""
    launchers = "srun --mpi=pmix, or mpirun" if "Open MPI" in library else "srun --mpi=pmi2, or mpiexec"
    return (
        f"the launcher does not belong to the MPI library that the ranks loaded ({library}): use its own launcher "
        f"({launchers}), or name another library in {LIBRARY_VARIABLE}; docs/cluster.md has a table of launchers and "
        "libraries"
    )


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
