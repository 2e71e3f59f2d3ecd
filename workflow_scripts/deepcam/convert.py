"""HDF5 samples to npy: `data-*.npy` (H, W, 16) float32 and `label-*.npy` (H, W, 2), both planes on the last axis."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from deepcam import manifest
from deepcam.climate import CHANNELS, DATA, LABELS, InputError, npy_names
from deepcam.files import atomic_path

log = logging.getLogger(__name__)

COPY_BYTES = 8 * 2**20

NO_KERNEL_COPY = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
"""Errors with which a file system says that it cannot copy a range itself; the bytes are the same either way."""


@contextlib.contextmanager
def open_sample(path: Path | str) -> Iterator[h5py.File]:
    """Open an HDF5 sample and check its layout: data (H, W, 16) of 32-bit floats, two label planes (H, W).

    Raises InputError naming the file where it is missing, truncated, not HDF5, or laid out in another way.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        try:
            problem = _layout_problem(file)
        except (OSError, RuntimeError, KeyError) as error:  # what h5py raises for damaged metadata
            raise _unreadable(path, error) from error
        if problem:
            raise InputError(f"{path}: {problem}: it is not a DeepCAM sample: delete it and get it again")
        yield file


def convert_file(hdf5_path: Path, output_dir: Path) -> list[manifest.Entry]:
    """Convert one HDF5 sample; the entries of its data and label npy files, in this order.

    Raises InputError naming the HDF5 file where it cannot be read or is laid out in another way.
    """
    targets = [output_dir / name for name in npy_names(hdf5_path.name)]
    with open_sample(hdf5_path) as file:
        with atomic_path(targets[0]) as temporary, open(temporary, "wb") as npy:
            if is_plain(file[DATA]):
                _copy_plain(file[DATA], hdf5_path, npy)
            else:
                # Same width, native byte order: no value changes.
                np.lib.format.write_array(npy, _read(file[DATA], hdf5_path).astype(np.float32, copy=False), (1, 0))
        with atomic_path(targets[1]) as temporary, open(temporary, "wb") as npy:
            planes = [_read(file[name], hdf5_path) for name in LABELS]
            np.lib.format.write_array(npy, np.stack(planes, axis=-1), (1, 0))
    return [manifest.entry(target) for target in targets]


def convert_shard(hdf5_manifest: Path, output_dir: Path, threads: int) -> None:
    """Convert the files of one HDF5 shard, `threads` at a time, and then write the manifest.

    A pair of npy files of the right shape that is younger than its HDF5 file is kept. Raises InputError for an
    incomplete HDF5 shard, a bad file in it, or less than one thread.
    """
    if threads < 1:
        raise InputError(f"--threads {threads}: must be at least 1")
    sources = [hdf5_manifest.parent / entry.name for entry in manifest.read_complete(hdf5_manifest)]
    names = [name for source in sources for name in npy_names(source.name)]
    with manifest.filling(output_dir, names), ThreadPoolExecutor(threads) as pool:
        converted = list(pool.map(partial(_convert_or_keep, output_dir=output_dir), sources))
        entries = [entry for pair, _ in converted for entry in pair]
        manifest.write(output_dir / manifest.MANIFEST, entries)
    log.info("%s: converted %d of %d samples", output_dir, sum(made for _, made in converted), len(sources))


def is_plain(dataset: h5py.Dataset) -> bool:
    """Whether the dataset's bytes lie in its file as an npy file of native float32 holds them."""
    properties = dataset.id.get_create_plist()
    return (
        properties.get_layout() == h5py.h5d.CONTIGUOUS
        and properties.get_nfilters() == 0
        and properties.get_external_count() == 0
        and dataset.id.get_offset() is not None
        and dataset.dtype.isnative
    )


def _convert_or_keep(source: Path, output_dir: Path) -> tuple[list[manifest.Entry], bool]:
    """The entries of one sample's npy files, and whether they were made now."""
    targets = [output_dir / name for name in npy_names(source.name)]
    if _is_current(source, *targets):
        return [manifest.entry(target) for target in targets], False
    return convert_file(source, output_dir), True


def _is_current(source: Path, data: Path, label: Path) -> bool:
    changed = source.stat().st_mtime_ns
    if any(not path.is_file() or path.stat().st_mtime_ns <= changed for path in (data, label)):
        return False
    with open_sample(source) as file:
        shape, label_dtype = file[DATA].shape, file[LABELS[0]].dtype
    try:
        arrays = [np.load(path, mmap_mode="r") for path in (data, label)]
    except (ValueError, OSError):  # not npy, or shorter than its header says: it is made again
        return False
    return [(array.shape, array.dtype) for array in arrays] == [
        (shape, np.dtype(np.float32)),
        ((*shape[:2], len(LABELS)), label_dtype),
    ]


def _layout_problem(file: h5py.File) -> str:
    """What is wrong with the layout, in a few words; empty where all is well."""
    for name in (DATA, *LABELS):
        if not isinstance(file.get(name), h5py.Dataset):
            return f"no dataset {name}"
    data = file[DATA]
    if data.ndim != 3 or data.shape[2] != len(CHANNELS) or 0 in data.shape:
        return f"{DATA} has shape {data.shape}, not (H, W, {len(CHANNELS)})"
    if data.dtype.kind != "f" or data.dtype.itemsize != 4:
        return f"{DATA} is {data.dtype}, not float32"
    for name in LABELS:
        if file[name].shape != data.shape[:2]:
            return f"{name} has shape {file[name].shape}, not {data.shape[:2]}"
        if file[name].dtype.kind not in "fiu" or file[name].dtype != file[LABELS[0]].dtype:
            return f"{name} is {file[name].dtype}, {LABELS[0]} is {file[LABELS[0]].dtype}, not one type of numbers"
    return ""


def _unreadable(path: Path | str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(f"{path}: not a whole HDF5 file ({reason}): delete it and get it again")


def _read(dataset: h5py.Dataset, path: Path) -> np.ndarray:
    try:
        return dataset[...]
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from error


def _copy_plain(dataset: h5py.Dataset, path: Path, npy: BinaryIO) -> None:
    """Write the npy header, then let the kernel copy the dataset's bytes."""
    np.lib.format.write_array_header_1_0(
        npy, {"descr": dataset.dtype.str, "fortran_order": False, "shape": dataset.shape}
    )
    npy.flush()
    with open(path, "rb") as hdf5:
        _copy_range(hdf5, npy, dataset.id.get_offset(), dataset.nbytes, path)


def _copy_range(source: BinaryIO, target: BinaryIO, offset: int, count: int, path: Path) -> None:
    """Copy `count` bytes from `offset` of the source to the end of the target; InputError if the source is short."""
    kernel = True
    place = target.tell()
    while count:
        if kernel:
            try:
                copied = os.copy_file_range(source.fileno(), target.fileno(), count, offset, place)
            except OSError as error:
                if error.errno not in NO_KERNEL_COPY:
                    raise
                kernel = False
                continue
        else:
            copied = os.pwrite(target.fileno(), os.pread(source.fileno(), min(count, COPY_BYTES), offset), place)
        if copied == 0:
            raise InputError(f"{path}: ends {count} bytes before its data does: delete it and get it again")
        offset, place, count = offset + copied, place + copied, count - copied
