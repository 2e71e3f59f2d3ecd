"""Hostile and clumsy servers: what they send costs little time and memory, and ends in a file or in one line."""

import gzip
import itertools
import logging
import time

import numpy as np
import pytest
from deepcam.data import http_answer, http_transfer
from deepcam.errors import InputError
from servers import FaultServer, RawServer

BODY = bytes(range(256)) * 4000
PATH = "/resource"
HONEST = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 9\r\n\r\n123456789'


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(http_transfer, "RETRY", http_transfer.RETRY.new(total=2, backoff_factor=0, backoff_jitter=0))
    monkeypatch.setattr(http_transfer, "READ_SECONDS", 0.2)
    monkeypatch.setattr(http_transfer, "HEAD_SECONDS", 0.2)


@pytest.fixture
def raw():
    """Makes a server from what it answers."""
    servers = []

    def serve(answer):
        servers.append(RawServer(answer if callable(answer) else lambda connection, *_: connection.sendall(answer)))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def server():
    server = FaultServer()
    server.bodies[PATH] = BODY
    yield server
    server.close()


def ignore(_):
    """Discards progress."""


def download(url, target, **options):
    with http_transfer.session(1) as connection:
        return http_transfer.fetch(connection, url, target, ignore, **options)


def small(url, max_bytes=2**20):
    with http_transfer.session(1) as connection:
        return http_transfer.fetch_small(connection, url, max_bytes)


def one_line(error, *words):
    return "\n" not in str(error.value) and all(word in str(error.value) for word in words)


