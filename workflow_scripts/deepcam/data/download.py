"""Download from the archive over HTTP: the listings of its samples, and the files of a shard."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import h5py
import requests

from deepcam import climate, files
from deepcam.data import (
    connection_slots,
    convert,
    file_index,
    hdf5_sample,
    http_answer,
    http_transfer,
    manifest,
    progress,
)
from deepcam.errors import InputError

log = logging.getLogger(__name__)

MAX_LISTING_BYTES = 64 * 2**20
"""More than ten times the listings of the whole archive. Anything longer is not a listing."""

HDF5_OVERHEAD_BYTES = 16 * 2**20
"""Far more than the metadata of a sample."""

T = TypeVar("T")


def base_url(source: str) -> str:
    """Return the URL of a source. Raises InputError unless it is 'nersc' or an http(s) URL."""
    if source == "nersc":
        return climate.NERSC_URL
    with contextlib.suppress(ValueError):  # a port that is no number, an open bracket
        parts = urlsplit(source)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return source.rstrip("/")
    raise InputError(f"source {http_answer.shown(source)!r}: use 'synthetic', 'nersc', a path or an http(s) URL")


def index_paths(source: str, split: str, num_files: int | str) -> list[str]:
    """Return the first `num_files` samples of a source as `<split>/<name>`, sorted. The split 'all' means every split.

    `num_files` 'all' means the number of samples that the archive at NERSC has, for which the workflow has planned.
    Raises InputError if the source has fewer samples, or, for 'all', any other number.
    """
    if isinstance(num_files, int) and num_files < 1:
        raise InputError(f"number of files {num_files}: must be at least 1")
    if source == "synthetic":
        return [f"synthetic/{name}" for name in climate.synthetic_names(climate.sample_count(source, split, num_files))]
    url = base_url(source)
    with connection_slots.connections(url, 1), http_transfer.session(1) as connection:
        paths = [f"{each}/{name}" for each in climate.splits(split) for name in fetch_index(url, each, connection)]
    names = sorted(file_index.file_name(path) for path in paths)
    if duplicates := [name for name, following in itertools.pairwise(names) if name == following]:
        raise InputError(f"{url}: {duplicates[0]} is in more than one split: choose one with data.split")
    expected = climate.sample_count(source, split, num_files)
    if len(paths) < expected or (num_files == "all" and len(paths) != expected):
        raise InputError(f"{url}: has {len(paths)} files in {split}, not {expected}: set data.num_files: {len(paths)}")
    return paths[:expected]


def fetch_index(base_url: str, split: str, connection: requests.Session) -> list[str]:
    """Return the names in `<base_url>/<split>/files.txt`, sorted and without duplicates.

    Raises InputError naming the URL if it cannot be fetched or is not a listing of samples.
    """
    url = f"{base_url}/{split}/files.txt"
    return file_index.parse_listing(
        http_transfer.fetch_small(connection, url, MAX_LISTING_BYTES), http_answer.shown(url)
    )


def download_file(
    connection: requests.Session, url: str, target: Path, shape: tuple[int, int], advance: Callable[[int], None]
) -> manifest.Entry:
    """Fetch one HDF5 sample of `shape` (H, W). `target` appears only after its layout has been checked.

    `advance` is called with the number of bytes transferred. An answer that is not a whole HDF5 file, such as a page
    that tells of maintenance, is asked for again as after a transient failure. Raises InputError naming the URL if the
    server refuses, the transfer keeps failing, or the file is another HDF5 file.
    """

    def check(part: Path) -> None:
        try:
            with hdf5_sample.open_sample(part, shape):
                pass
        except hdf5_sample.DamagedSample as error:
            reason = f"the answer is not a sample ({error.problem})"
            if not h5py.is_hdf5(part) or "truncated" in reason:
                raise http_answer.Unusable(reason) from error
            raise InputError(f"{http_answer.shown(url)}: {reason}: check the URL") from error

    part, version = http_transfer.partial_files(target)
    digest = http_transfer.fetch(connection, url, target, advance, max_sample_bytes(shape), check)
    with files.full_disk_as_input_error(target):
        files.publish(part, target)
    _remove([version])
    return manifest.Entry(target.name, target.stat().st_size, digest)


def max_sample_bytes(shape: tuple[int, int]) -> int:
    """Return the size that no sample of `shape` (H, W) exceeds: 8 bytes per value, and room for what HDF5 adds."""
    return 8 * (len(climate.CHANNELS) + len(climate.LABELS)) * math.prod(shape) + HDF5_OVERHEAD_BYTES


def download_shard(
    source: str,
    sample_paths: Sequence[str],
    output_dir: Path,
    *,
    streams: int,
    shape: tuple[int, int],
    npy_dir: Path | None = None,
) -> None:
    """Fetch the files of one shard over at most `streams` connections, and then write its manifest.

    Other downloads from the same archive may have some of these connections. Files that are in place are not fetched
    again, nor are files that have been converted and removed, if `npy_dir` is given, the shard's npy folder. Both are
    also looked for in the other shards beside these two folders. Raises InputError if a file cannot be fetched or the
    disk has too little space.
    """
    if streams < 1:
        raise InputError(f"--streams {streams}: must be at least 1")
    url = base_url(source)
    urls = {file_index.file_name(path): f"{url}/{path}" for path in sample_paths}
    parts = {name: http_transfer.partial_files(output_dir / name) for name in urls}
    with manifest.exclusive_folder(output_dir, urls, [part.name for pair in parts.values() for part in pair]):
        entries = _finished_entries(output_dir, urls, shape, npy_dir)
        _remove(part for name in entries for part in parts[name])
        missing = {name: url for name, url in urls.items() if name not in entries}
        if missing:
            with connection_slots.connections(url, streams, output_dir.parent) as count:
                entries |= _fetch(missing, output_dir, count, shape)
        manifest.write(output_dir / manifest.MANIFEST, [entries[name] for name in urls])
    log.info("%s: fetched %d of %d files", output_dir, len(missing), len(urls))


def _fetch(urls: Mapping[str, str], folder: Path, streams: int, shape: tuple[int, int]) -> dict[str, manifest.Entry]:
    """Fetch files by name over `streams` connections, write each to the ledger, and return their entries."""
    with http_transfer.session(streams) as connection, ThreadPoolExecutor(streams) as pool:
        names, limit = list(urls), max_sample_bytes(shape)
        # A server that does not tell the first size is not asked for the others.
        sizes = [http_transfer.content_length(connection, urls[names[0]], limit)]
        if sizes != [None]:
            sizes += _map(pool, lambda name: http_transfer.content_length(connection, urls[name], limit), names[1:])
        if None in sizes:
            log.warning("%s: the server does not tell the size of all files, so disk space may run out", folder)
        total = sum(size or 0 for size in sizes)
        partial = [http_transfer.partial_files(folder / name)[0] for name in urls]
        files.require_space(folder, total - sum(part.stat().st_size for part in partial if part.exists()))
        with progress.transfer_progress(folder.name, total) as advance:

            def download(name: str) -> manifest.Entry:
                entry = download_file(connection, urls[name], folder / name, shape, advance)
                manifest.append_to_ledger(folder, [entry])
                return entry

            return {entry.name: entry for entry in _map(pool, download, urls)}


def _finished_entries(
    folder: Path, names: Collection[str], shape: tuple[int, int], npy_dir: Path | None
) -> dict[str, manifest.Entry]:
    """Return the entries, by name, of files that need not be fetched."""
    ledger = manifest.read_ledger(folder)
    known = {name: ledger[name] for name in names if name in ledger}
    found = {name: entry for name, entry in known.items() if manifest.is_in_place(folder, entry)}
    absent = [entry for name, entry in known.items() if name not in found]
    if absent and npy_dir:
        found |= {entry.name: entry for entry in convert.converted(npy_dir, absent)}
    for name in names:
        if name not in known and _is_complete(folder / name, shape):
            # The process died after it renamed the file and before it wrote the ledger.
            found[name] = manifest.entry(folder / name)
            manifest.append_to_ledger(folder, [found[name]])
    return found


def _is_complete(path: Path, shape: tuple[int, int]) -> bool:
    if not path.exists():
        return False
    try:
        with hdf5_sample.open_sample(path, shape):
            return True
    except hdf5_sample.DamagedSample as error:
        log.warning("fetching again: %s", error)
        return False


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _map(pool: ThreadPoolExecutor, function: Callable[[str], T], names: Iterable[str]) -> list[T]:
    """Like `pool.map`, but no further call is started after the first failure, which is raised."""
    futures = [pool.submit(function, name) for name in names]
    wait(futures, return_when=FIRST_EXCEPTION)
    for future in futures:
        future.cancel()
    for future in futures:
        if future.done() and not future.cancelled() and (error := future.exception()):
            raise error
    return [future.result() for future in futures]
