"""Datasets of npy files that belong to somebody else: described and verified where they are, and never changed."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from deepcam import files
from deepcam.climate import CHANNELS, label_name
from deepcam.data import description, npy, progress
from deepcam.data.dataset import Channel, Dataset, Sample, read_description
from deepcam.data.linked_shard import wrong_shape
from deepcam.errors import InputError

log = logging.getLogger(__name__)

SAMPLED = 64
"""Statistics are computed from this many samples, the first ones. To read all of a large dataset would take hours."""


def describe(
    paths: Sequence[str],
    source: str,
    shape: tuple[int, int],
    threads: int,
    with_labels: bool,
    statistics: Sequence[Channel] | None = None,
    allow_nonfinite: bool = False,
) -> Dataset:
    """Describe the samples whose data files these are, in this order.

    All sizes and headers are checked, but values only of the first SAMPLED samples, from which the statistics are
    computed unless the archive's own are given. Without `with_labels`, label files need not exist. Raises InputError
    naming the first file that is missing, cannot be read or is not a sample of `shape` (H, W), and for wrong values
    like `description.describe`.
    """
    usual = _data_header(paths[0], shape)

    samples = progress.for_each("samples", partial(_sample, usual, shape, with_labels), paths, threads)
    first = samples[:SAMPLED]
    with ThreadPoolExecutor(threads) as pool:
        measured = list(pool.map(partial(description.sample_statistics, with_labels=with_labels), first))
    values = [part.values for part in measured]
    description.check_values(first, values, allow_nonfinite)
    channels, class_fractions = description.combine(measured)
    if statistics is not None:
        description.check_archive(first, values, statistics)
    log.info("%s: described %d samples where they are", source, len(samples))
    return Dataset(
        source=source,
        sample_shape=usual.shape,
        num_samples=len(samples),
        total_bytes=sum(sample.bytes for sample in samples),
        samples=tuple(samples),
        statistics="archive" if statistics is not None else "computed" if len(first) == len(samples) else "sampled",
        channels=tuple(channels if statistics is None else statistics),
        class_fractions=class_fractions,
    )


def _data_header(path: str, shape: tuple[int, int]) -> npy.Header:
    header = npy.read_data_header(Path(path))
    if header.shape[2] != len(CHANNELS):
        raise InputError(f"{path}: shape {header.shape}, not {(*shape, len(CHANNELS))}: leave it out, or replace it")
    if header.shape[:2] != shape:
        raise InputError(wrong_shape(path, header.shape, shape))
    return header


def _sample(usual: npy.Header, shape: tuple[int, int], with_labels: bool, path: str) -> Sample:
    header = _data_header(path, shape)
    if header != usual:
        raise InputError(
            f"{path}: a header of {len(header.content)} bytes, but the first sample's has {len(usual.content)}: "
            "rewrite one of them with np.save"
        )
    label = Path(path).with_name(label_name(os.path.basename(path)))
    if with_labels:
        if not label.exists():
            raise InputError(
                f"{label}: there is no such file, but modes compute and inference compare masks with labels: add it, "
                "or set benchmark.modes: [io]"
            )
        found = npy.read_header(label).shape
        if found != (*shape, 2):
            raise InputError(f"{label}: shape {found}, not {(*shape, 2)}: leave the sample out, or replace it")
    size = len(header.content) + header.dtype.itemsize * shape[0] * shape[1] * len(CHANNELS)
    return Sample(data=Path(path), label=label, bytes=size, sha256=None)


def verify(dataset: Path, hashes: Path, threads: int) -> None:
    """Hash all files of a dataset that `describe` made, and compare them with the hashes of an earlier verification.

    The hash of a file that has none yet is added to the file `hashes`, in the format of sha256sum. Raises InputError if
    a file has changed or is missing. Nothing else is changed or removed.
    """
    known = _read(hashes)
    samples = read_description(dataset).samples
    labels = [sample.label for sample in samples if sample.label.exists() or str(sample.label) in known]
    paths = [*(sample.data for sample in samples), *labels]

    def problem(path: Path) -> str | None:
        with files.os_errors_as_input_errors(path):
            if not path.exists():
                return "is missing"
            found = files.sha256(path)
        if str(path) not in known:
            with files.os_errors_as_input_errors(hashes):
                files.append(hashes, f"{found}  {path}\n".encode())
            return None
        return None if known[str(path)] == found else "has changed"

    problems = progress.for_each("verification", problem, paths, threads)
    wrong = [(path, what) for path, what in zip(paths, problems, strict=True) if what]
    for path, what in wrong:
        log.error("%s: %s since its hash was written to %s", path, what, hashes)
    if wrong:
        raise InputError(
            f"{len(wrong)} of {len(paths)} files have changed or are missing since their hashes were written to "
            f"{hashes}, the first {wrong[0][0]}: restore them, or delete their lines there"
        )
    new = sum(str(path) not in known for path in paths)
    log.info("%s: %d files agree with their hashes in %s; %d were added to it", dataset, len(paths) - new, hashes, new)


def _read(hashes: Path) -> dict[str, str]:
    """The hashes in a file of sha256sum by path. An incomplete line of a killed process is skipped."""
    try:
        lines = hashes.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("  ") for line in lines)
    return {path: digest for digest, _, path in pairs if len(digest) == 64 and path}