def trickle(head, block, seconds=0.01):
    """An answer that never ends: `head`, and then `block` again and again."""

    def answer(connection, *_):
        connection.sendall(head)
        while True:
            connection.sendall(block)
            time.sleep(seconds)

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
TRICKLES = {
    "status line": trickle(b"HTTP/1.1 200 ", b"O"),
    "header": trickle(OK + b"X: ", b"y"),
    "headers": trickle(OK, b"X: y\r\n", 0.1),
    "interim answers": trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": trickle(OK + b"Content-Length: 900000\r\n\r\n", b"z"),
    "body without a length": trickle(OK + b"Connection: close\r\n\r\n", b"z"),
    "length of a chunk": trickle(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "small chunks": trickle(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nz\r\n"),
}


@pytest.mark.parametrize("answer", TRICKLES.values(), ids=TRICKLES)
def test_an_answer_that_trickles_in_any_part_counts_as_stalled(raw, tmp_path, answer):
    server = raw(answer)
    for get in (small, lambda url: download(url, tmp_path / "x")):
        with pytest.raises(InputError, match="failed 3 times") as error:
            get(server.url + PATH)
        assert one_line(error)
    with http_transfer.session(1) as connection:
        http_transfer.content_length(connection, server.url + PATH)


def test_a_body_beyond_the_largest_size_ends_the_transfer_and_leaves_nothing(raw, tmp_path):
    for head in (b"Connection: close\r\n\r\n", b"Content-Length: 99999999\r\n\r\n"):
        server = raw(trickle(OK + head, bytes(2**16), 0))
        with pytest.raises(InputError, match="is longer than 1,000,000 bytes: check the URL"):
            download(server.url + PATH, tmp_path / "x", max_bytes=10**6)
        assert not list(tmp_path.iterdir())
        assert len(server.requests) == 1


def test_the_body_of_a_redirect_is_not_read(raw, server, tmp_path):
    target = f"Location: {server.url}{PATH}\r\n".encode()
    for code in (b"301 Moved", b"307 Temporary", b"302 Found"):
        redirecting = raw(trickle(b"HTTP/1.1 " + code + b"\r\n" + target + b"\r\n", bytes(2**16), 0))
        assert small(redirecting.url) == BODY
        download(redirecting.url, tmp_path / code[:3].decode())


def test_a_password_is_sent_to_its_host_alone_and_never_shown(raw):
    elsewhere = raw(HONEST)
    redirecting = raw(f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}/x\r\n\r\n".encode())
    assert small(redirecting.url.replace("//", "//reader:open-sesame@")) == b"123456789"
    assert b"Authorization" in redirecting.heads[0] and b"Authorization" not in elsewhere.heads[0]
    refusing = raw(b"HTTP/1.1 403 see http://reader:open-sesame@host \x1b[2J\r\n\r\n")
    with pytest.raises(http_transfer.Refused) as error:
        small(refusing.url.replace("//", "//reader:open-sesame@"))
    assert one_line(error, "403 see http://host ?[2J") and "sesame" not in str(error.value)


@pytest.mark.parametrize("place", ["http://[::1/x", "//:99999/x", "http://a:b/x", "\xff\xfe", "ftp://x/y"])
def test_a_redirect_to_a_malformed_place_is_one_line(raw, place):
    server = raw(b"HTTP/1.1 302 Found\r\nLocation: " + place.encode("latin-1") + b"\r\n\r\n")
    with pytest.raises(InputError, match=server.url) as error:
        small(server.url)
    assert one_line(error) and len(server.requests) == 1


@pytest.mark.parametrize("name", ["Content-Length", "Retry-After", "Content-Range", "Content-Encoding", "ETag"])
@pytest.mark.parametrize("value", [b"9" * 5000, b"-1", b"1e9", b"\xb2\xff", b"", b"Fri, 99 Foo 99999 25:61:61 GMT"])
def test_a_malformed_header_is_ignored_or_one_line(raw, tmp_path, name, value):
    for status in (b"200 OK", b"206 Partial", b"429 Busy", b"503 Gone"):
        head = b"HTTP/1.1 " + status + b"\r\n" + name.encode() + b": " + value + b"\r\nConnection: close\r\n\r\n"
        server = raw(head + b"123456789")
        with http_transfer.session(1) as connection:
            assert http_transfer.content_length(connection, server.url) in (None, 0)
        for get in (small, lambda url: download(url, tmp_path / "x")):
            try:
                get(server.url)
            except InputError as error:
                assert "\n" not in str(error) and error.lines[0].startswith(server.url)


@pytest.mark.parametrize(
    "variable, value",
    [
        ("http_proxy", "http://[bad"),
        ("http_proxy", "unknown://127.0.0.1:1"),
        ("all_proxy", "socks5://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:notaport"),
    ],
)
def test_a_malformed_proxy_is_one_line_that_names_proxies(server, monkeypatch, variable, value):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match="proxies") as error:
        small(server.url + PATH)
    assert one_line(error) and server.gets() == []


def test_a_file_of_certificates_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/missing.pem")
    with pytest.raises(InputError, match=r"missing\.pem"):
        small("https://127.0.0.1:1/x")


HEAD_FAULTS = {
    "nothing": lambda connection: None,
    "another protocol": lambda connection: connection.sendall(b"220 ready\r\n"),
    "silence": lambda connection: time.sleep(1),
    "a lie": lambda connection: connection.sendall(OK + b"Content-Length: 999999999999999\r\n\r\n"),
    "half a header": lambda connection: connection.sendall(OK + b"Content-Le"),
    "an endless redirect": lambda connection: connection.sendall(b"HTTP/1.1 302 X\r\nLocation: /\r\n\r\n"),
} | {
    str(status): lambda connection, status=status: connection.sendall(b"HTTP/1.1 %d X\r\n\r\n" % status)
    for status in (400, 403, 405, 500, 501, 503)
}


@pytest.mark.parametrize("fault", HEAD_FAULTS.values(), ids=HEAD_FAULTS)
def test_a_server_that_does_not_answer_head_only_does_not_tell_the_size(raw, tmp_path, fault):
    server = raw(lambda connection, method, path: fault(connection) if method == "HEAD" else connection.sendall(HONEST))
    with http_transfer.session(1) as connection:
        assert http_transfer.content_length(connection, server.url + PATH) is None
    download(server.url + PATH, tmp_path / "x")
    assert [method for method, path in server.requests if path == PATH] == ["HEAD", "GET"]


def test_a_compressed_answer_is_named(raw):
    body = gzip.compress(BODY)
    server = raw(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with pytest.raises(InputError, match=r"compressed as gzip \(Content-Encoding\).*check the URL"):
        small(server.url)


def test_an_answer_that_a_check_finds_unusable_is_asked_for_again_from_the_start(server, tmp_path):
    found = []

    def check(part):
        found.append(part.read_bytes())
        if found[-1] != BODY:
            raise http_answer.Unusable("a page")

    server.faults[PATH] = ["error page", "error page"]
    download(server.url + PATH, tmp_path / "x", check=check)
    assert [len(body) for body in found] == [32, 32, len(BODY)]
    assert server.gets() == [None, None, None]


def test_mutated_answers_end_in_a_file_or_in_one_line(raw, tmp_path, monkeypatch):
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    monkeypatch.setattr(http_transfer, "RETRY", http_transfer.RETRY.new(total=0))
    random = np.random.default_rng(16)
    seeds = [
        HONEST,
        OK + b"Transfer-Encoding: chunked\r\n\r\n4;x=y\r\n1234\r\n5\r\n56789\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n",
        b'HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-8/9\r\nETag: "1"\r\n\r\n123456789',
        b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nSet-Cookie: a=b; expires=Fri, 01 Jan 2027 00:00:00 GMT\r\n\r\n",
    ]
    answers = itertools.cycle([None])

    def answer(connection, *_):
        connection.sendall(next(answers))

    server = raw(answer)
    for _ in range(400):
        text = bytearray(seeds[random.integers(len(seeds))])
        for place in random.integers(len(text), size=random.integers(1, 5)):
            text[place : place + random.integers(2)] = random.bytes(random.integers(3))
        answers = itertools.repeat(bytes(text))
        with http_transfer.session(1) as connection:
            http_transfer.content_length(connection, server.url)
        for get in (small, lambda url: download(url, tmp_path / "x")):
            try:
                get(server.url)
            except InputError as error:
                assert "\n" not in str(error), text
