"""Shards of HDF5 files that belong to somebody else: folders of links to them, with manifests.

The conversion and the verification treat such a shard like any other one. What they replace or remove are links.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepcam import files
from deepcam.climate import DATA
from deepcam.data import manifest, progress
from deepcam.data.hdf5_sample import DamagedSample, open_sample
from deepcam.errors import InputError

log = logging.getLogger(__name__)

THREADS = 16
"""Files that are looked at together. On a network file system, most of the time is spent waiting for its server."""


def check(paths: Sequence[str], shape: tuple[int, int]) -> None:
    """Check all sizes, and the layout of the first file and of those that differ from it in size.

    Samples of `shape` (H, W) that are not compressed have one size. Raises InputError naming the first file that is
    missing, cannot be read, or is no such sample.
    """
    check_sample(paths[0], shape)
    usual = Path(paths[0]).stat().st_size

    def check_size(path: str) -> None:
        with files.os_errors_as_input_errors(Path(path)):
            size = os.stat(path).st_size
        if size != usual:
            check_sample(path, shape)

    progress.for_each("samples", check_size, paths, THREADS)


def check_sample(path: str, shape: tuple[int, int]) -> None:
    """Raise InputError unless the file is an HDF5 sample of `shape` (H, W)."""
    try:
        with open_sample(path) as file:
            found = file[DATA].shape[:2]
    except DamagedSample as error:
        raise InputError(f"{path}: {error.problem}: leave it out, or replace it") from None
    if found != shape:
        raise InputError(wrong_shape(path, found, shape))


def wrong_shape(path: Path | str, found: Sequence[int], shape: tuple[int, int]) -> str:
    """What to tell of a sample of somebody else that has other rows or columns than `shape` (H, W)."""
    return (
        f"{path}: has {found[0]} x {found[1]} pixels, not {shape[0]} x {shape[1]}: if all samples have, set "
        f"data.height: {found[0]} and data.width: {found[1]}, otherwise leave it out"
    )


def link_shard(paths: Sequence[str], output_dir: Path, shape: tuple[int, int], threads: int) -> None:
    """Make a shard of links to these files, hash the files, and then write its manifest.

    Files that are known from an earlier link, and have not changed after it, are not hashed again. Raises InputError
    naming the file if one is not an HDF5 sample of `shape` (H, W).
    """
    names = [os.path.basename(path) for path in paths]
    with manifest.exclusive_folder(output_dir, names), ThreadPoolExecutor(threads) as pool:
        ledger = manifest.read_ledger(output_dir)

        def link(path: str) -> manifest.Entry:
            place = output_dir / os.path.basename(path)
            known = ledger.get(place.name)
            if known is None or not _is_unchanged(place, path, known):
                check_sample(path, shape)
                _link(place, path)
                with files.os_errors_as_input_errors(Path(path)):
                    known = manifest.entry(place)
                manifest.append_to_ledger(output_dir, [known])
            return known

        entries = list(pool.map(link, paths))
        manifest.write(output_dir / manifest.MANIFEST, entries)
    log.info("%s: linked %d files", output_dir, len(entries))


def _is_unchanged(link: Path, path: str, known: manifest.Entry) -> bool:
    """Return whether the file has been linked here, and has still the size, and no change after that."""
    with files.os_errors_as_input_errors(Path(path)):
        return (
            link.is_symlink()
            and os.readlink(link) == path
            and manifest.is_in_place(link.parent, known)
            and max(os.stat(path).st_mtime_ns, os.stat(path).st_ctime_ns) < link.lstat().st_mtime_ns
        )


def _link(link: Path, path: str) -> None:
    with files.os_errors_as_input_errors(link):
        link.unlink(missing_ok=True)
        link.symlink_to(path)
