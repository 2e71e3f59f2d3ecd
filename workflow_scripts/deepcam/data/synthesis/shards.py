"""Write synthetic samples as HDF5 files in the archive's layout, a shard at a time."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py

from deepcam.climate import DATA, LABELS
from deepcam.data import manifest
from deepcam.data.hdf5_sample import DamagedSample, open_sample
from deepcam.data.synthesis.samples import VERSION, sample, sample_seed
from deepcam.errors import InputError
from deepcam.files import atomic_path

log = logging.getLogger(__name__)


def write_sample(path: Path | str, seed: int, height: int, width: int) -> None:
    """Write one sample as HDF5 in the archive's layout (contiguous, unfiltered), atomically.

    The file's attributes seed, height, width and version identify its contents, see `is_sample`.
    """
    data, *labels = sample(seed, height, width)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(_attributes(seed, height, width))
        file.create_dataset(DATA, data=data)
        for name, plane in zip(LABELS, labels, strict=True):
            file.create_dataset(name, data=plane)


def is_sample(path: Path, seed: int, height: int, width: int) -> bool:
    """Return whether the file at `path` is complete and was written by `write_sample` with these arguments.

    Raises InputError if the file exists and cannot be read.
    """
    if not path.exists():
        return False
    try:
        with open_sample(path, (height, width)) as file:
            return dict(file.attrs) == _attributes(seed, height, width)
    except DamagedSample:
        return False


def synthesize_shard(
    names: list[str], first_line: int, output_dir: Path, *, seed: int, height: int, width: int, processes: int
) -> None:
    """Make the samples of one shard and then write its manifest. Files that are already right are kept.

    `first_line` is the place of the shard's first name in the whole index, so that samples do not depend on how they
    are divided into shards. Raises InputError for a shape too small to hold the events, or less than one process.
    """
    if min(height, width) < 32:
        raise InputError(f"sample shape {height} x {width}: too small to hold the events: use at least 32 x 32")
    if processes < 1:
        raise InputError(f"--processes {processes}: must be at least 1")
    with manifest.exclusive_folder(output_dir, names):
        jobs = [(output_dir / name, sample_seed(seed, first_line + i), height, width) for i, name in enumerate(names)]
        missing = [job for job in jobs if not is_sample(*job)]
        # Spawned, because a forked child inherits locks that other threads of the parent may hold.
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            list(pool.map(write_sample, *zip(*missing, strict=True)))
        manifest.write(output_dir / manifest.MANIFEST, [manifest.entry(output_dir / name) for name in names])
    log.info("%s: made %d of %d samples", output_dir, len(missing), len(names))


def _attributes(seed: int, height: int, width: int) -> dict[str, int]:
    return {"seed": seed, "height": height, "width": width, "version": VERSION}
