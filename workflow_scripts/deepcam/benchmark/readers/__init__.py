"""Readers bring samples from storage into the memory of a device. Each is a module behind one small interface.

A reader is opened for one run of one rank and closed after it:

    with open_reader(name, files, options) as reader:
        for batch in reader:
            ...

`files` are the npy files to read, in order, each (H, W, C) float32 in format version 1. A file that is listed twice is
read twice. Opening a reader reads no sample data; the first sample is read when iteration starts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import importlib
import importlib.metadata
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from deepcam.data import npy
from deepcam.errors import InputError
from deepcam.files import os_errors_as_input_errors
from deepcam.grid import READERS


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings of a reader. Threads are per rank, the sample shape is (H, W, C), `device` is cpu or cuda:N."""

    batch_size: int
    inter_threads: int
    intra_threads: int
    cold: bool
    sample_shape: tuple[int, int, int]
    device: str = "cpu"


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch of n samples, and their files in order, as the reader itself reports them.

    `array` is a contiguous (n, H, W, C) float32 array: of NumPy on the CPU, a torch tensor on a GPU. It is valid until
    the next batch is requested, and on a GPU for all work queued on the current stream by then. It is None if the
    reader discards the bytes.
    """

    files: list[str]
    array: Any


class Reader(Protocol):
    """The timed loop's view of a reader."""

    details: dict[str, Any]
    """Settings that the reader chose itself, for the record, such as chunk size, queue depth and O_DIRECT."""

    processes: Sequence[int]
    """Process ids of the reader's other processes, which live until `close`."""

    def __iter__(self) -> Iterator[Batch]: ...

    def close(self) -> None: ...


@contextlib.contextmanager
def open_reader(name: str, files: Sequence[Path], options: Options) -> Iterator[Reader]:
    """Open the reader `name`. Imports only what this reader needs.

    Raises InputError naming a file that is no sample of the right shape, also if it becomes so while it is read.
    """
    for path in dict.fromkeys(files):
        npy.require_regular_file(path)
    module = importlib.import_module(f"deepcam.benchmark.readers.{READERS[name].module}")
    with contextlib.closing(module.open_reader(name, files, options)) as reader:
        try:
            yield reader
        except InputError:
            raise
        except Exception:
            # Libraries tell of a bad file in many ways, and often without its name.
            for path in dict.fromkeys(files):
                npy.read_data_header(path, options.sample_shape)
            raise


def check_packages(names: Iterable[str]) -> None:
    """Raise InputError if one of these readers needs a Python package that is missing or too old."""
    modules = {READERS[name].module for name in names if name in READERS}
    for name in sorted(modules & {"dali", "kvikio"}):
        importlib.import_module(f"deepcam.benchmark.readers.{name}").check_version()


def require_release(packages: Iterable[str], oldest: tuple[int, int], missing: str, flaw: str) -> None:
    """Raise InputError if none of these packages is installed, or if one of them is older than the release `oldest`.

    `missing` says that none is installed. `flaw` says what is wrong with older releases.
    """
    found = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    if not found:
        raise InputError(missing)
    least = ".".join(map(str, oldest))
    for package, version in found.items():
        if tuple(map(int, version.split(".")[:2])) < oldest:
            raise InputError(
                f"{package} {version}: before {least}, {flaw}; install {least} or later, or change readers"
            )


def require_o_direct(path: Path, use: str, remedy: str) -> None:
    """Raise InputError, with what O_DIRECT is used for and a remedy, if the file's file system refuses it."""
    with os_errors_as_input_errors(path):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            raise InputError(
                f"{path}: its file system refuses O_DIRECT, as tmpfs does, which is needed for {use}; "
                f"move data.dir to another file system, or remove {remedy}"
            ) from None
