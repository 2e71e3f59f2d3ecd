"""One HTTP resource into one file: resumed where it stopped, tried again within bounds, hashed on the way."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from deepcam import files
from deepcam.errors import InputError

log = logging.getLogger(__name__)

CHUNK_BYTES = 2**20
"""Read at a time: a quarter of it takes a tenth more processor time."""

FLUSH_BYTES = 2**23
"""So often the disk is set to work while bytes still arrive."""

CONNECT_SECONDS, READ_SECONDS = 10, 60
STALLED_BYTES = 2**14
"""A stream that brings less than this in READ_SECONDS counts as stalled, even if it trickles."""

WAIT_SECONDS = 600
"""The longest pause, in sum, between the attempts at one resource."""

RETRY = Retry(
    total=6,
    status_forcelist={408, 429, *range(500, 600)},
    backoff_factor=1,
    backoff_jitter=1,
    backoff_max=60,
)
"""Which answers may pass by themselves, how often they are tried again, and after what pauses."""

NO_BODY = 416
"""Range not satisfiable: what a server answers that has nothing beyond the bytes that are already here."""

T = TypeVar("T")


class Refused(InputError):
    """The server's final no, with its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Adapter(HTTPAdapter):
    """requests waits for ever unless each call names a timeout; here all calls do."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
        return super().send(request, **options)


def session(streams: int) -> requests.Session:
    """A session that keeps at most `streams` connections per host alive. Only http and https are spoken: a redirect
    to anything else fails. Certificates are verified.
    """
    adapter = _Adapter(pool_maxsize=streams, pool_block=True)
    result = requests.Session()
    result.adapters.clear()
    result.mount("http://", adapter)
    result.mount("https://", adapter)
    result.max_redirects = 5
    # Content-Length and ranges count bytes on the wire: compressed transfers could not be checked or resumed.
    result.headers["User-Agent"] = "deepcam-benchmark"
    result.headers["Accept-Encoding"] = "identity"
    return result


def persist(url: str, attempt: Callable[[], T]) -> T:
    """What `attempt` returns, called again as RETRY says while it fails in ways that may pass by themselves.

    A server's Retry-After is honoured. Raises Refused for a final answer, InputError when attempts or patience run
    out; both name the URL.
    """
    retry, waited = RETRY, 0.0
    while True:
        try:
            return attempt()
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reason = " ".join(str(error).split())
            answer = getattr(error, "response", None)
            if answer is not None and answer.status_code not in RETRY.status_forcelist:
                raise Refused(f"{url}: {reason}: check the URL", answer.status_code) from error
            if answer is None and not _may_pass(error):
                raise InputError(f"{url}: the transfer failed ({reason}): check the URL") from error
            try:
                retry = retry.increment("GET", url, error=error)
            except urllib3.exceptions.MaxRetryError:
                raise InputError(f"{url}: failed {RETRY.total + 1} times ({reason}): run again, it resumes") from error
            pause = _pause(retry, answer)
            waited += pause
            if waited > WAIT_SECONDS:
                raise InputError(f"{url}: {reason}, next try in {pause:.0f} s: run again then, it resumes") from error
            log.warning("%s: %s; trying again in %.1f s", url, reason, pause)
            time.sleep(pause)


def announced_bytes(connection: requests.Session, url: str) -> int | None:
    """The size that the server announces for `url`; None where it announces none, or refuses: fetching will tell.

    Raises InputError where the server cannot be reached.
    """

    def attempt() -> int | None:
        with connection.head(url, allow_redirects=True) as response:
            _check_status(response)
            length = response.headers.get("Content-Length", "")
            return int(length) if length.isdecimal() else None

    try:
        return persist(url, attempt)
    except Refused:
        return None


def fetch_small(connection: requests.Session, url: str, most_bytes: int) -> bytes:
    """The body at `url`. Raises Refused, and InputError also for a body of more than `most_bytes`."""

    def attempt() -> bytes:
        body = bytearray()
        with connection.get(url, stream=True) as response:
            _check_status(response)
            while block := response.raw.read(CHUNK_BYTES, decode_content=False):
                body += block
                if len(body) > most_bytes:
                    raise InputError(f"{url}: is longer than {most_bytes:,} bytes: check the URL")
        return bytes(body)

    return persist(url, attempt)


def partial_files(target: Path) -> tuple[Path, Path]:
    """What a transfer to `target` leaves until it is whole: its bytes, and which version of the resource they are."""
    return target.with_name(target.name + files.TEMPORARY), target.with_name(target.name + ".version" + files.TEMPORARY)


def fetch(connection: requests.Session, url: str, target: Path, advance: Callable[[int], None]) -> str:
    """Bring `url` into the first partial file of `target`, going on behind what an earlier run left; its SHA-256.

    The caller checks the file and gives it its name. `advance` is told of every change of the file's size, first of
    what is already there. Raises InputError; what has arrived stays, for the next run.
    """
    part, version = partial_files(target)
    advance(_size(part))
    with files.full_disk_as_input_error(target):
        return persist(url, lambda: _attempt(connection, url, part, version, advance))


def _attempt(connection: requests.Session, url: str, part: Path, version: Path, advance: Callable[[int], None]) -> str:
    validator = version.read_text() if version.exists() else ""
    # Without a validator, what is there cannot be told from another version of the file.
    start = _size(part) if validator else 0
    headers = {"Range": f"bytes={start}-", "If-Range": validator} if start else {}
    with connection.get(url, headers=headers, stream=True) as response:
        if start and response.status_code in (206, NO_BODY):
            content_range = response.headers.get("Content-Range", "")
            if response.status_code == NO_BODY and content_range == f"bytes */{start}":
                return files.sha256(part)
            # Some servers know Range but not If-Range.
            same = _validator(response) in (validator, "")
            if response.status_code == 206 and same and content_range.startswith(f"bytes {start}-"):
                return _receive(response, part, advance)
            _restart(part, advance)
            raise requests.ConnectionError("the file has changed, what is here is no part of it")
        _check_status(response)
        _restart(part, advance)
        version.write_text(_validator(response))
        return _receive(response, part, advance)


def _receive(response: requests.Response, part: Path, advance: Callable[[int], None]) -> str:
    """Append the body to the file; the SHA-256 of all."""
    digest = hashlib.sha256()
    with open(part, "rb") as file:
        hashlib.file_digest(file, lambda: digest)
    marked, gained, unflushed = time.monotonic(), 0, 0
    with open(part, "ab") as file:
        while block := response.raw.read1(CHUNK_BYTES, decode_content=False):
            file.write(block)
            digest.update(block)
            advance(len(block))
            gained += len(block)
            unflushed += len(block)
            if unflushed > FLUSH_BYTES:
                files.begin_flush(file.fileno())
                unflushed = 0
            if time.monotonic() - marked > READ_SECONDS:
                if gained < STALLED_BYTES:
                    raise requests.Timeout(f"the stream brought {gained} bytes in {READ_SECONDS} s")
                marked, gained = time.monotonic(), 0
        size = file.tell()
    # A complete body counts only if the server meant to send the rest, not a smaller range.
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if total.isdecimal() and size != int(total):
        raise requests.ConnectionError(f"sent {size} of {total} bytes")
    return digest.hexdigest()


def _restart(part: Path, advance: Callable[[int], None]) -> None:
    advance(-_size(part))
    part.write_bytes(b"")


def _validator(response: requests.Response) -> str:
    """What If-Range compares: a strong entity tag, else the time of the last change, else nothing."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_status(response: requests.Response) -> None:
    if response.status_code != 200:
        reason = f"the server answered {response.status_code} {response.reason}"
        raise requests.HTTPError(reason, response=response)


def _may_pass(error: Exception) -> bool:
    """Whether a failure without an answer may go away: a lost connection may, a wrong certificate or URL does not."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return False
        cause = cause.__cause__ or cause.__context__
    return isinstance(error, (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError))


def _pause(retry: Retry, answer: requests.Response | None) -> float:
    """Seconds before the next attempt: what the server asks for, else exponential backoff with jitter."""
    if answer is not None:
        with contextlib.suppress(urllib3.exceptions.InvalidHeader):
            asked = retry.get_retry_after(answer.raw)
            if asked is not None:
                return asked
    return retry.get_backoff_time()
