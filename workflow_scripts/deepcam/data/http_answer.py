"""One HTTP request and its answer: redirects, status, length, and a body that is neither endless nor too slow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3

from deepcam.data import http_connection
from deepcam.errors import InputError

CHUNK_BYTES = 2**20
"""Bytes per read. A quarter of this takes 10 % more processor time."""

MAX_REDIRECTS, MAX_DIGITS = 5, 18
"""Limits of redirects to follow, and of digits in a number of bytes."""

ADVICE = "check the URL, and the proxies and certificates that environment variables name"


class TooLong(InputError):
    """The answer is longer than what was asked for can be."""


class Unusable(requests.RequestException):
    """The answer is not what was asked for, such as a page that tells of maintenance. It is retried."""


def request(connection: requests.Session, method: str, url: str, **options: Any) -> requests.Response:
    """Return the answer to a request before its body is read. Redirects are followed and their bodies never read."""
    place = url
    try:
        for _ in range(MAX_REDIRECTS + 1):
            # The answer to HEAD has no body, and a connection is only used again after the body was read.
            response = connection.request(method, place, allow_redirects=False, stream=method != "HEAD", **options)
            if not response.is_redirect:
                return response
            response.close()
            location = response.headers["Location"].encode("latin-1").decode()
            place = urljoin(place, requests.utils.requote_uri(location))
    except (requests.RequestException, urllib3.exceptions.HTTPError):
        raise
    except (ValueError, OSError) as error:  # an address that cannot be parsed, no file of certificates
        raise InputError(f"{shown(url)}: cannot be requested ({shown(str(error))}): {ADVICE}") from error
    raise requests.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects")


def blocks(response: requests.Response, url: str, max_bytes: int, seconds: float, start: int = 0) -> Iterator[bytes]:
    """Yield the body of an answer, whose first byte is number `start` of the resource.

    Raises TooLong as soon as the resource has more than `max_bytes`, and requests.Timeout if the body stalls for
    `seconds`.
    """
    too_long = TooLong(f"{shown(url)}: is longer than {max_bytes:,} bytes: check the URL")
    if start + (number(response.headers.get("Content-Length", "")) or 0) > max_bytes:
        raise too_long
    with http_connection.stalls_ended(response.raw.shutdown, seconds) as report:
        while block := response.raw.read1(CHUNK_BYTES, decode_content=False):
            report(len(block))
            start += len(block)
            if start > max_bytes:
                raise too_long
            yield block


def number(text: str) -> int | None:
    """Return the number of bytes in a header; None if there is none."""
    return int(text) if text.isdecimal() and len(text) < MAX_DIGITS else None


def check(response: requests.Response, expected: int = 200) -> None:
    """Raise HTTPError for another status than the expected one, and Unusable for a body that is compressed."""
    check_status(response, expected)
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise Unusable(f"the server sent it compressed as {encoding} (Content-Encoding) although it was asked not to")


def check_status(response: requests.Response, expected: int) -> None:
    if response.status_code != expected:
        reason = f"the server answered {response.status_code} {response.reason}"
        raise requests.HTTPError(reason, response=response)


def shown(text: str) -> str:
    """Return a URL or a message without user names and passwords, on one line of printable characters."""
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return re.sub(r"//[^/\s@]*@", "//", text)
