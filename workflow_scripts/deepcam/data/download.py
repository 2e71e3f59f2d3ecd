"""Download from the archive over HTTP: the listings of its samples, and the files of a shard."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

import requests

from deepcam import climate, files
from deepcam.data import convert, file_index, hdf5_sample, http_transfer, manifest, progress
from deepcam.errors import InputError

log = logging.getLogger(__name__)

MAX_LISTING_BYTES = 64 * 2**20
"""More than ten times the listings of the whole archive. Anything longer is not a listing."""

T = TypeVar("T")


def base_url(source: str) -> str:
    """Return the URL of a source. Raises InputError unless it is 'nersc' or an http(s) URL."""
    if source == "nersc":
        return climate.NERSC_URL
    if source.startswith(("http://", "https://")):
        return source.rstrip("/")
    raise InputError(f"source {source!r}: use 'synthetic', 'nersc' or an http(s) URL")


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
    with http_transfer.session(1) as connection:
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
    return file_index.parse_listing(http_transfer.fetch_small(connection, url, MAX_LISTING_BYTES), url)


def download_file(
    connection: requests.Session, url: str, target: Path, shape: tuple[int, int], advance: Callable[[int], None]
) -> manifest.Entry:
    """Fetch one HDF5 sample of `shape` (H, W). `target` appears only after its layout has been checked.

    `advance` is called with the number of bytes transferred. Raises InputError naming the URL if the server refuses,
    the transfer keeps failing, or the file is not such a sample.
    """
    part, version = http_transfer.partial_files(target)
    digest = http_transfer.fetch(connection, url, target, advance)
    try:
        with hdf5_sample.open_sample(part, shape):
            pass
    except hdf5_sample.DamagedSample as error:
        _remove([part, version])
        raise InputError(f"{url}: the answer is not a sample ({error}): check the URL") from error
    with files.full_disk_as_input_error(target):
        files.publish(part, target)
    _remove([version])
    return manifest.Entry(target.name, target.stat().st_size, digest)


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

    Files that are in place are not fetched again, nor are files that have been converted and removed, if `npy_dir`
    is given, the shard's npy folder. Raises InputError if a file cannot be fetched or the disk has too little space.
    """
    if streams < 1:
        raise InputError(f"--streams {streams}: must be at least 1")
    urls = {file_index.file_name(path): f"{base_url(source)}/{path}" for path in sample_paths}
    parts = {name: http_transfer.partial_files(output_dir / name) for name in urls}
    with manifest.exclusive_folder(output_dir, urls, [part.name for pair in parts.values() for part in pair]):
        entries = _finished_entries(output_dir, urls, shape, npy_dir)
        _remove(part for name in entries for part in parts[name])
        missing = [name for name in urls if name not in entries]
        with http_transfer.session(streams) as connection, ThreadPoolExecutor(streams) as pool:
            sizes = _map(pool, lambda name: http_transfer.content_length(connection, urls[name]), missing)
            if None in sizes:
                log.warning(
                    "%s: the server does not tell the size of %d files, so disk space may run out",
                    source,
                    sizes.count(None),
                )
            total = sum(size or 0 for size in sizes)
            present = sum(parts[name][0].stat().st_size for name in missing if parts[name][0].exists())
            files.require_space(output_dir, total - present)
            with progress.transfer_progress(output_dir.name, total) as advance:

                def download(name: str) -> manifest.Entry:
                    entry = download_file(connection, urls[name], output_dir / name, shape, advance)
                    manifest.append_to_ledger(output_dir, [entry])
                    return entry

                entries |= {entry.name: entry for entry in _map(pool, download, missing)}
        manifest.write(output_dir / manifest.MANIFEST, [entries[name] for name in urls])
    log.info("%s: fetched %d of %d files", output_dir, len(missing), len(urls))


def _finished_entries(
    folder: Path, names: Iterable[str], shape: tuple[int, int], npy_dir: Path | None
) -> dict[str, manifest.Entry]:
    """Return the entries, by name, of files that need not be fetched."""
    ledger = manifest.read_ledger(folder)
    found = {}
    for name in names:
        entry = ledger.get(name)
        if entry and (manifest.is_in_place(folder, entry) or (npy_dir and convert.is_converted(npy_dir, entry))):
            found[name] = entry
        elif entry is None and _is_complete(folder / name, shape):
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
