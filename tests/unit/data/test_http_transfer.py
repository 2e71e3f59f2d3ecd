"""Downloading one HTTP resource from servers and networks that fail in many ways."""

import http.server
import ssl
import subprocess
import threading
import time
import tracemalloc
from types import SimpleNamespace

import pytest
from deepcam import files
from deepcam.data import http_transfer
from deepcam.errors import InputError
from servers import FaultServer, Nginx, require

BODY = bytes(range(256)) * 4000
PATH = "/resource"


@pytest.fixture
def server():
    server = FaultServer()
    server.bodies[PATH] = BODY
    yield server
    server.close()


@pytest.fixture
def delays(monkeypatch):
    """Replaces sleeping; returns the list of delays that were asked for."""
    delays = []
    monkeypatch.setattr(http_transfer, "time", SimpleNamespace(sleep=delays.append, monotonic=time.monotonic))
    return delays


@pytest.fixture
def connection(delays):
    with http_transfer.session(2) as connection:
        yield connection


def ignore(_):
    """Discards progress."""


def fetch(connection, server, target, advance=ignore):
    digest = http_transfer.fetch(connection, server.url + PATH, target, advance)
    part, _ = http_transfer.partial_files(target)
    assert part.read_bytes() == server.bodies[PATH]
    assert digest == files.sha256(part)


def test_a_download_has_the_right_bytes_hash_and_progress(connection, server, tmp_path):
    gained = []
    fetch(connection, server, tmp_path / "x", gained.append)
    assert sum(gained) == len(BODY) and len(gained) > 3


def test_the_connection_is_reused_for_the_next_file(connection, server, tmp_path):
    for name in ("x", "y", "z"):
        fetch(connection, server, tmp_path / name)
        assert http_transfer.content_length(connection, server.url + PATH) == len(BODY)
    assert server.connections == 1


@pytest.mark.parametrize("fault", ["reset", "truncated", "length too large"])
def test_an_interrupted_transfer_is_resumed(connection, server, tmp_path, fault):
    server.faults[PATH] = [fault, fault]
    fetch(connection, server, tmp_path / "x")
    first, *others = server.gets()
    assert first is None and all(byte_range != "bytes=0-" and byte_range for byte_range in others)


def test_a_stalled_transfer_is_aborted_and_resumed(connection, server, tmp_path, monkeypatch):
    monkeypatch.setattr(http_transfer, "READ_SECONDS", 0.2)
    server.faults[PATH] = ["stall"]
    fetch(connection, server, tmp_path / "x")
    assert server.gets() == [None, f"bytes={len(BODY) // 2}-"]


def test_a_trickling_transfer_counts_as_stalled(connection, server, tmp_path, monkeypatch):
    monkeypatch.setattr(http_transfer, "READ_SECONDS", 0.2)
    server.faults[PATH] = ["trickle"]
    fetch(connection, server, tmp_path / "x")
    assert len(server.gets()) == 2


def test_a_later_run_resumes_an_earlier_one(connection, server, tmp_path, monkeypatch):
    monkeypatch.setattr(http_transfer, "RETRY", http_transfer.RETRY.new(total=0))
    server.faults[PATH] = ["truncated"]
    with pytest.raises(InputError, match=f"{PATH}: failed 1 times.*run again"):
        fetch(connection, server, tmp_path / "x")
    gained = []
    fetch(connection, server, tmp_path / "x", gained.append)
    assert server.gets() == [None, f"bytes={len(BODY) // 2}-"]
    assert gained[0] == len(BODY) // 2 and sum(gained) == len(BODY)


def test_a_complete_file_without_its_final_name_is_not_sent_again(connection, server, tmp_path):
    fetch(connection, server, tmp_path / "x")
    fetch(connection, server, tmp_path / "x")
    assert server.gets() == [None, f"bytes={len(BODY)}-"]


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize("length", [1000, 600_000, len(BODY) + 1000])
def test_a_file_that_changes_between_attempts_is_fetched_from_the_start(connection, server, tmp_path, length, if_range):
    server.if_range = if_range
    server.faults[PATH] = ["truncated"]
    server.changes[PATH] = b"\7" * length
    gained = []
    fetch(connection, server, tmp_path / "x", gained.append)
    assert sum(gained) == length


@pytest.mark.parametrize("lacking", ["ranges", "tags"])
def test_a_server_without_ranges_or_tags_sends_the_file_from_the_start(connection, server, tmp_path, lacking):
    setattr(server, lacking, False)
    server.faults[PATH] = ["truncated"]
    fetch(connection, server, tmp_path / "x")
    assert len(server.gets()) == 2


