"""The limit of connections to an archive, which all processes of a machine observe together.

Archives block addresses that open too many connections. A limit in Snakemake's profile ends at the border of a workflow
and can be lifted on the command line, so the programs that download hold it themselves. Processes that see different
networks (containers with a network of their own, hosts that share an address but no data folder) do not see each other.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from deepcam import files

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Time between two looks for a free connection."""

DEFAULT_PORTS = {"http": 80, "https": 443}


@contextlib.contextmanager
def connections(url: str, streams: int, folder: Path | None = None) -> Iterator[int]:
    """Hold up to `streams` of the connections that may be open to the host of `url`, and yield their number.

    These are all that are free, and at least one, for which it waits if necessary. Downloads on other hosts count too
    if they are given the same `folder` and its file system has locks. The kernel frees what a killed process held.
    """
    host = _host(url)
    waited = False
    with contextlib.ExitStack() as held:
        while not (count := sum(_take(host, number, folder, held) for number in range(streams))):
            if not waited:
                log.info("waiting, because other downloads from %s are using all %d connections", host, streams)
                waited = True
            time.sleep(POLL_SECONDS)
        yield count


def _take(host: str, number: int, folder: Path | None, held: contextlib.ExitStack) -> bool:
    """Take the connection `number` on this machine and in the folder, until `held` is closed. False if it is in use."""
    with contextlib.ExitStack() as taken:
        # Names of this kind exist once in a network, for all users; they need no file and no permission.
        name = hashlib.sha256(f"{host} {number}".encode()).hexdigest()
        claim = taken.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        try:
            claim.bind(f"\0deepcam-{name}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        if folder is not None:
            try:
                taken.enter_context(files.locked(folder / f"connection-{number}.lock", wait=False))
            except BlockingIOError:
                return False
        held.enter_context(taken.pop_all())
    return True


def _host(url: str) -> str:
    """Return the host of a URL, with its port unless that is the usual one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return host if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"
