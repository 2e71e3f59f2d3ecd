"""Download one HTTP resource to a file: interrupted transfers are resumed, failures retried, and the bytes hashed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import requests
import urllib3
from urllib3.util import Retry

from deepcam import files
from deepcam.data import http_answer, http_connection
from deepcam.errors import InputError

log = logging.getLogger(__name__)

FLUSH_BYTES = 2**23
"""Bytes after which writing to the disk is started while the rest still arrives."""

CONNECT_SECONDS, READ_SECONDS, HEAD_SECONDS = 10, 60, 10
"""Timeouts of a connection attempt, of a read, and of the answer to HEAD."""

MAX_BYTES = 2**30
"""Limit of a file's size, unless the caller knows it better: the archive's samples have 64 MB."""

MAX_DELAY_SECONDS = 600
"""Limit for the sum of the delays between the attempts at one resource."""

RETRY = Retry(
    total=6,
    status_forcelist={408, 429, *range(500, 600)} - {501, 505},  # what is not implemented stays so
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


def session(streams: int) -> requests.Session:
    """Return a session with at most `streams` connections per host.

    It verifies certificates and supports only http and https, so a redirect to anything else fails.
    """
    adapter = http_connection.Adapter((CONNECT_SECONDS, READ_SECONDS), pool_maxsize=streams, pool_block=True)
    result = http_connection.Session()
    result.adapters.clear()
    result.mount("http://", adapter)
    result.mount("https://", adapter)
    # Content-Length and ranges count bytes on the wire, so compressed transfers could not be checked or resumed.
    result.headers["User-Agent"] = "deepcam-benchmark"
    result.headers["Accept-Encoding"] = "identity"
    return result


def with_retries(url: str, attempt: Callable[[], T]) -> T:
    """Call `attempt` until it succeeds and return its result. Transient failures are retried as RETRY says.

    The server's Retry-After is honoured. Raises Refused for a status that is not retried, and InputError for other
    failures that are final and when the attempts or MAX_DELAY_SECONDS are exhausted. All name the URL.
    """
    retry, delayed, url = RETRY, 0.0, http_answer.shown(url)
    while True:
        try:
            return attempt()
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reason = http_answer.shown(str(error))
            answer = getattr(error, "response", None)
            if answer is not None and answer.status_code not in RETRY.status_forcelist:
                raise Refused(f"{url}: {reason}: check the URL", answer.status_code) from error
            if answer is None and not _is_transient(error):
                raise InputError(f"{url}: the transfer failed ({reason}): {http_answer.ADVICE}") from error
            try:
                retry = retry.increment("GET", url, error=error)
            except urllib3.exceptions.MaxRetryError:
                advice = "check the URL, or run again later" if isinstance(error, http_answer.Unusable) else "run again"
                raise InputError(f"{url}: failed {RETRY.total + 1} times ({reason}): {advice}") from error
            delay = _retry_delay(retry, answer)
            delayed += delay
            if delayed > MAX_DELAY_SECONDS:
                raise InputError(f"{url}: {reason}; run again in {delay:.0f} s") from error
            log.warning("%s: %s; trying again in %.1f s", url, reason, delay)
            time.sleep(delay)


def content_length(connection: requests.Session, url: str, max_bytes: int = MAX_BYTES) -> int | None:
    """Return the size in bytes that a HEAD request for `url` gives.

    Return None if it gives none, or none up to `max_bytes`, or if the request fails in whatever way.

    The size is a courtesy, so the server is asked once, and not for long.
    """
    try:
        with http_answer.request(connection, "HEAD", url, timeout=(CONNECT_SECONDS, HEAD_SECONDS)) as response:
            http_answer.check_status(response, 200)
            length = http_answer.number(response.headers.get("Content-Length", ""))
            return length if length is not None and length <= max_bytes else None
    except (requests.RequestException, urllib3.exceptions.HTTPError, InputError) as error:
        log.warning("%s: the size is unknown: %s", http_answer.shown(url), http_answer.shown(str(error)))
        return None


def fetch_small(connection: requests.Session, url: str, max_bytes: int) -> bytes:
    """Return the body at `url`. Raises InputError if it cannot be fetched or is longer than `max_bytes`."""

    def attempt() -> bytes:
        with http_answer.request(connection, "GET", url) as response:
            http_answer.check(response)
            body = bytearray()
            for block in http_answer.blocks(response, url, max_bytes, READ_SECONDS):
                body += block
            return bytes(body)

    return with_retries(url, attempt)


def partial_files(target: Path) -> tuple[Path, Path]:
    """Return the two files of an unfinished transfer to `target`: its bytes, and the version of the resource."""
    return target.with_name(target.name + files.TEMPORARY), target.with_name(target.name + ".version" + files.TEMPORARY)


def fetch(
    connection: requests.Session,
    url: str,
    target: Path,
    advance: Callable[[int], None],
    max_bytes: int = MAX_BYTES,
    check: Callable[[Path], None] = lambda part: None,
) -> str:
    """Download `url` to the first of the partial files of `target` and return its SHA-256 in hexadecimal.

    Bytes that an earlier run left there are kept, and only the rest is fetched. `check` looks at the complete file: if
    it raises Unusable, the download starts over after a delay. The caller renames the file. `advance` is called with
    every change of the file's size, first with the bytes that are already there. Raises InputError if the download
    fails or is longer than `max_bytes`; the bytes that have arrived stay for the next run.
    """
    part, version = partial_files(target)
    advance(_size(part))

    def attempt() -> str:
        try:
            digest = _attempt(connection, url, part, version, advance, max_bytes)
            check(part)
            return digest
        except (http_answer.Unusable, http_answer.TooLong):
            _restart(part, advance)
            part.unlink()
            version.unlink(missing_ok=True)
            raise

    with files.full_disk_as_input_error(target):
        return with_retries(url, attempt)


def _attempt(
    connection: requests.Session, url: str, part: Path, version: Path, advance: Callable[[int], None], max_bytes: int
) -> str:
    validator = version.read_text("latin-1") if version.exists() else ""
    # Without a validator the bytes could belong to another version of the file.
    start = _size(part) if validator else 0
    headers = {"Range": f"bytes={start}-", "If-Range": validator} if start else {}
    with http_answer.request(connection, "GET", url, headers=headers) as response:
        if start and response.status_code in (206, RANGE_NOT_SATISFIABLE):
            content_range = response.headers.get("Content-Range", "")
            if response.status_code == RANGE_NOT_SATISFIABLE and content_range == f"bytes */{start}":
                return files.sha256(part)
            # Some servers support Range but not If-Range.
            same = _validator(response) in (validator, "")
            if response.status_code == 206 and same and content_range.startswith(f"bytes {start}-"):
                http_answer.check(response, 206)
                return _receive(response, url, part, advance, max_bytes)
            _restart(part, advance)
            raise requests.ConnectionError("the file has changed at the server, so its download starts over")
        http_answer.check(response)
        _restart(part, advance)
        version.write_text(_validator(response), "latin-1", errors="replace")
        return _receive(response, url, part, advance, max_bytes)


def _receive(response: requests.Response, url: str, part: Path, advance: Callable[[int], None], max_bytes: int) -> str:
    """Append the body to the file and return the SHA-256 of the whole file."""
    digest = hashlib.sha256()
    with open(part, "rb") as file:
        hashlib.file_digest(file, lambda: digest)
    unflushed = 0
    with open(part, "ab") as file:
        for block in http_answer.blocks(response, url, max_bytes, READ_SECONDS, start=file.tell()):
            file.write(block)
            digest.update(block)
            advance(len(block))
            unflushed += len(block)
            if unflushed > FLUSH_BYTES:
                files.start_writeback(file.fileno())
                unflushed = 0
        size = file.tell()
    # The server may have sent less than the range that was asked for.
    total = http_answer.number(response.headers.get("Content-Range", "").rpartition("/")[2])
    if total is not None and size != total:
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


def _is_transient(error: Exception) -> bool:
    """Return whether a failure without an answer is worth retrying: a lost connection is, a bad certificate is not."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return False
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, urllib3.exceptions.LocationValueError):  # a proxy that is no address
        return False
    return isinstance(
        error, (requests.ConnectionError, requests.Timeout, http_answer.Unusable, urllib3.exceptions.HTTPError)
    )


def _retry_delay(retry: Retry, answer: requests.Response | None) -> float:
    """Return the seconds until the next attempt: the server's Retry-After, else exponential backoff with jitter."""
    if answer is not None:
        with contextlib.suppress(urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
            asked = retry.get_retry_after(answer.raw)
            if asked is not None:
                return float(asked)
    return retry.get_backoff_time()
