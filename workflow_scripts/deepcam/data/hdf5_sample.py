"""HDF5 samples: how one is opened, which layouts are accepted, and what is told of a file that cannot be used."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from deepcam.climate import CHANNELS, DATA, LABELS
from deepcam.data.npy import require_regular_file
from deepcam.errors import InputError


class DamagedSample(InputError):
    """The file itself is damaged, or is no sample. Any other InputError of this module is about the environment."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(f"{path}: {problem}: delete it and run again")
        self.problem = problem


@contextlib.contextmanager
def open_sample(path: Path | str, shape: tuple[int, int] | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 sample and check its layout: data (H, W, 16) of floats and two label planes (H, W).

    `shape` is the expected (H, W), if there is one. Raises DamagedSample naming the file if it is truncated, not HDF5,
    or has another layout, and InputError if it cannot be read here and now.
    """
    require_regular_file(Path(path))
    try:
        # A shard folder has a lock of its own, and not every file system supports the one of HDF5.
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise _refusal(path, error) from error
    with file:
        try:
            problem = _layout_problem(file, shape)
            missing = "" if problem else _missing_filter(file)
        except (OSError, RuntimeError, KeyError) as error:  # h5py raises these for damaged metadata
            raise _refusal(path, error) from error
        except (TypeError, ValueError) as error:  # and these for types such as time and quadruple precision
            problem, missing = f"it has a type that NumPy does not have ({_one_line(error)})", ""
        if problem:
            raise DamagedSample(path, f"not a DeepCAM sample, {problem}")
        if missing:
            raise InputError(f"{path}: {missing}: install it, set HDF5_PLUGIN_PATH and run again")
        yield file


def is_contiguous_float32(dataset: h5py.Dataset) -> bool:
    """Return whether the dataset is stored like the data of an npy file: plain little-endian float32."""
    properties = dataset.id.get_create_plist()
    return (
        properties.get_layout() == h5py.h5d.CONTIGUOUS
        and properties.get_nfilters() == 0
        and properties.get_external_count() == 0
        and dataset.id.get_offset() is not None
        # NumPy's view of the type is not enough: it shows floats of other layouts as the next larger type of its own.
        and dataset.id.get_type().equal(h5py.h5t.IEEE_F32LE)
        and dataset.id.get_storage_size() == dataset.nbytes
    )


def read_data(file: h5py.File, path: Path) -> np.ndarray:
    """Read the data as native float32. Another byte order changes no value, float64 is rounded."""
    with np.errstate(over="ignore"):  # a value out of float32's range becomes infinite, which is found later
        return _read(file[DATA], path).astype(np.float32, copy=False)


def read_labels(file: h5py.File, path: Path) -> np.ndarray:
    """Read both label planes as (H, W, 2)."""
    return np.stack([_read(file[name], path) for name in LABELS], axis=-1)


def _read(dataset: h5py.Dataset, path: Path) -> np.ndarray:
    try:
        return dataset[...]
    except (OSError, RuntimeError) as error:
        raise _refusal(path, error) from error
    except MemoryError as error:
        raise InputError(f"{path}: {dataset.name} does not fit into memory: use fewer threads") from error


def _refusal(path: Path | str, error: Exception) -> InputError:
    """Return what to tell of an error of HDF5. Only errors of the operating system have a number."""
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"{path}: cannot be read ({os.strerror(error.errno)}): correct that and run again")
    reason = _one_line(error)
    if "already open for write" in reason:
        return InputError(
            f"{path}: is being written by another process, or its writer was killed: wait for it, or run h5clear -s"
        )
    return DamagedSample(path, f"not a complete HDF5 file ({reason})")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _layout_problem(file: h5py.File, shape: tuple[int, int] | None) -> str:
    """Return what is wrong with the layout, in a few words, or an empty text if nothing is."""
    for name in (DATA, *LABELS):
        if problem := _place_problem(file, name):
            return problem
    data = file[DATA]
    if data.ndim != 3 or data.shape[2] != len(CHANNELS) or 0 in data.shape:
        return f"{DATA} has shape {data.shape}, not (H, W, {len(CHANNELS)})"
    if shape and data.shape[:2] != tuple(shape):
        return f"{DATA} has shape {data.shape}, not {(*shape, len(CHANNELS))}"
    if data.dtype.kind != "f" or data.dtype.itemsize not in (4, 8):
        return f"{DATA} is {data.dtype}, not float32 or float64"
    if data.id.get_storage_size() == 0:
        return f"the values of {DATA} were never written"
    for name in LABELS:
        if file[name].shape != data.shape[:2]:
            return f"{name} has shape {file[name].shape}, not {data.shape[:2]}"
        if file[name].dtype.kind not in "fiu" or file[name].dtype != file[LABELS[0]].dtype:
            return f"{name} is {file[name].dtype}, {LABELS[0]} is {file[LABELS[0]].dtype}, not one type of numbers"
    return ""


def _place_problem(file: h5py.File, name: str) -> str:
    """Return that the dataset is missing, or that its values lie in another file; an empty text if neither is so.

    The other file is not opened, because a file from elsewhere must not read other files of this machine.
    """
    place = file
    for part in name.split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None:
            return f"no dataset {name}"
        if not isinstance(link, h5py.HardLink):
            return f"{name} lies in another file or place"
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        return f"no dataset {name}"
    return f"{name} lies in another file" if place.external or place.is_virtual else ""


def _missing_filter(file: h5py.File) -> str:
    """Return which compression filter is not installed, in a few words, or an empty text if none is missing."""
    for name in (DATA, *LABELS):
        properties = file[name].id.get_create_plist()
        for i in range(properties.get_nfilters()):
            number, _, _, title = properties.get_filter(i)
            if not h5py.h5z.filter_avail(number):
                known = f" ({title.decode(errors='replace')})" if title.isalnum() else ""
                return f"{name} is compressed with the HDF5 filter {number}{known}, which is not installed here"
    return ""
