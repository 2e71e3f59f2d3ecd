"""Whether what is on disk is what the manifests say, and making room for the next run to repair it."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from deepcam import files
from deepcam.data import manifest
from deepcam.errors import InputError

log = logging.getLogger(__name__)


def verify(dataset: Path, hdf5_dir: Path, npy_dir: Path, shards: int, threads: int, keep_hdf5: bool = True) -> None:
    """Hash every file of every shard again and compare with the manifests.

    Each wrong file is named in the log and removed; so are the manifests of its shard and dataset.json, which no
    longer speak the truth: the next run then makes that file again and no other. HDF5 files are looked at only if
    they are kept. Raises InputError if any file was wrong.
    """
    wrong, checked = [], 0
    with ThreadPoolExecutor(threads) as pool:
        for hdf5, npy in ((hdf5_dir / f"shard-{i:05d}", npy_dir / f"shard-{i:05d}") for i in range(shards)):
            for folder in [hdf5, npy] if keep_hdf5 else [npy]:
                entries = manifest.read(folder / manifest.MANIFEST)
                problems = pool.map(partial(_problem, folder), entries)
                found = [(folder / entry.name, what) for entry, what in zip(entries, problems, strict=True) if what]
                for path, what in found:
                    log.error("%s: %s", path, what)
                    path.unlink(missing_ok=True)
                wrong += [(path, hdf5, npy) for path, _ in found]
                checked += len(entries)
    for path, hdf5, npy in wrong:
        # Snakemake makes a missing file again only if what is made from it is missing too.
        for claim in (dataset, npy / manifest.MANIFEST):
            claim.unlink(missing_ok=True)
        if path.parent == hdf5 or not keep_hdf5:
            (hdf5 / manifest.MANIFEST).unlink(missing_ok=True)
    if wrong:
        first = wrong[0][0]
        raise InputError(f"{len(wrong)} of {checked} files were wrong, the first {first}: repair with `snakemake data`")
    log.info("%s: all %d files are as their manifests say", npy_dir.parent, checked)


def _problem(folder: Path, entry: manifest.Entry) -> str:
    """What is wrong with a file, in a few words; empty where all is well."""
    path = folder / entry.name
    if not path.is_file():
        return "missing"
    if path.stat().st_size != entry.bytes:
        return f"has {path.stat().st_size} bytes, not {entry.bytes}"
    return "" if files.sha256(path) == entry.sha256 else "its SHA-256 is not the manifest's"
