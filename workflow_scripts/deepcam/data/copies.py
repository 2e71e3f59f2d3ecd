"""Copies of a dataset's samples at another place, shard by shard. The labels stay at the first place.

A benchmark reads data files only. Labels are for the accuracy of engines, which is checked at the first place.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from deepcam import files
from deepcam.data import manifest, progress
from deepcam.data.dataset import Dataset, Sample, read_description
from deepcam.errors import InputError

log = logging.getLogger(__name__)


def copy_shard(dataset: Path, shard: int, files_per_shard: int, output_dir: Path, threads: int) -> None:
    """Copy the samples of a shard of the dataset that `dataset` describes, then write the manifest of the copies.

    Each copy is read back, and its SHA-256 is compared with that of the original. Copies that are known from an earlier
    job are kept if they are still those of the samples. Raises InputError for a copy with another hash, for a full
    disk, and for a folder that holds the originals.
    """
    samples = read_description(dataset).samples[shard * files_per_shard : (shard + 1) * files_per_shard]
    _require_other_folder(samples, output_dir)
    with manifest.exclusive_folder(output_dir, [sample.data.name for sample in samples]):
        ledger = manifest.read_ledger(output_dir)
        copies = {sample: entry for sample in samples if (entry := _copied(sample, output_dir, ledger))}
        missing = [sample for sample in samples if sample not in copies]
        files.require_space(output_dir, sum(sample.bytes for sample in missing))

        def copy(sample: Sample) -> None:
            copies[sample] = _copy(sample, output_dir)
            manifest.append_to_ledger(output_dir, [copies[sample]])

        progress.for_each("copies", copy, missing, threads)
        manifest.write(output_dir / manifest.MANIFEST, [copies[sample] for sample in samples])
    log.info("%s: copied %d of %d samples", output_dir, len(missing), len(samples))


def describe(dataset: Path, npy_dir: Path, shards: int, root: Path) -> Dataset:
    """Describe the copies in these shards like the originals, with paths that are relative to `root`.

    Raises InputError if a copy is missing, or if there are not as many as originals.
    """
    original = read_description(dataset)
    found = [
        (folder / entry.name, entry)
        for folder in manifest.shard_folders(npy_dir, shards)
        for entry in manifest.read_complete(folder / manifest.MANIFEST)
    ]
    if [path.name for path, _ in found] != [path.name for path in original.files]:
        raise InputError(f"{npy_dir}: its manifests do not list the samples of {dataset}: delete them and run again")
    samples = tuple(
        Sample(
            data=Path(os.path.relpath(path, root)),
            label=Path(os.path.abspath(sample.label)),
            bytes=entry.bytes,
            sha256=entry.sha256,
        )
        for sample, (path, entry) in zip(original.samples, found, strict=True)
    )
    return original.model_copy(update={"samples": samples})


def _require_other_folder(samples: Sequence[Sample], output_dir: Path) -> None:
    """Raise InputError if the copies would replace their originals: two mounts may show one folder."""
    for sample in samples:
        with files.os_errors_as_input_errors(sample.data):
            if output_dir.exists() and os.path.samefile(sample.data.parent, output_dir):
                raise InputError(f"{output_dir}: the same folder as {sample.data.parent}: give each place its own")


def _copied(sample: Sample, output_dir: Path, ledger: dict[str, manifest.Entry]) -> manifest.Entry | None:
    """The entry of a copy that is in place. Where the original has no hash, it must be older than the copy."""
    entry = ledger.get(sample.data.name)
    if entry is None or entry.bytes != sample.bytes or not manifest.is_in_place(output_dir, entry):
        return None
    if sample.sha256 is not None:
        return entry if entry.sha256 == sample.sha256 else None
    with files.os_errors_as_input_errors(sample.data):
        status = sample.data.stat()
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    return entry if changed < (output_dir / entry.name).stat().st_mtime_ns else None


def _copy(sample: Sample, output_dir: Path) -> manifest.Entry:
    """Copy a sample, flush it to storage, and return its entry."""
    with files.os_errors_as_input_errors(sample.data), files.atomic_path(output_dir / sample.data.name) as temporary:
        shutil.copyfile(sample.data, temporary)
        copied = dataclasses.replace(manifest.entry(temporary), name=sample.data.name)
        if copied.sha256 != (sample.sha256 or files.sha256(sample.data)):
            raise InputError(
                f"{output_dir / sample.data.name}: the copy's SHA-256 is not that of {sample.data}: check the original "
                "with `snakemake verify`, and run again"
            )
    return copied
