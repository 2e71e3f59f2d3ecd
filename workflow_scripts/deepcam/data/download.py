"""The archive over HTTP: its index of names, its statistics, and its files, politely and only whole."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

import requests

from deepcam import climate, files
from deepcam.data import convert, http_transfer, index, manifest, progress
from deepcam.errors import InputError

log = logging.getLogger(__name__)

INDEX_BYTES = 64 * 2**20
"""More than ten times the index of the whole archive: a longer one is not an index."""

T = TypeVar("T")


def base_url(source: str) -> str:
    """The URL of a source: 'nersc' or an http(s) URL, else InputError."""
    if source == "nersc":
        return climate.NERSC_URL
    if source.startswith(("http://", "https://")):
        return source.rstrip("/")
    raise InputError(f"source {source!r}: use 'synthetic', 'nersc' or an http(s) URL")


def index_paths(source: str, split: str, num_files: int | str) -> list[str]:
    """The first `num_files` samples of a source as `<split>/<name>`, sorted; the split 'all' stands for every one.

    `num_files` 'all' asks for as many as the archive has: the workflow has planned for them. Raises InputError if the
    source has fewer, or for 'all' another number.
    """
    if isinstance(num_files, int) and num_files < 1:
        raise InputError(f"number of files {num_files}: must be at least 1")
    if source == "synthetic":
        return [f"synthetic/{name}" for name in climate.synthetic_names(climate.sample_count(source, split, num_files))]
    url = base_url(source)
    with http_transfer.session(1) as connection:
        paths = [f"{each}/{name}" for each in climate.splits(split) for name in fetch_index(url, each, connection)]
    names = sorted(index.name_of(path) for path in paths)
    if twice := [name for name, following in itertools.pairwise(names) if name == following]:
        raise InputError(f"{url}: {twice[0]} is in more than one split: choose one with data.split")
    expected = climate.sample_count(source, split, num_files)
    if len(paths) < expected or (num_files == "all" and len(paths) != expected):
        raise InputError(f"{url}: has {len(paths)} files in {split}, not {expected}: set data.num_files: {len(paths)}")
    return paths[:expected]


def fetch_index(base_url: str, split: str, connection: requests.Session) -> list[str]:
    """The names in `<base_url>/<split>/files.txt`, sorted, each once; blank lines are passed over.

    Raises InputError naming the URL, and for a line that is not a sample's name its number.
    """
    url = f"{base_url}/{split}/files.txt"
    names = set()
    lines = http_transfer.fetch_small(connection, url, INDEX_BYTES).split(b"\n")
    for number, line in enumerate(lines, start=1):
        name = line.strip().decode("ascii", "replace")
        if name and not climate.FILE_NAME.fullmatch(name):
            raise InputError(f"{url}, line {number}: {name[:80]!r} is not data-YYYY-MM-DD-HH-n.h5: check the URL")
        names.add(name)
    names.discard("")
    if not names:
        raise InputError(f"{url}: is empty: check the URL")
    return sorted(names)


def download_file(
    connection: requests.Session, url: str, target: Path, shape: tuple[int, int], advance: Callable[[int], None]
) -> manifest.Entry:
    """Fetch one HDF5 sample of `shape` (H, W) to `target`, which appears only when it is whole and laid out as one.

    Raises InputError naming the URL for a refusal, a transfer that stays broken, or other contents.
    """
    part, version = http_transfer.partial_files(target)
    digest = http_transfer.fetch(connection, url, target, advance)
    try:
        with convert.open_sample(part, shape):
            pass
    except InputError as error:
        _remove([part, version])
        raise InputError(f"{url}: the answer is not a sample: check the URL ({error})") from error
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
    """Fetch the files of one shard with at most `streams` connections, and then write its manifest.

    A file that is in place is not fetched again; nor, where `npy_dir` names the shard's npy folder, one that was
    converted and removed. Raises InputError, also where the announced sizes do not fit on the disk.
    """
    if streams < 1:
        raise InputError(f"--streams {streams}: must be at least 1")
    urls = {index.name_of(path): f"{base_url(source)}/{path}" for path in sample_paths}
    parts = {name: http_transfer.partial_files(output_dir / name) for name in urls}
    with manifest.filling(output_dir, urls, [part.name for pair in parts.values() for part in pair]):
        entries = _finished(output_dir, urls, shape, npy_dir)
        _remove(part for name in entries for part in parts[name])
        missing = [name for name in urls if name not in entries]
        with http_transfer.session(streams) as connection, ThreadPoolExecutor(streams) as pool:
            sizes = _each(pool, lambda name: http_transfer.announced_bytes(connection, urls[name]), missing)
            if None in sizes:
                log.warning("%s: %d sizes are not announced, their space is not checked", source, sizes.count(None))
            total = sum(size or 0 for size in sizes)
            here = sum(parts[name][0].stat().st_size for name in missing if parts[name][0].exists())
            files.require_space(output_dir, total - here)
            with progress.transferring(output_dir.name, total) as advance:

                def download(name: str) -> manifest.Entry:
                    entry = download_file(connection, urls[name], output_dir / name, shape, advance)
                    manifest.record(output_dir, [entry])
                    return entry

                entries |= {entry.name: entry for entry in _each(pool, download, missing)}
        manifest.write(output_dir / manifest.MANIFEST, [entries[name] for name in urls])
    log.info("%s: fetched %d of %d files", output_dir, len(missing), len(urls))


def _finished(
    folder: Path, names: Iterable[str], shape: tuple[int, int], npy_dir: Path | None
) -> dict[str, manifest.Entry]:
    """The entries of what need not be fetched."""
    ledger = manifest.read_ledger(folder)
    found = {}
    for name in names:
        entry = ledger.get(name)
        if entry and (manifest.is_in_place(folder, entry) or (npy_dir and convert.converted(npy_dir, entry))):
            found[name] = entry
        elif entry is None and _is_whole(folder / name, shape):
            # Its process died between giving the name and noting it down.
            found[name] = manifest.entry(folder / name)
            manifest.record(folder, [found[name]])
    return found


def _is_whole(path: Path, shape: tuple[int, int]) -> bool:
    if not path.exists():
        return False
    try:
        with convert.open_sample(path, shape):
            return True
    except InputError as error:
        log.warning("fetching again: %s", error)
        return False


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _each(pool: ThreadPoolExecutor, function: Callable[[str], T], names: Iterable[str]) -> list[T]:
    """The results for all names, in order; after the first failure nothing more is begun."""
    futures = [pool.submit(function, name) for name in names]
    wait(futures, return_when=FIRST_EXCEPTION)
    for future in futures:
        future.cancel()
    for future in futures:
        if future.done() and not future.cancelled() and (error := future.exception()):
            raise error
    return [future.result() for future in futures]
