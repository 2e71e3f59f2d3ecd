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
    address = _address()
    with socket.socket(socket.AF_UNIX) as lock:
        while not _taken(lock, address):
            _wait_for_holder(address)
        lock.listen()
        yield


def _address() -> str:
    """Return the socket's address. Slurm's name of the node is part of it only if one machine plays several nodes.

    The name is then not that of the host. The ranks of a job on two such nodes must not wait for each other.
    """
    host = socket.gethostname().partition(".")[0]
    node = os.environ.get("SLURMD_NODENAME", host)
    return f"\0{NAME}" if node.partition(".")[0] == host else f"\0{NAME}-{node}"


def _taken(lock: socket.socket, address: str) -> bool:
    try:
        lock.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def _wait_for_holder(address: str) -> None:
    """Wait until the process that holds the lock ends, or for a moment if it has just begun or ended."""
    with socket.socket(socket.AF_UNIX) as waiting:
        try:
            waiting.connect(address)
            log.warning("waiting for another benchmark on this machine, %s", _holder(waiting))
            waiting.recv(1)  # nobody sends: the kernel ends this when the holder does
        except ConnectionError:
            time.sleep(0.1)


def _holder(connection: socket.socket) -> str:
    """Name the process at the other end. Outside of this container, its number is 0 here."""
    process, user, _ = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return f"process {process} of user {name}" if process else f"a process outside of this container, of user {name}"
