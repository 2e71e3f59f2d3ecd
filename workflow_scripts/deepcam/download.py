"""The archive over HTTP: its index of names and its files, politely and only whole."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from deepcam import climate, manifest
from deepcam.climate import InputError
from deepcam.convert import open_sample
from deepcam.files import atomic_path

log = logging.getLogger(__name__)

CHUNK_BYTES = 2**20
CONNECT_SECONDS, READ_SECONDS = 10, 60
RETRIES = 5


class _Adapter(HTTPAdapter):
    """requests waits for ever unless each call names a timeout; here all calls do."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
        return super().send(request, **options)


def session(streams: int) -> requests.Session:
    """A session with at most `streams` connections per host, timeouts, and retries of what may pass by itself.

    Failed connections and 408, 429 and 5xx answers are tried again with growing, jittered pauses, or after the
    server's Retry-After. Other answers are final.
    """
    retry = Retry(
        total=RETRIES,
        connect=RETRIES,
        read=RETRIES,
        status=RETRIES,
        redirect=5,
        status_forcelist={408, 429, *range(500, 600)},
        allowed_methods={"GET"},
        backoff_factor=1,
        backoff_jitter=1,
        backoff_max=60,
        respect_retry_after_header=True,
        raise_on_status=False,
    )
    adapter = _Adapter(max_retries=retry, pool_maxsize=streams, pool_block=True)
    result = requests.Session()
    result.mount("http://", adapter)
    result.mount("https://", adapter)
    # Content-Length counts bytes on the wire: compressed transfers could not be checked against it.
    result.headers["Accept-Encoding"] = "identity"
    return result


def base_url(source: str) -> str:
    """The URL of a source: 'nersc' or an http(s) URL, else InputError."""
    if source == "nersc":
        return climate.NERSC_URL
    if source.startswith(("http://", "https://")):
        return source.rstrip("/")
    raise InputError(f"source {source!r}: use 'synthetic', 'nersc' or an http(s) URL")


def index_names(source: str, split: str, count: int) -> list[str]:
    """The first `count` HDF5 names of a source, sorted. Raises InputError if it has fewer."""
    if count < 1:
        raise InputError(f"number of files {count}: must be at least 1")
    if source == "synthetic":
        return climate.synthetic_names(count)
    with session(1) as connection:
        names = fetch_index(base_url(source), split, connection)
    if len(names) < count:
        raise InputError(f"{base_url(source)}/{split}: has {len(names)} files, not {count}: ask for fewer")
    return names[:count]


def fetch_index(base_url: str, split: str, session: requests.Session) -> list[str]:
    """The names in `<base_url>/<split>/files.txt`, sorted, each once.

    Raises InputError naming the URL, and for a line that is not a sample's name its number.
    """
    url = f"{base_url}/{split}/files.txt"
    try:
        with session.get(url) as response:
            _check_status(response, url)
            lines = response.content.decode("utf-8", "replace").splitlines()
    except requests.RequestException as error:
        raise _failed(url, error) from error
    names = set()
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if not climate.FILE_NAME.fullmatch(name):
            raise InputError(f"{url}, line {number}: {name[:80]!r} is not data-YYYY-MM-DD-HH-n.h5: check the URL")
        names.add(name)
    if not names:
        raise InputError(f"{url}: is empty: check the URL")
    return sorted(names)


def download_file(session: requests.Session, url: str, target: Path) -> None:
    """Fetch one HDF5 sample to `target`, which appears only when it is whole and laid out as a sample.

    Raises InputError naming the URL for a refusal, a broken transfer, a wrong length, or other contents.
    """
    with atomic_path(target) as temporary:
        received = 0
        try:
            with session.get(url, stream=True) as response, open(temporary, "wb") as file:
                _check_status(response, url)
                expected = response.headers.get("Content-Length")
                for chunk in response.iter_content(CHUNK_BYTES):
                    received += file.write(chunk)
        except requests.RequestException as error:
            raise _failed(url, error) from error
        if expected is not None and received != int(expected):
            raise InputError(f"{url}: sent {received} of {expected} bytes: run again, whole files are kept")
        try:
            with open_sample(temporary):
                pass
        except InputError as error:
            raise InputError(f"{url}: the answer is not a sample: check the URL ({error})") from error


def download_shard(source: str, split: str, names: list[str], output_dir: Path, streams: int) -> None:
    """Fetch the files of one shard with at most `streams` connections, and then write its manifest.

    Files in place are whole, as `download_file` leaves no others, and are not fetched again. Raises InputError.
    """
    if streams < 1:
        raise InputError(f"--streams {streams}: must be at least 1")
    url = f"{base_url(source)}/{split}"
    with manifest.filling(output_dir, names):
        missing = [name for name in names if not _is_whole(output_dir / name)]
        with session(streams) as connection, ThreadPoolExecutor(streams) as pool:
            list(pool.map(lambda name: download_file(connection, f"{url}/{name}", output_dir / name), missing))
        manifest.write(output_dir / manifest.MANIFEST, [manifest.entry(output_dir / name) for name in names])
    log.info("%s: fetched %d of %d files", output_dir, len(missing), len(names))


def _is_whole(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with open_sample(path):
            return True
    except InputError as error:
        log.warning("fetching again: %s", error)
        return False


def _check_status(response: requests.Response, url: str) -> None:
    if response.status_code != 200:
        raise InputError(f"{url}: the server answered {response.status_code} {response.reason}: check the URL")


def _failed(url: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(f"{url}: the transfer failed ({reason}): run again, whole files are kept")
