"""HDF5 samples to npy: `data-*.npy` (H, W, 16) float32 and `label-*.npy` (H, W, 2), both planes on the last axis."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from deepcam import files
from deepcam.climate import CHANNELS, DATA, LABELS, npy_names
from deepcam.data import manifest
from deepcam.errors import InputError
from deepcam.files import atomic_path

log = logging.getLogger(__name__)

COPY_BYTES = 8 * 2**20

NO_KERNEL_COPY = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
"""Errors with which a file system, or a container's filter, says that a copy within the kernel is not to be had."""


@contextlib.contextmanager
def open_sample(path: Path | str, shape: tuple[int, int] | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 sample and check its layout: data (H, W, 16) of floats, two label planes (H, W), `shape` being H, W.

    Raises InputError naming the file where it is missing, truncated, not HDF5, or laid out in another way.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        try:
            problem = _layout_problem(file, shape)
        except (OSError, RuntimeError, KeyError) as error:  # what h5py raises for damaged metadata
            raise _unreadable(path, error) from error
        if problem:
            raise InputError(f"{path}: {problem}: it is not a DeepCAM sample: delete it and get it again")
        yield file


def convert_file(hdf5_path: Path, output_dir: Path) -> list[manifest.Entry]:
    """Convert one HDF5 sample; the entries of its data and label npy files, in this order, flushed to storage.

    Raises InputError naming the HDF5 file where it cannot be read or is laid out in another way.
    """
    data, label = (output_dir / name for name in npy_names(hdf5_path.name))
    with open_sample(hdf5_path) as file:
        return [
            _write(data, partial(_write_data, file, hdf5_path)),
            _write(label, lambda npy: np.lib.format.write_array(npy, _read_labels(file, hdf5_path), (1, 0))),
        ]


def convert_shard(hdf5_manifest: Path, output_dir: Path, threads: int, keep_hdf5: bool = True) -> None:
    """Convert the files of one HDF5 shard, `threads` at work at a time, and then write the manifest.

    What was already made from an HDF5 file with the same SHA-256 is kept. Without `keep_hdf5` the HDF5 files are
    removed once their npy files have been read back and hold the same. Raises InputError for an incomplete HDF5
    shard, a bad file in it, a full disk, or less than one thread.
    """
    if threads < 1:
        raise InputError(f"--threads {threads}: must be at least 1")
    folder, sources = hdf5_manifest.parent, manifest.read(hdf5_manifest)
    names = [name for source in sources for name in npy_names(source.name)]
    # Twice as many: half of them wait for storage, where files are flushed.
    with manifest.filling(output_dir, names), ThreadPoolExecutor(2 * threads) as pool:
        ledger = manifest.read_ledger(output_dir)
        pairs = {source.name: _kept(output_dir, source, ledger) for source in sources}
        missing = [source for source in sources if not pairs[source.name]]
        manifest.require(hdf5_manifest, missing)
        files.require_space(output_dir, sum(source.bytes for source in missing))

        def convert(source: manifest.Entry) -> None:
            pairs[source.name] = convert_file(folder / source.name, output_dir)
            manifest.record(output_dir, [source, *pairs[source.name]])

        list(pool.map(convert, missing))
        manifest.write(output_dir / manifest.MANIFEST, [entry for pair in pairs.values() for entry in pair])
        if not keep_hdf5:
            present = [folder / source.name for source in sources if (folder / source.name).exists()]
            list(pool.map(partial(_remove_converted, output_dir=output_dir), present))
    log.info("%s: converted %d of %d samples", output_dir, len(missing), len(sources))


def converted(output_dir: Path, source: manifest.Entry) -> bool:
    """Whether both npy files that were made from this HDF5 file are in place."""
    return bool(_kept(output_dir, source, manifest.read_ledger(output_dir)))


def is_plain(dataset: h5py.Dataset) -> bool:
    """Whether the dataset's bytes lie in its file as an npy file of native float32 holds them."""
    properties = dataset.id.get_create_plist()
    return (
        properties.get_layout() == h5py.h5d.CONTIGUOUS
        and properties.get_nfilters() == 0
        and properties.get_external_count() == 0
        and dataset.id.get_offset() is not None
        and dataset.dtype == np.float32
    )


def _kept(output_dir: Path, source: manifest.Entry, ledger: dict[str, manifest.Entry]) -> list[manifest.Entry]:
    """The entries of the npy files in place that were made from `source`, as the ledger says; else none."""
    pair = [ledger[name] for name in npy_names(source.name) if name in ledger]
    if ledger.get(source.name) != source or len(pair) < 2 or manifest.outdated(output_dir, pair):
        return []
    return pair


def _remove_converted(hdf5_path: Path, output_dir: Path) -> None:
    """Remove an HDF5 file after its npy files, read back, hold its values bit for bit."""
    with open_sample(hdf5_path) as file:
        arrays = [_read_data(file, hdf5_path), _read_labels(file, hdf5_path)]
    for name, array in zip(npy_names(hdf5_path.name), arrays, strict=True):
        if np.load(output_dir / name).tobytes() != array.tobytes():
            raise InputError(f"{output_dir / name}: differs from {hdf5_path}: delete it and run again")
    hdf5_path.unlink()


def _layout_problem(file: h5py.File, shape: tuple[int, int] | None) -> str:
    """What is wrong with the layout, in a few words; empty where all is well."""
    for name in (DATA, *LABELS):
        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            return f"no dataset {name}"
        # An untrusted file must not bring in others of this machine.
        if dataset.file != file or dataset.external or dataset.is_virtual:
            return f"{name} lies in another file"
    data = file[DATA]
    if data.ndim != 3 or data.shape[2] != len(CHANNELS) or 0 in data.shape:
        return f"{DATA} has shape {data.shape}, not (H, W, {len(CHANNELS)})"
    if shape and data.shape[:2] != tuple(shape):
        return f"{DATA} has shape {data.shape}, not {(*shape, len(CHANNELS))}"
    if data.dtype.kind != "f" or data.dtype.itemsize not in (4, 8):
        return f"{DATA} is {data.dtype}, not float32 or float64"
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


def _read_data(file: h5py.File, path: Path) -> np.ndarray:
    """The data as native float32: of other byte order, no value changes; float64 is rounded."""
    return _read(file[DATA], path).astype(np.float32, copy=False)


def _read_labels(file: h5py.File, path: Path) -> np.ndarray:
    return np.stack([_read(file[name], path) for name in LABELS], axis=-1)


def _write(target: Path, fill: Callable[[BinaryIO], None]) -> manifest.Entry:
    """Make a file with `fill` and read it back for its entry, while the kernel already writes it to storage."""
    with atomic_path(target) as temporary:
        with open(temporary, "wb") as npy:
            fill(npy)
            npy.flush()
            files.begin_flush(npy.fileno())
        return manifest.Entry(target.name, temporary.stat().st_size, files.sha256(temporary))


def _write_data(file: h5py.File, path: Path, npy: BinaryIO) -> None:
    if is_plain(file[DATA]):
        _copy_plain(file[DATA], path, npy)
    else:
        np.lib.format.write_array(npy, _read_data(file, path), (1, 0))


def _copy_plain(dataset: h5py.Dataset, path: Path, npy: BinaryIO) -> None:
    """Write the npy header, then let the kernel copy the dataset's bytes."""
    np.lib.format.write_array_header_1_0(
        npy, {"descr": dataset.dtype.str, "fortran_order": False, "shape": dataset.shape}
    )
    npy.flush()
    with open(path, "rb") as hdf5:
        _copy_range(hdf5.fileno(), npy.fileno(), dataset.id.get_offset(), dataset.nbytes, path)


def _copy_range(source: int, target: int, offset: int, count: int, path: Path) -> None:
    """Copy `count` bytes from `offset` of the source to the target's position, by the first way that works there.

    Raises InputError if the source is short.
    """
    ways = [_copy_file_range, os.sendfile, _read_and_write]
    while count:
        try:
            copied = ways[0](target, source, offset, count)
        except OSError as error:
            if error.errno not in NO_KERNEL_COPY or len(ways) == 1:
                raise
            copied = 0
        if copied == 0:
            # Some file systems answer a copy that they cannot make with nothing copied.
            del ways[0]
            if not ways:
                raise InputError(f"{path}: ends {count} bytes before its data does: delete it and get it again")
        offset, count = offset + copied, count - copied


def _copy_file_range(target: int, source: int, offset: int, count: int) -> int:
    return os.copy_file_range(source, target, count, offset)


def _read_and_write(target: int, source: int, offset: int, count: int) -> int:
    return os.write(target, os.pread(source, min(count, COPY_BYTES), offset))
