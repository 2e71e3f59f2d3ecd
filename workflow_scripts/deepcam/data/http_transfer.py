"""Download one HTTP resource to a file: interrupted transfers are resumed, failures retried, and the bytes hashed."""

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
"""Bytes per read. A quarter of this takes 10 % more processor time."""

FLUSH_BYTES = 2**23
"""Bytes after which writing to the disk is started while the rest still arrives."""

CONNECT_SECONDS, READ_SECONDS = 10, 60
"""Timeouts of a connection attempt and of a read."""

STALLED_BYTES = 2**14
"""A transfer that brings less than this in READ_SECONDS counts as stalled."""

MAX_DELAY_SECONDS = 600
"""Limit for the sum of the delays between the attempts at one resource."""

RETRY = Retry(
    total=6,
    status_forcelist={408, 429, *range(500, 600)},
    backoff_factor=1,
    backoff_jitter=1,
    backoff_max=60,
)
"""HTTP statuses that are retried, how often, and after which delays."""

RANGE_NOT_SATISFIABLE = 416
"""HTTP status of a server that has no bytes beyond those that are already here."""

T = TypeVar("T")


class Refused(InputError):
    """The server answered with an HTTP status that is not retried."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Adapter(HTTPAdapter):
    """Gives every request a timeout. By default requests waits forever."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
        return super().send(request, **options)


def session(streams: int) -> requests.Session:
    """Return a session with at most `streams` connections per host.

    It verifies certificates and supports only http and https, so a redirect to anything else fails.
    """
    adapter = _Adapter(pool_maxsize=streams, pool_block=True)
    result = requests.Session()
    result.adapters.clear()
    result.mount("http://", adapter)
    result.mount("https://", adapter)
    result.max_redirects = 5
    # Content-Length and ranges count bytes on the wire, so compressed transfers could not be checked or resumed.
    result.headers["User-Agent"] = "deepcam-benchmark"
    result.headers["Accept-Encoding"] = "identity"
    return result


def with_retries(url: str, attempt: Callable[[], T]) -> T:
    """Call `attempt` until it succeeds and return its result. Transient failures are retried as RETRY says.

    The server's Retry-After is honoured. Raises Refused for a status that is not retried, and InputError when the
    attempts or MAX_DELAY_SECONDS are exhausted. Both name the URL.
    """
    retry, delayed = RETRY, 0.0
    while True:
        try:
            return attempt()
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reason = " ".join(str(error).split())
            answer = getattr(error, "response", None)
            if answer is not None and answer.status_code not in RETRY.status_forcelist:
                raise Refused(f"{url}: {reason}: check the URL", answer.status_code) from error
            if answer is None and not _is_transient(error):
                raise InputError(f"{url}: the transfer failed ({reason}): check the URL") from error
            try:
                retry = retry.increment("GET", url, error=error)
            except urllib3.exceptions.MaxRetryError:
                raise InputError(f"{url}: failed {RETRY.total + 1} times ({reason}): run again, it resumes") from error
            delay = _retry_delay(retry, answer)
            delayed += delay
            if delayed > MAX_DELAY_SECONDS:
                raise InputError(f"{url}: {reason}, next try in {delay:.0f} s: run again then, it resumes") from error
            log.warning("%s: %s; trying again in %.1f s", url, reason, delay)
            time.sleep(delay)


def content_length(connection: requests.Session, url: str) -> int | None:
    """Return the size in bytes that a HEAD request for `url` gives; None if it gives none or is refused.

    Raises InputError if the server cannot be reached.
    """

    def attempt() -> int | None:
        with connection.head(url, allow_redirects=True) as response:
            _check_status(response)
            length = response.headers.get("Content-Length", "")
            return int(length) if length.isdecimal() else None

    try:
        return with_retries(url, attempt)
    except Refused:
        return None


def fetch_small(connection: requests.Session, url: str, max_bytes: int) -> bytes:
    """Return the body at `url`. Raises InputError if it cannot be fetched or is longer than `max_bytes`."""

    def attempt() -> bytes:
        body = bytearray()
        with connection.get(url, stream=True) as response:
            _check_status(response)
            while block := response.raw.read(CHUNK_BYTES, decode_content=False):
                body += block
                if len(body) > max_bytes:
                    raise InputError(f"{url}: is longer than {max_bytes:,} bytes: check the URL")
        return bytes(body)

    return with_retries(url, attempt)


