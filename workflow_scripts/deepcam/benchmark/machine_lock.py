"""One benchmark at a time on a machine: two at once would measure each other.

The lock is an abstract Unix socket (unix(7)). It depends on no folder, host name, user or umask, and the kernel frees
it when the process dies, in whatever way that happens. A workflow that was killed may leave a process behind that no
resource of the workflow counts.

Processes in another network namespace, such as those of a container with a network of its own, have sockets of their
own. They do not see the lock. `scope` says whether this process is one of them.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pwd
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

NAME = "deepcam-benchmark"

HOST_NETWORK = Path("/proc/sys/net/core/netdev_max_backlog")
"""A setting that the kernel shows only in the network namespace of the machine itself."""

_CREDENTIALS = struct.Struct("iII")
"""struct ucred: process, user and group."""

log = logging.getLogger(__name__)


def scope() -> str:
    """Return what the lock covers: "machine", or "network namespace" if this process is in one of its own."""
    return "machine" if HOST_NETWORK.exists() else "network namespace"


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold the machine's lock, and wait for it if necessary. The log then says who holds it."""
    if scope() != "machine":
        log.warning(
            "the lock of the machine covers this container only, because it has a network of its own: start no other "
            "benchmark on this machine, or give the containers the host's network (--network=host)"
        )
    address = f"\0{NAME}"
    with socket.socket(socket.AF_UNIX) as lock:
        while not _taken(lock, address):
            address = _after_waiting(address)
        lock.listen()
        yield


def _taken(lock: socket.socket, address: str) -> bool:
    try:
        lock.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def _after_waiting(address: str) -> str:
    """Wait until the process that holds this lock ends, or for a moment if it has just begun or ended.

    Returns the address to take then. If one machine plays several of a job's nodes, as Slurm's test beds do, they must
    not wait for each other: one holds the machine's lock, and each of the others one with the name of its node.
    """
    with socket.socket(socket.AF_UNIX) as waiting:
        try:
            waiting.connect(address)
            process, user, _ = _CREDENTIALS.unpack(
                waiting.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            if _is_another_node_of_this_job(process):
                return f"\0{NAME}-{os.environ['SLURMD_NODENAME']}"
            log.warning("waiting for another benchmark on this machine, %s", _words(process, user))
            waiting.recv(1)  # nobody sends: the kernel ends this when the holder does
        except ConnectionError:
            time.sleep(0.1)
    return address


def _is_another_node_of_this_job(process: int) -> bool:
    """Whether Slurm started `process` for the same job as this one, but on a node of another name."""
    try:
        content = Path(f"/proc/{process}/environ").read_bytes()
    except OSError:  # it is another user's, outside of this container, or has ended
        return False
    variables = dict(os.fsdecode(entry).partition("=")[::2] for entry in content.split(b"\0"))
    job, node = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURMD_NODENAME")
    other = variables.get("SLURMD_NODENAME")
    return bool(job and node and other) and variables.get("SLURM_JOB_ID") == job and other != node


def _words(process: int, user: int) -> str:
    """Name a process and its user. Outside of this container, its number is 0 here."""
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return f"process {process} of user {name}" if process else f"a process outside of this container, of user {name}"
