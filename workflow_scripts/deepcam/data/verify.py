"""Compare the files on disk with their manifests, and remove wrong ones so that the next run repairs them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from deepcam import files
from deepcam.data import convert, manifest
from deepcam.data.dataset import read_description
from deepcam.errors import InputError

log = logging.getLogger(__name__)


def verify(dataset: Path, hdf5_dir: Path, npy_dir: Path, shards: int, threads: int, keep_hdf5: bool = True) -> None:
    """Hash every file of all shards and compare it with the manifests. HDF5 files are skipped unless they are kept.

    HDF5 files that were removed when they were converted, because they were not to be kept then, are not missed.
    Each wrong file is logged and removed, together with the manifests of its shard and dataset.json, so that the next
    run makes exactly that file again. Raises InputError if any file was wrong.
    """
    wrong, checked = [], 0
    with ThreadPoolExecutor(threads) as pool:
        folders = (manifest.shard_folders(parent, shards) for parent in (hdf5_dir, npy_dir))
        for hdf5, npy in zip(*folders, strict=True):
            for folder in [hdf5, npy] if keep_hdf5 else [npy]:
                entries = manifest.read(folder / manifest.MANIFEST)
                if folder == hdf5:
                    removed = convert.converted(npy, [entry for entry in entries if not (hdf5 / entry.name).exists()])
                    entries = [entry for entry in entries if entry not in removed]
                problems = pool.map(partial(_problem, folder), entries)
                found = [(folder / entry.name, what) for entry, what in zip(entries, problems, strict=True) if what]
                for path, what in found:
                    log.error("%s: %s", path, what)
                wrong += [(path, hdf5, npy) for path, _ in found]
                checked += len(entries)
    for path, hdf5, npy in wrong:
        _remove(path, [dataset, npy / manifest.MANIFEST])
        # What is converted again needs its HDF5 file.
        claims = hdf5 / manifest.MANIFEST
        if claims.exists() and (path.parent == hdf5 or manifest.not_in_place(hdf5, manifest.read(claims))):
            claims.unlink()
    if wrong:
        first = wrong[0][0]
        raise InputError(
            f"{len(wrong)} of {checked} files were damaged or missing, the first {first}: repair with `snakemake data`"
        )
    log.info("%s: all %d files agree with their manifests", npy_dir.parent, checked)


def verify_copies(datasets: Sequence[Path], threads: int) -> None:
    """Hash the copies that these descriptions list. The errors, and what becomes of wrong files, are as in `verify`."""
    for dataset in datasets:
        samples = read_description(dataset).samples
        entries = [manifest.Entry(sample.data.name, sample.bytes, sample.sha256 or "") for sample in samples]
        with ThreadPoolExecutor(threads) as pool:
            problems = list(pool.map(_problem, [sample.data.parent for sample in samples], entries))
        wrong = [(sample.data, what) for sample, what in zip(samples, problems, strict=True) if what]
        for path, what in wrong:
            log.error("%s: %s", path, what)
            _remove(path, [dataset, path.parent / manifest.MANIFEST])
        if wrong:
            raise InputError(
                f"{len(wrong)} of {len(samples)} copies were damaged or missing, the first {wrong[0][0]}: repair with "
                "`snakemake data`"
            )
        log.info("%s: all %d copies agree with their hashes", dataset.parent, len(samples))


def _remove(path: Path, made_from_it: Sequence[Path]) -> None:
    """Remove a wrong file and what was made from it: Snakemake makes it again only if that is missing too."""
    path.unlink(missing_ok=True)
    manifest.forget(path)
    for outdated in made_from_it:
        outdated.unlink(missing_ok=True)


def _problem(folder: Path, entry: manifest.Entry) -> str:
    """Return what is wrong with a file, in a few words, or an empty text if nothing is."""
    path = folder / entry.name
    # An error of the environment says nothing about the file, which must stay.
    with files.os_errors_as_input_errors(path):
        if not path.is_file():
            return "missing"
        if path.stat().st_size != entry.bytes:
            return f"has {path.stat().st_size} bytes, not {entry.bytes}"
        return "" if files.sha256(path) == entry.sha256 else "its SHA-256 differs from the manifest's"
