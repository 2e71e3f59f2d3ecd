"""The npy files of samples: which headers all readers understand, and how such a file is opened and loaded."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcam import files
from deepcam.errors import InputError

USUAL_HEADER, LONGEST_HEADER = 128, 4096
"""Bytes. NumPy fills up 64 bytes. Others fill a block, so that direct reads of the data begin at a block boundary."""

TYPE = rb"[<>]f(?:2|4|8|16)|[<>][iu][248]|\|[iu]1"
LENGTH = rb"([1-9]\d{0,8})"
HEADER = re.compile(
    rb"\{'descr': '(%b)', 'fortran_order': False, 'shape': \(%b, %b, %b\), \} *\n" % (TYPE, LENGTH, LENGTH, LENGTH)
)
"""The text that np.save writes for an array (H, W, C) of numbers in C order. Only the number of spaces at the end
varies: NumPy before 1.14 filled up 16 bytes, later versions 64, others 4096. DALI reads no other text, and a text that
is not evaluated cannot do harm."""

PREFIX = b"\x93NUMPY\x01\x00"
"""The first bytes of an npy file of format version 1. The length of the text follows in two bytes, little-endian."""


@dataclass(frozen=True)
class Header:
    """The header of an npy file of three dimensions. The data follows it immediately."""

    content: bytes
    """All bytes of the header."""
    dtype: np.dtype
    shape: tuple[int, int, int]


def header(dtype: np.dtype, shape: Sequence[int], size: int) -> bytes:
    """The header of `size` bytes for an array of this type and shape in C order: np.save's, filled up with spaces."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    return PREFIX + (size - len(PREFIX) - 2).to_bytes(2, "little") + text.ljust(size - len(PREFIX) - 3).encode() + b"\n"


def opener(path: str, flags: int) -> int:
    """Open a file for `open`, without waiting for the writer of a FIFO that has taken the file's place."""
    return os.open(path, flags | os.O_NONBLOCK)


def require_regular_file(path: Path) -> None:
    """Raise InputError unless the path is that of a regular file: opening a FIFO could take forever."""
    with files.os_errors_as_input_errors(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: not a regular file; remove it, or replace it by a sample")


def read_header(path: Path) -> Header:
    """Read the header of a sample's data file or label file.

    Raises InputError for a file that some reader would not understand, and for one whose size contradicts its header.
    """
    require_regular_file(path)
    with files.os_errors_as_input_errors(path), open(path, "rb", buffering=0, opener=opener) as file:
        # Without read-ahead, since a file in the page cache must not distort a cold run.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        start = file.read(LONGEST_HEADER)
        size = os.fstat(file.fileno()).st_size
    length = 10 + int.from_bytes(start[8:10], "little")
    if start.startswith(PREFIX) and size < length <= LONGEST_HEADER:
        raise InputError(f"{path}: has {size} bytes and ends within its npy header: make it again")
    text = start[10:length]
    match = HEADER.fullmatch(text)
    if not start.startswith(PREFIX) or match is None:
        found = repr(text[:120].decode("latin-1").strip()) if start.startswith(PREFIX[:6]) else "missing"
        raise InputError(
            f"{path}: not an npy file that all readers understand; its header is {found}. The file needs three "
            "dimensions, C order, format version 1 and the header of np.save; write it again with np.save"
        )
    height, width, channels = map(int, match.groups()[1:])
    header = Header(start[: 10 + len(text)], np.dtype(match[1].decode()), (height, width, channels))
    expected = len(header.content) + height * width * channels * header.dtype.itemsize
    if size != expected:
        raise InputError(f"{path}: has {size} bytes, its header says {expected}: make it again")
    return header


def read_data_header(path: Path, shape: tuple[int, ...] | None = None) -> Header:
    """Read the header of a data file.

    Raises InputError like `read_header`, for any type but float32, and for another shape than `shape`, if it is given.
    """
    header = read_header(path)
    if header.dtype != np.float32:
        raise InputError(
            f"{path}: contains {header.dtype} {header.shape}, but samples are float32 (H, W, C); convert it to float32 "
            "and write it with np.save"
        )
    if shape and header.shape != tuple(shape):
        raise InputError(f"{path}: its shape is {header.shape}, not {tuple(shape)}: make it again")
    return header


def load_labels(path: Path) -> np.ndarray:
    """Load a label file. Raises InputError like `read_header`."""
    header = read_header(path)
    with files.os_errors_as_input_errors(path):
        return np.fromfile(path, header.dtype, offset=len(header.content)).reshape(header.shape)


def load(path: Path | str, shape: tuple[int, ...]) -> np.ndarray:
    """Load the data of a sample. Raises ValueError if it is not float32 of this shape, and what np.load raises."""
    with open(path, "rb", opener=opener) as file:
        array = np.load(file)
    require_sample(array, shape)
    return array


def require_sample(array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the array is float32 of this shape."""
    if array.dtype != np.float32 or array.shape != tuple(shape):
        raise ValueError(f"{array.dtype} {array.shape} instead of float32 {tuple(shape)}")
