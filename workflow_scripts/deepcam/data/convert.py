"""Convert HDF5 samples to npy: `data-*.npy` (H, W, 16) float32, and `label-*.npy` (H, W, 2) with both label planes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from deepcam import files
from deepcam.climate import DATA, npy_names
from deepcam.data import manifest, npy, sample_values
from deepcam.data.hdf5_sample import DamagedSample, is_contiguous_float32, open_sample, read_data, read_labels
from deepcam.errors import InputError
from deepcam.files import atomic_path

log = logging.getLogger(__name__)

COPY_BYTES = 8 * 2**20
"""Bytes per read, if the kernel cannot copy by itself."""


def convert_file(hdf5_path: Path, output_dir: Path, header_bytes: int = npy.USUAL_HEADER) -> list[manifest.Entry]:
    """Convert one HDF5 sample and return the entries of its data file and its label file. Both are flushed to storage.

    The headers of both have `header_bytes`. What the values are is noted in the folder, see `sample_values`; wrong ones
    are also reported. Raises InputError naming the HDF5 file if it cannot be read or has another layout.
    """
    data_path, label_path = (output_dir / name for name in npy_names(hdf5_path.name))
    channels = sample_values.ChannelRange()
    with open_sample(hdf5_path) as file:
        data = _write(data_path, partial(_write_data, file, hdf5_path, header_bytes), channels.add_file)
        labels = read_labels(file, hdf5_path)
        label = _write(label_path, partial(_write_array, labels, header_bytes), files.sha256)
    values = channels.with_labels(sample_values.count_unknown_classes(labels))
    for problem in filter(None, (values.data_problem(), values.label_problem(), values.suspicion())):
        log.warning("%s: %s", hdf5_path, problem)
    sample_values.append(output_dir, data.sha256, label.sha256, values)
    return [data, label]


def convert_shard(
    hdf5_manifest: Path,
    output_dir: Path,
    threads: int,
    keep_hdf5: bool = True,
    header_bytes: int = npy.USUAL_HEADER,
) -> None:
    """Convert the files of one HDF5 shard and then write the manifest of the npy shard.

    Files that were made from an HDF5 file with the same SHA-256 are kept if their headers have `header_bytes`. Unless
    `keep_hdf5` is true, each HDF5 file is removed after its npy files have been read back and compared with it.
    `threads` is the number of busy threads. Raises InputError for an incomplete HDF5 shard, a bad file, a full disk,
    less than one thread, and npy files with other headers whose HDF5 file was removed.
    """
    if threads < 1:
        raise InputError(f"--threads {threads}: must be at least 1")
    folder, sources = hdf5_manifest.parent, manifest.read(hdf5_manifest)
    # The ledger has entries of the HDF5 files, too.
    names = [name for source in sources for name in (source.name, *npy_names(source.name))]
    # Twice as many threads, because about half of them wait for files to be flushed.
    with manifest.exclusive_folder(output_dir, names), ThreadPoolExecutor(2 * threads) as pool:
        ledger = manifest.read_ledger(output_dir)
        keep = partial(_pair_to_keep, output_dir, ledger, hdf5_manifest, header_bytes)
        pairs = {source.name: keep(source) for source in sources}
        missing = [source for source in sources if not pairs[source.name]]
        manifest.check_in_place(hdf5_manifest, missing)
        files.require_space(output_dir, sum(source.bytes for source in missing))

        def convert(source: manifest.Entry) -> None:
            pairs[source.name] = convert_file(folder / source.name, output_dir, header_bytes)
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


def _finished_pair(output_dir: Path, source: manifest.Entry, ledger: dict[str, manifest.Entry]) -> list[manifest.Entry]:
    """Return the entries of the two npy files made from `source`, if both are in place; otherwise an empty list."""
    pair = [ledger[name] for name in npy_names(source.name) if name in ledger]
    if ledger.get(source.name) != source or len(pair) < 2 or manifest.not_in_place(output_dir, pair):
        return []
    return pair


def _pair_to_keep(
    output_dir: Path,
    ledger: dict[str, manifest.Entry],
    hdf5_manifest: Path,
    header_bytes: int,
    source: manifest.Entry,
) -> list[manifest.Entry]:
    """Return the entries of a finished pair whose headers have this size, or an empty list if it has to be made.

    Raises InputError for headers of another size if the HDF5 file is gone.
    """
    pair = _finished_pair(output_dir, source, ledger)
    if not pair:
        return []
    found = len(npy.read_header(output_dir / pair[0].name).content)  # that of the label file has the same size
    if found == header_bytes:
        return pair
    if not manifest.is_in_place(hdf5_manifest.parent, source):
        raise InputError(
            f"{output_dir / pair[0].name}: has a header of {found} bytes instead of {header_bytes}, and its HDF5 file "
            f"was removed: set data.npy_header_bytes: {found}, or delete {output_dir} and {hdf5_manifest} and run again"
        )
    return []


def _remove_converted(hdf5_path: Path, output_dir: Path) -> None:
    """Remove an HDF5 file after checking that its npy files hold the same values, bit for bit."""
    with open_sample(hdf5_path) as file:
        arrays = [read_data(file, hdf5_path), read_labels(file, hdf5_path)]
    for name, array in zip(npy_names(hdf5_path.name), arrays, strict=True):
        if np.load(output_dir / name).tobytes() != array.tobytes():
            raise InputError(f"{output_dir / name}: differs from {hdf5_path}: delete it and run again")
    hdf5_path.unlink()


def _write(target: Path, fill: Callable[[BinaryIO], None], hash_file: Callable[[Path], str]) -> manifest.Entry:
    """Write a file with `fill` and return its entry. It is hashed while the kernel already writes it to storage."""
    with atomic_path(target) as temporary:
        with open(temporary, "wb") as file:
            fill(file)
            file.flush()
            files.start_writeback(file.fileno())
        return manifest.Entry(target.name, temporary.stat().st_size, hash_file(temporary))


def _write_data(file: h5py.File, path: Path, header_bytes: int, target: BinaryIO) -> None:
    if is_contiguous_float32(file[DATA]):
        _copy_plain(file[DATA], path, header_bytes, target)
    else:
        _write_array(read_data(file, path), header_bytes, target)


def _write_array(array: np.ndarray, header_bytes: int, target: BinaryIO) -> None:
    target.write(npy.header(array.dtype, array.shape, header_bytes))
    array.tofile(target)


def _copy_plain(dataset: h5py.Dataset, path: Path, header_bytes: int, target: BinaryIO) -> None:
    """Write the npy header, then copy the dataset's bytes within the kernel."""
    target.write(npy.header(np.dtype("<f4"), dataset.shape, header_bytes))
    target.flush()
    with open(path, "rb") as hdf5:
        _copy_range(hdf5.fileno(), target.fileno(), dataset.id.get_offset(), dataset.nbytes, path)


def _copy_range(source: int, target: int, offset: int, count: int, path: Path) -> None:
    """Copy `count` bytes from `offset` of the source to the target's position, with the first method that works.

    Raises InputError if the source is too short.
    """
    methods = [_copy_file_range, os.sendfile, _read_and_write]
    while count:
        try:
            copied = methods[0](target, source, offset, count)
        except OSError as error:
            # A copy within the kernel is refused in many ways. Whether the files are sound, the last method tells.
            if error.errno in files.FULL_DISK:
                raise
            if len(methods) == 1:
                raise OSError(error.errno, f"{error.strerror} while its data was copied from {path}") from error
            copied = 0
        if copied == 0:
            # Some file systems copy nothing, without an error, if they do not support the call.
            del methods[0]
            if not methods:
                raise DamagedSample(path, f"ends {count} bytes before its data does")
        offset, count = offset + copied, count - copied


def _copy_file_range(target: int, source: int, offset: int, count: int) -> int:
    return os.copy_file_range(source, target, count, offset)


def _read_and_write(target: int, source: int, offset: int, count: int) -> int:
    return os.write(target, os.pread(source, min(count, COPY_BYTES), offset))