def partial_files(target: Path) -> tuple[Path, Path]:
    """Return the two files of an unfinished transfer to `target`: its bytes, and the version of the resource."""
    return target.with_name(target.name + files.TEMPORARY), target.with_name(target.name + ".version" + files.TEMPORARY)


def fetch(connection: requests.Session, url: str, target: Path, advance: Callable[[int], None]) -> str:
    """Download `url` to the first of the partial files of `target` and return its SHA-256 in hexadecimal.

    Bytes that an earlier run left there are kept, and only the rest is fetched. The caller checks the file and renames
    it. `advance` is called with every change of the file's size, first with the bytes that are already there. Raises
    InputError if the download fails; the bytes that have arrived stay for the next run.
    """
    part, version = partial_files(target)
    advance(_size(part))
    with files.full_disk_as_input_error(target):
        return with_retries(url, lambda: _attempt(connection, url, part, version, advance))


def _attempt(connection: requests.Session, url: str, part: Path, version: Path, advance: Callable[[int], None]) -> str:
    validator = version.read_text(encoding="utf-8") if version.exists() else ""
    # Without a validator the bytes could belong to another version of the file.
    start = _size(part) if validator else 0
    headers = {"Range": f"bytes={start}-", "If-Range": validator} if start else {}
    with connection.get(url, headers=headers, stream=True) as response:
        if start and response.status_code in (206, RANGE_NOT_SATISFIABLE):
            content_range = response.headers.get("Content-Range", "")
            if response.status_code == RANGE_NOT_SATISFIABLE and content_range == f"bytes */{start}":
                return files.sha256(part)
            # Some servers support Range but not If-Range.
            same = _validator(response) in (validator, "")
            if response.status_code == 206 and same and content_range.startswith(f"bytes {start}-"):
                return _receive(response, part, advance)
            _restart(part, advance)
            raise requests.ConnectionError("the file has changed at the server, so its download starts over")
        _check_status(response)
        _restart(part, advance)
        version.write_text(_validator(response), encoding="utf-8")
        return _receive(response, part, advance)


def _receive(response: requests.Response, part: Path, advance: Callable[[int], None]) -> str:
    """Append the body to the file and return the SHA-256 of the whole file."""
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
                files.start_writeback(file.fileno())
                unflushed = 0
            if time.monotonic() - marked > READ_SECONDS:
                if gained < STALLED_BYTES:
                    raise requests.Timeout(f"the stream brought {gained} bytes in {READ_SECONDS} s")
                marked, gained = time.monotonic(), 0
        size = file.tell()
    # The server may have sent less than the range that was asked for.
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if total.isdecimal() and size != int(total):
        raise requests.ConnectionError(f"sent {size} of {total} bytes")
    return digest.hexdigest()


def _restart(part: Path, advance: Callable[[int], None]) -> None:
    advance(-_size(part))
    part.write_bytes(b"")


def _validator(response: requests.Response) -> str:
    """Return the validator for If-Range: a strong entity tag, else the time of the last change, else an empty text."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_status(response: requests.Response) -> None:
    if response.status_code != 200:
        reason = f"the server answered {response.status_code} {response.reason}"
        raise requests.HTTPError(reason, response=response)


def _is_transient(error: Exception) -> bool:
    """Return whether a failure without an answer is worth retrying: a lost connection is, a bad certificate is not."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return False
        cause = cause.__cause__ or cause.__context__
    return isinstance(error, (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError))


def _retry_delay(retry: Retry, answer: requests.Response | None) -> float:
    """Return the seconds until the next attempt: the server's Retry-After, else exponential backoff with jitter."""
    if answer is not None:
        with contextlib.suppress(urllib3.exceptions.InvalidHeader):
            asked = retry.get_retry_after(answer.raw)
            if asked is not None:
                return asked
    return retry.get_backoff_time()
