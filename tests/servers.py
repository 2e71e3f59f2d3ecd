"""Real servers on loopback for the tests of downloads: nginx, and a small one that fails on purpose."""

import contextlib
import http.client
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

NGINX = """
daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{}}
http {{
  access_log access.log; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;
  scgi_temp_path tmp; limit_conn_zone $binary_remote_addr zone=all:1m; limit_conn_status 403;
  server {{ listen 127.0.0.1:{port}; root {root}; {settings} }}
}}
"""


def missing(what):
    """Skip the test for want of something; on CI, where it must be there, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def require(tool, package):
    """The path of a program that is needed."""
    path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin")
    return path or missing(f"{tool} is missing: apt-get install {package}")


class Nginx:
    """nginx on the files in `root`. `settings` go into its server block."""

    def __init__(self, folder, root, settings=""):
        folder.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        configuration = folder / "nginx.conf"
        configuration.write_text(NGINX.format(port=port, root=root, settings=settings))
        program = require("nginx", "nginx-light")
        self.folder, self.url = folder, f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen([program, "-e", "error.log", "-p", folder, "-c", configuration])
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                return
            assert self.process.poll() is None and time.monotonic() < deadline, "nginx does not start"
            time.sleep(0.02)

    def requests(self):
        """(path, status, bytes of the body) of every GET so far."""
        # nginx logs a request after its answer, one request after the other: when this one is there, all are.
        mark = f"/mark-{time.monotonic_ns()}"
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"))
        connection.request("HEAD", mark)
        connection.getresponse()
        connection.close()
        log, deadline = self.folder / "access.log", time.monotonic() + 10
        while mark not in (text := log.read_text()):
            assert time.monotonic() < deadline, "nginx does not log"
            time.sleep(0.01)
        lines = [line.split() for line in text.splitlines()]
        return [(line[6], int(line[8]), int(line[9])) for line in lines if line[5] == '"GET']

    def close(self):
        self.process.terminate()
        self.process.wait()


class FaultServer:
    """Serves `bodies` with entity tags and ranges (`ranges`, `if_range` and `tags` can be switched off).

    Per path, `faults` holds what the next GETs do wrong, in order: names in FAULTS, or a status. `changes` holds the
    body that replaces the present one after the first GET, `redirects` another place.
    """

    def __init__(self):
        self.bodies, self.faults, self.changes, self.redirects, self.requests = {}, {}, {}, {}, []
        self.ranges = self.if_range = self.tags = True
        self.head_status = 200
        self.connections = 0
        owner = self

        class Handler(_Handler):
            server_owner = owner

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # clients go away in the middle: that is what is tested
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def gets(self, path=None):
        """The Range headers of the GET requests so far, of one path or of all."""
        return [byte_range for name, byte_range in self.requests if path in (None, name)]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class RawServer:
    """Sends `answer(connection, method, path)`, byte for byte, over a connection of its own for each request."""

    def __init__(self, answer):
        self.answer, self.requests, self.heads = answer, [], []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                threading.Thread(target=self._serve, args=(self.listening.accept()[0],), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(2**16)
            method, path, _ = request.decode("latin-1").split(" ", 2)
            self.requests.append((method, path))
            self.heads.append(request)
            self.answer(connection, method, path)

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_owner: FaultServer

    def setup(self):
        super().setup()
        self.server_owner.connections += 1

    def do_HEAD(self):
        if self.server_owner.head_status == 200:
            self._answer()
        else:
            self.send({}, status=self.server_owner.head_status)

    def do_GET(self):
        owner = self.server_owner
        owner.requests.append((self.path, self.headers.get("Range")))
        fault = owner.faults[self.path].pop(0) if owner.faults.get(self.path) else None
        if isinstance(fault, int):
            self.send({}, status=fault)
        elif fault:
            FAULTS[fault](self)
        else:
            self._answer()
        if self.path in owner.changes:
            owner.bodies[self.path] = owner.changes.pop(self.path)

    def body(self):
        return self.server_owner.bodies[self.path]

    def tag(self):
        return f'"{hash(self.body()):x}"'

    def _answer(self):
        if place := self.server_owner.redirects.get(self.path):
            self.send({"Location": place}, status=302)
            return
        if self.path not in self.server_owner.bodies:
            self.send({}, status=404)
            return
        body, tag = self.body(), self.tag()
        headers = {"ETag": tag} if self.server_owner.tags else {}
        wanted = self.headers.get("Range") if self.server_owner.ranges else None
        if wanted is None or (self.server_owner.if_range and self.headers.get("If-Range") != tag):
            self.send(headers, body)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            self.send({"Content-Range": f"bytes */{len(body)}"}, status=416)
            return
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.send(headers, body[start:], status=206)

    def send(self, headers, body=b"", status=200):
        """Answer with `body`, of which `headers` may claim another length."""
        self.send_response(status)
        for name, value in ({"Content-Length": len(body)} | headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def _half(handler):
    """Send the first half, announced as the whole."""
    body = handler.body()
    handler.send({"Content-Length": len(body), "ETag": handler.tag()}, body[: len(body) // 2])
    handler.close_connection = True


def _reset(handler):
    _half(handler)
    handler.wfile.flush()
    time.sleep(0.05)  # a reset overtakes what is still under way
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())


def _stall(handler):
    """Send half, then nothing, until the client goes."""
    _half(handler)
    handler.wfile.flush()
    handler.connection.settimeout(10)
    with contextlib.suppress(OSError):
        handler.connection.recv(1)


def _trickle(handler):
    """Send a byte now and then, for longer than anybody waits."""
    handler.send({"Content-Length": len(handler.body()), "ETag": handler.tag()})
    handler.close_connection = True
    with contextlib.suppress(OSError):
        for byte in handler.body()[:200]:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)


FAULTS = {
    "reset": _reset,
    "truncated": _half,
    "stall": _stall,
    "trickle": _trickle,
    "length too small": lambda handler: handler.send({"Content-Length": len(handler.body()) - 9}, handler.body()[:-9]),
    "length too large": lambda handler: (
        handler.send({"Content-Length": len(handler.body()) + 9, "ETag": handler.tag()}, handler.body()),
        setattr(handler, "close_connection", True),
    ),
    "error page": lambda handler: handler.send({}, b"<html>Service unavailable</html>"),
    "busy": lambda handler: handler.send({"Retry-After": 7}, status=429),
}
