"""The domain: what a CAM5 climate sample is, how it is named, and how the archive lays it out.

Source: the MLPerf HPC DeepCAM dataset (CAM5 All-Hist simulations) at NERSC.
"""

from __future__ import annotations

import datetime
import re

from deepcam.errors import InputError

NERSC_URL = "https://portal.nersc.gov/project/dasrepo/deepcam/climate-data/All-Hist"

SAMPLES_IN_ARCHIVE = {"train": 121266, "validation": 15158}
"""Samples of each split at NERSC."""

HEIGHT = 768
WIDTH = 1152

CHANNELS = (
    "TMQ", "U850", "V850", "UBOT", "VBOT", "QREFHT", "PS", "PSL",
    "T200", "T500", "PRECT", "TS", "TREFHT", "Z1000", "Z200", "ZBOT",
)  # fmt: skip
"""Channel names in the order of the last axis of `climate/data`."""

MODEL_CHANNELS = (0, 1, 2, 10)
"""Channels that the inference benchmark uses: TMQ, U850, V850, PRECT."""

CLASSES = ("background", "tropical cyclone", "atmospheric river")

DATA = "climate/data"
LABELS = ("climate/labels_0", "climate/labels_1")
"""HDF5 datasets: data (H, W, 16) float32, and two label planes (H, W)."""

FILE_NAME = re.compile(r"data-[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]\.h5")
"""data-YYYY-MM-DD-HH-n.h5"""


def splits(split: str) -> list[str]:
    """The splits that a configured `split` means: itself, or for 'all' every one."""
    return sorted(SAMPLES_IN_ARCHIVE) if split == "all" else [split]


def sample_count(source: str, split: str, num_files: int | str) -> int:
    """How many samples `num_files` means; 'all' is what the archive at NERSC has, of which a URL is a mirror.

    Raises InputError for 'all' synthetic samples, and for more samples than NERSC has.
    """
    available = sum(SAMPLES_IN_ARCHIVE[each] for each in splits(split))
    if num_files == "all":
        if source == "synthetic":
            raise InputError("data.num_files: all means the archive's; give the number of synthetic samples")
        return available
    count = int(num_files)
    if source == "nersc" and count > available:
        raise InputError(f"data.num_files: {count} is more than the {available} samples of data.split: {split}")
    return count


def synthetic_names(count: int) -> list[str]:
    """Names of `count` synthetic samples in the archive's pattern, three hours apart, in sorted order."""
    start = datetime.datetime(1996, 6, 1)
    times = (start + datetime.timedelta(hours=3 * i) for i in range(count))
    return [f"{time:data-%Y-%m-%d-%H}-0.h5" for time in times]


def npy_names(hdf5_name: str) -> tuple[str, str]:
    """The data and label npy names of one HDF5 file: data-X.h5 or X.h5 -> (data-X.npy, label-X.npy)."""
    data_name = f"data-{hdf5_name.removesuffix('.h5').removeprefix('data-')}.npy"
    return data_name, label_name(data_name)


def label_name(data_name: str) -> str:
    """The name of the label file that belongs to a data file: data-X.npy -> label-X.npy."""
    return f"label-{data_name.removeprefix('data-')}"
