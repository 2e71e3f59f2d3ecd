"""Convert HDF5 samples to npy: `data-*.npy` (H, W, 16) float32, and `label-*.npy` (H, W, 2) with both label planes."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Collection, Iterator
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
"""Bytes per read, if the kernel cannot copy by itself."""

NO_KERNEL_COPY = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
"""Errors by which a file system or a container's seccomp filter rejects a copy within the kernel."""


@contextlib.contextmanager
def open_sample(path: Path | str, shape: tuple[int, int] | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 sample and check its layout: data (H, W, 16) of floats and two label planes (H, W).

    `shape` is the expected (H, W), if there is one. Raises InputError naming the file if it is missing, truncated, not
    HDF5, or has another layout.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        try:
            problem = _layout_problem(file, shape)
        except (OSError, RuntimeError, KeyError) as error:  # h5py raises these for damaged metadata
            raise _unreadable(path, error) from error
        if problem:
            raise InputError(f"{path}: not a DeepCAM sample, {problem}: delete it and run again")
        yield file


def convert_file(hdf5_path: Path, output_dir: Path) -> list[manifest.Entry]:
    """Convert one HDF5 sample and return the entries of its data file and its label file. Both are flushed to storage.

    Raises InputError naming the HDF5 file if it cannot be read or has another layout.
    """
    data, label = (output_dir / name for name in npy_names(hdf5_path.name))
    with open_sample(hdf5_path) as file:
        return [
            _write(data, partial(_write_data, file, hdf5_path)),
            _write(label, lambda npy: np.lib.format.write_array(npy, _read_labels(file, hdf5_path), (1, 0))),
        ]


def convert_shard(hdf5_manifest: Path, output_dir: Path, threads: int, keep_hdf5: bool = True) -> None:
    """Convert the files of one HDF5 shard and then write the manifest of the npy shard.

    Files that were made from an HDF5 file with the same SHA-256 are kept. Unless `keep_hdf5` is true, each HDF5 file is
    removed after its npy files have been read back and compared with it. `threads` is the number of busy threads.
    Raises InputError for an incomplete HDF5 shard, a bad file, a full disk, or less than one thread.
    """
    if threads < 1:
        raise InputError(f"--threads {threads}: must be at least 1")
    folder, sources = hdf5_manifest.parent, manifest.read(hdf5_manifest)
    # The ledger has entries of the HDF5 files, too.
    names = [name for source in sources for name in (source.name, *npy_names(source.name))]
    # Twice as many threads, because about half of them wait for files to be flushed.
    with manifest.exclusive_folder(output_dir, names), ThreadPoolExecutor(2 * threads) as pool:
        ledger = manifest.read_ledger(output_dir)
        pairs = {source.name: _finished_pair(output_dir, source, ledger) for source in sources}
        missing = [source for source in sources if not pairs[source.name]]
        manifest.check_in_place(hdf5_manifest, missing)
        files.require_space(output_dir, sum(source.bytes for source in missing))

        def convert(source: manifest.Entry) -> None:
            pairs[source.name] = convert_file(folder / source.name, output_dir)
            manifest.append_to_ledger(output_dir, [source, *pairs[source.name]])

        list(pool.map(convert, missing))
        manifest.write(output_dir / manifest.MANIFEST, [entry for pair in pairs.values() for entry in pair])
        if not keep_hdf5:
            present = [folder / source.name for source in sources if (folder / source.name).exists()]
            list(pool.map(partial(_remove_converted, output_dir=output_dir), present))
    log.info("%s: converted %d of %d samples", output_dir, len(missing), len(sources))


def converted(npy_dir: Path, sources: Collection[manifest.Entry]) -> set[manifest.Entry]:
    """Return those of the HDF5 files whose npy files are both in place, in `npy_dir` or in another shard beside it."""
    found = set()
    for folder in [npy_dir, *manifest.shards_beside(npy_dir)]:
        ledger = manifest.read_ledger(folder)
        found.update(source for source in sources if _finished_pair(folder, source, ledger))
    return found


def is_contiguous_float32(dataset: h5py.Dataset) -> bool:
    """Return whether the dataset is stored like the data of an npy file: native float32, contiguous, unfiltered."""
    properties = dataset.id.get_create_plist()
    return (
        properties.get_layout() == h5py.h5d.CONTIGUOUS
        and properties.get_nfilters() == 0
        and properties.get_external_count() == 0
        and dataset.id.get_offset() is not None
        and dataset.dtype == np.float32
    )


def _finished_pair(output_dir: Path, source: manifest.Entry, ledger: dict[str, manifest.Entry]) -> list[manifest.Entry]:
    """Return the entries of the two npy files made from `source`, if both are in place; otherwise an empty list."""
    pair = [ledger[name] for name in npy_names(source.name) if name in ledger]
    if ledger.get(source.name) != source or len(pair) < 2 or manifest.not_in_place(output_dir, pair):
        return []
    return pair


def _remove_converted(hdf5_path: Path, output_dir: Path) -> None:
    """Remove an HDF5 file after checking that its npy files hold the same values, bit for bit."""
    with open_sample(hdf5_path) as file:
        arrays = [_read_data(file, hdf5_path), _read_labels(file, hdf5_path)]
    for name, array in zip(npy_names(hdf5_path.name), arrays, strict=True):
        if np.load(output_dir / name).tobytes() != array.tobytes():
            raise InputError(f"{output_dir / name}: differs from {hdf5_path}: delete it and run again")
    hdf5_path.unlink()


def _layout_problem(file: h5py.File, shape: tuple[int, int] | None) -> str:
    """Return what is wrong with the layout, in a few words, or an empty text if nothing is."""
    for name in (DATA, *LABELS):
        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            return f"no dataset {name}"
        # A file from elsewhere must not read other files of this machine.
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
    return InputError(f"{path}: not a complete HDF5 file ({reason}): delete it and run again")


def _read(dataset: h5py.Dataset, path: Path) -> np.ndarray:
    try:
        return dataset[...]
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from error


def _read_data(file: h5py.File, path: Path) -> np.ndarray:
    """Read the data as native float32. Another byte order changes no value, float64 is rounded."""
    return _read(file[DATA], path).astype(np.float32, copy=False)


def _read_labels(file: h5py.File, path: Path) -> np.ndarray:
    return np.stack([_read(file[name], path) for name in LABELS], axis=-1)


def _write(target: Path, fill: Callable[[BinaryIO], None]) -> manifest.Entry:
    """Write a file with `fill` and return its entry. It is hashed while the kernel already writes it to storage."""
    with atomic_path(target) as temporary:
        with open(temporary, "wb") as npy:
            fill(npy)
            npy.flush()
            files.start_writeback(npy.fileno())
        return manifest.Entry(target.name, temporary.stat().st_size, files.sha256(temporary))


def _write_data(file: h5py.File, path: Path, npy: BinaryIO) -> None:
    if is_contiguous_float32(file[DATA]):
        _copy_plain(file[DATA], path, npy)
    else:
        np.lib.format.write_array(npy, _read_data(file, path), (1, 0))


def _copy_plain(dataset: h5py.Dataset, path: Path, npy: BinaryIO) -> None:
    """Write the npy header, then copy the dataset's bytes within the kernel."""
    np.lib.format.write_array_header_1_0(
        npy, {"descr": dataset.dtype.str, "fortran_order": False, "shape": dataset.shape}
    )
    npy.flush()
    with open(path, "rb") as hdf5:
        _copy_range(hdf5.fileno(), npy.fileno(), dataset.id.get_offset(), dataset.nbytes, path)


def _copy_range(source: int, target: int, offset: int, count: int, path: Path) -> None:
    """Copy `count` bytes from `offset` of the source to the target's position, with the first method that works.

    Raises InputError if the source is too short.
    """
    methods = [_copy_file_range, os.sendfile, _read_and_write]
    while count:
        try:
            copied = methods[0](target, source, offset, count)
        except OSError as error:
            if error.errno not in NO_KERNEL_COPY or len(methods) == 1:
                raise
            copied = 0
        if copied == 0:
            # Some file systems copy nothing, without an error, if they do not support the call.
            del methods[0]
            if not methods:
                raise InputError(f"{path}: ends {count} bytes before its data does: delete it and run again")
        offset, count = offset + copied, count - copied


def _copy_file_range(target: int, source: int, offset: int, count: int) -> int:
    return os.copy_file_range(source, target, count, offset)


def _read_and_write(target: int, source: int, offset: int, count: int) -> int:
    return os.write(target, os.pread(source, min(count, COPY_BYTES), offset))