def test_nginx_resumes_by_entity_tag(connection, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "resource").write_bytes(BODY)
    nginx = Nginx(tmp_path / "nginx", tmp_path / "root")
    nginx.bodies = {PATH: BODY}
    try:
        fetch(connection, nginx, tmp_path / "x")
        part, _ = http_transfer.partial_files(tmp_path / "x")
        with open(part, "r+b") as file:
            file.truncate(1000)
        fetch(connection, nginx, tmp_path / "x")
        fetch(connection, nginx, tmp_path / "x")
        assert [status for _, status, _ in nginx.requests()] == [200, 206, 416]
        (tmp_path / "root" / "resource").write_bytes(b"other")
        nginx.bodies = {PATH: b"other"}
        fetch(connection, nginx, tmp_path / "x")
    finally:
        nginx.close()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_final_status_fails_at_once_and_names_the_url(connection, server, tmp_path, status):
    server.faults[PATH] = [status]
    with pytest.raises(http_transfer.Refused, match=f"{PATH}: the server answered {status}") as refused:
        fetch(connection, server, tmp_path / "x")
    assert refused.value.status == status
    assert len(server.gets()) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_transient_status_is_retried(connection, server, tmp_path, status):
    server.faults[PATH] = [status]
    fetch(connection, server, tmp_path / "x")
    assert len(server.gets()) == 2


def test_delays_grow_with_jitter_and_attempts_are_limited(connection, server, tmp_path, delays):
    server.faults[PATH] = [500] * 99
    with pytest.raises(InputError, match=f"{PATH}: failed 7 times.*answered 500"):
        fetch(connection, server, tmp_path / "x")
    assert len(server.gets()) == len(delays) + 1 == 7
    assert all(2**n <= delay <= 2**n + 1 for n, delay in enumerate(delays) if n)
    assert any(delay != int(delay) for delay in delays)


def test_retry_after_is_honoured(connection, server, tmp_path, delays):
    server.faults[PATH] = ["busy"]
    fetch(connection, server, tmp_path / "x")
    assert delays == [7]


def test_the_total_delay_is_limited(connection, server, tmp_path, delays, monkeypatch):
    monkeypatch.setattr(http_transfer, "MAX_DELAY_SECONDS", 10)
    server.faults[PATH] = ["busy"] * 9
    with pytest.raises(InputError, match=f"{PATH}: .* run again in 7 s"):
        fetch(connection, server, tmp_path / "x")
    assert delays == [7]


def test_an_unreachable_server_is_retried_then_reported(connection, tmp_path, delays):
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:1/x: failed 7 times"):
        http_transfer.fetch(connection, "http://127.0.0.1:1/x", tmp_path / "x", ignore)
    assert len(delays) == 6


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_a_redirect_to_another_protocol_fails(connection, server, tmp_path, place, delays):
    server.redirects[PATH] = place
    with pytest.raises(InputError, match=f"{PATH}: the transfer failed"):
        fetch(connection, server, tmp_path / "x")
    assert delays == []


def test_redirects_within_http_are_followed_up_to_a_limit(connection, server, tmp_path):
    server.redirects["/moved"] = PATH
    http_transfer.fetch(connection, f"{server.url}/moved", tmp_path / "x", ignore)
    server.redirects["/loop"] = "/loop"
    with pytest.raises(InputError, match="redirects"):
        http_transfer.fetch(connection, f"{server.url}/loop", tmp_path / "y", ignore)


def test_an_untrusted_certificate_fails_at_once(connection, tmp_path, delays):
    subprocess.run(
        [require("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key", "-out",
         tmp_path / "certificate"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with pytest.raises(InputError, match=r"127\.0\.0\.1.*certificate"):
            http_transfer.fetch(connection, f"https://127.0.0.1:{server.server_port}/x", tmp_path / "x", ignore)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert delays == []


def test_the_content_length_is_none_if_the_server_does_not_give_it(connection, server):
    server.head_status = 405
    assert http_transfer.content_length(connection, server.url + PATH) is None


def test_the_size_of_a_small_body_is_limited(connection, server):
    assert http_transfer.fetch_small(connection, server.url + PATH, len(BODY)) == BODY
    with pytest.raises(InputError, match=f"{PATH}: is longer than 999 bytes"):
        http_transfer.fetch_small(connection, server.url + PATH, 999)


def test_a_truncated_small_body_is_fetched_again(connection, server):
    server.faults[PATH] = ["truncated"]
    assert http_transfer.fetch_small(connection, server.url + PATH, len(BODY)) == BODY


def test_memory_use_does_not_grow_with_the_file(connection, tmp_path):
    (tmp_path / "root").mkdir()
    with open(tmp_path / "root" / "large", "wb") as file:
        file.truncate(100 * 2**20)
    nginx = Nginx(tmp_path / "nginx", tmp_path / "root")
    tracemalloc.start()
    try:
        http_transfer.fetch(connection, f"{nginx.url}/large", tmp_path / "x", ignore)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        nginx.close()
    assert peak < 16 * 2**20
