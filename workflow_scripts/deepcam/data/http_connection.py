"""HTTP connections that end if the server sends too slowly, in the headers of an answer as in its body."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

STALLED_BYTES = 2**14
"""A transfer that brings less than this between two looks at it counts as stalled."""


@contextlib.contextmanager
def stalls_ended(shut_down: Callable[[], None], seconds: float) -> Iterator[Callable[[int], None]]:
    """Call `shut_down`, which must end a blocked read, as soon as less than STALLED_BYTES arrive in `seconds`.

    Yields the function to report bytes with. Raises requests.Timeout if the transfer stalled. A socket's own timeout
    counts from the last byte, so a server could send one byte after the other and keep the connection for ever.
    """
    gained, stalled, done = 0, False, threading.Event()

    def watch() -> None:
        nonlocal gained, stalled
        while not done.wait(seconds):
            if gained < STALLED_BYTES:
                stalled = True
                # The connection may have been closed in the meantime.
                with contextlib.suppress(OSError, ValueError, RuntimeError):
                    shut_down()
                return
            gained = 0

    def report(count: int) -> None:
        nonlocal gained
        gained += count

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield report
    except Exception:
        if not stalled:
            raise
    finally:
        done.set()
    if stalled:
        raise requests.Timeout(f"the server sent less than {STALLED_BYTES} bytes in {seconds:g} s")


class _HeadersInTime:
    """A connection whose answer must have all its headers within the timeout of a read."""

    sock: socket.socket
    timeout: float

    def getresponse(self) -> Any:
        with stalls_ended(partial(self.sock.shutdown, socket.SHUT_RDWR), self.timeout):
            return super().getresponse()  # type: ignore[misc]


class _Connection(_HeadersInTime, HTTPConnection):  # type: ignore[misc]
    pass


class _SecureConnection(_HeadersInTime, HTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


POOLS = {"http": _Pool, "https": _SecurePool}


class Adapter(HTTPAdapter):
    """Makes such connections, and gives every request a timeout. By default requests waits for ever.

    `timeout` are the seconds for an attempt to connect and for a read.
    """

    def __init__(self, timeout: tuple[float, float], **options: Any) -> None:
        self._timeout = timeout
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if isinstance(manager, urllib3.ProxyManager):  # the one for SOCKS has connections of its own
            manager.pool_classes_by_scheme = POOLS
        return manager

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or self._timeout
        return super().send(request, **options)


class Session(requests.Session):
    """Leaves redirects to the caller: requests would first read their bodies, whatever their length."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None
