"""Samples as a site may have them, made by other tools than this project, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

SHAPE = (32, 48)


def hdf5(path: Path, shape: Sequence[int] = SHAPE, channels: int = 16, **options: object) -> Path:
    """Write a sample as HDF5. `options` are those of h5py's create_dataset, such as compression."""
    values = np.random.default_rng(len(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("climate/data", data=values.random((*shape, channels), np.float32), **options)
        for name in ("labels_0", "labels_1"):
            file[f"climate/{name}"] = values.integers(0, 3, shape)
    return path


def npy(path: Path, shape: Sequence[int] = SHAPE, channels: int = 16, labels: bool = True) -> Path:
    """Write a sample as data-X.npy and, unless they are left out, its labels as label-X.npy."""
    values = np.random.default_rng(len(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values.random((*shape, channels), np.float32))
    if labels:
        np.save(path.with_name(path.name.replace("data-", "label-", 1)), values.integers(0, 3, (*shape, 2), np.uint8))
    return path


def state(folder: Path) -> dict[Path, tuple[object, ...]]:
    """All that a run could change in a folder: contents, times, modes, and what there is."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[path] = (status.st_ino, status.st_mode, status.st_mtime_ns, status.st_ctime_ns, content)
    return found
