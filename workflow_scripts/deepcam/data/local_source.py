"""Samples that are already on this site's storage: which files `data.source` means if it is a path.

The path is that of a folder, or of a list of files. Nothing is ever written there.
"""

from __future__ import annotations

import collections
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, TypeVar

from deepcam import climate, files
from deepcam.data.manifest import SHARD_NAMES
from deepcam.errors import InputError

Kind = Literal["hdf5", "npy"]

SAMPLE = re.compile(r"data-.+\.(?:h5|npy)", re.S)
"""Names of samples in a folder."""

LISTED = re.compile(r".+\.h5|data-.+\.npy", re.S)
"""Names of samples in a list. HDF5 files may have any name there."""

ANSWER_SECONDS = 20
"""Storage that takes longer to show its first sample is reported as not answering."""

MAX_LIST_BYTES = 256 * 2**20
"""Far more than the paths of the whole archive."""

T = TypeVar("T")


def kind(source: str, split: str) -> Kind:
    """Return whether the samples of `source` are HDF5 or npy files, judged by the first one that is found.

    This is quick for a folder of any size. Raises InputError if there is no sample, or no answer in ANSWER_SECONDS.
    """

    def first() -> str | None:
        with files.os_errors_as_input_errors(Path(source)):
            folders = _folders(source, split)
            return next(itertools.chain.from_iterable(map(_in_folder, folders)) if folders else _listed(source), None)

    path = _answer(first, source)
    if path is None:
        raise InputError(
            f"data.source: {source} contains no data-*.h5 or data-*.npy file, neither directly nor in the folders "
            f"{split} or shard-*; give the folder that contains them, or a list of files"
        )
    return kind_of(path)


def kind_of(path: str) -> Kind:
    """Return the kind of a sample by its name."""
    return "hdf5" if path.endswith(".h5") else "npy"


def sample_paths(source: str, split: str, num_files: int | str) -> list[str]:
    """Return the absolute paths of the first `num_files` samples: a folder's sorted by name, a list's as listed.

    `num_files` 'all' means the number of samples that the archive has, for which the workflow has planned. Raises
    InputError like `kind`, and if there are fewer samples, both HDF5 and npy files, or two samples of one name.
    """
    wanted = kind(source, split)
    with files.os_errors_as_input_errors(Path(source)):
        folders = _folders(source, split)
        found = [path for folder in folders for path in sorted(_in_folder(folder), key=os.path.basename)]
        found = found if folders else list(_listed(source))
    if other := next((path for path in found if kind_of(path) != wanted), None):
        raise InputError(
            f"data.source: {source} has HDF5 and npy files, such as {other}: write the paths of one kind into a list, "
            "and give that"
        )
    expected = climate.sample_count(source, split, num_files)
    if len(found) < expected or (num_files == "all" and len(found) != expected):
        raise InputError(
            f"data.source: {source} has {len(found)} samples, not {expected}: set data.num_files: {len(found)}"
        )
    chosen = found[:expected]
    for path in chosen:
        if not path.isprintable():
            raise InputError(f"{path}: has characters that cannot be printed: rename it")
    (name, count), *_ = collections.Counter(
        climate.npy_names(os.path.basename(path))[0] for path in chosen
    ).most_common(1)
    if count > 1:
        raise InputError(f"data.source: {source} has {count} samples named {name.removesuffix('.npy')}: rename one")
    return chosen


def _folders(source: str, split: str) -> list[str]:
    """The folders of the splits if there are any, otherwise the folder itself; none if `source` is a list of files."""
    try:
        os.stat(source)
    except FileNotFoundError:
        raise InputError(
            f"data.source: there is no {source} on this machine: check the path, and that its storage is mounted"
        ) from None
    if not os.path.isdir(source):
        return []
    found = [f"{source}/{each}" for each in climate.splits(split)]
    return [folder for folder in found if os.path.isdir(folder)] or [source]


def _in_folder(folder: str) -> Iterator[str]:
    """The samples of a folder, or those of the shards in it if it has none itself, in the order of the file system."""
    shards, is_empty = [], True
    with os.scandir(folder) as entries:
        for entry in entries:
            if SAMPLE.fullmatch(entry.name):
                is_empty = False
                yield entry.path
            elif fnmatch(entry.name, SHARD_NAMES) and entry.is_dir():
                shards.append(entry.path)
    if is_empty:
        for shard in shards:
            yield from _in_folder(shard)


def _listed(source: str) -> Iterator[str]:
    """The files in a list. Raises InputError with the line number for one whose name is not that of a sample."""
    lines = files.read_bytes(source, MAX_LIST_BYTES).split(b"\n")
    for number, line in enumerate(map(os.fsdecode, lines), start=1):
        path = line.removesuffix("\r")
        if path and not LISTED.fullmatch(os.path.basename(path)):
            raise InputError(
                f"{source}, line {number}: {path[:80]!r} is neither *.h5 nor data-*.npy: write one file per line"
            )
        if path:
            yield os.path.join(os.path.dirname(source), path)


def _answer(ask: Callable[[], T], source: str) -> T:
    """Return what `ask` returns. Raises InputError if that takes too long: a mount may keep its callers waiting."""
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    # Not in a pool, which would wait for the thread when the process ends.
    threading.Thread(target=work, daemon=True).start()
    try:
        return answer.result(ANSWER_SECONDS)
    except TimeoutError:
        raise InputError(
            f"data.source: {source} did not answer in {ANSWER_SECONDS} s: check its mount, for example with ls"
        ) from None
