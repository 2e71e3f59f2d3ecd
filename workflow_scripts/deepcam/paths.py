"""Where a run keeps its files, relative to its working directory. Arguments may be wildcards, such as {cell}."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePath
from typing import Literal

RESULTS = "results"

DATA = f"{RESULTS}/data"
"""The default of `data.dir`, and the place of the dataset's description in a bundle."""

CONFIG = f"{RESULTS}/config.yaml"
"""The configuration as it was used, defaults included."""

MODEL = f"{RESULTS}/model/model.pth"

RECORD_LIST = f"{RESULTS}/benchmark/records.txt"
"""The paths of all records of the grid, one per line."""

PREDICTIONS = f"{RESULTS}/predictions.npz"

TABLES = f"{RESULTS}/tables"

SUMMARY_PAGE = f"{RESULTS}/summary.html"

RESULT = f"{RESULTS}/result.json"
"""What the results page says, for programs."""

EXPLORER_PAGE = f"{RESULTS}/explorer.html"

BUNDLE = f"{RESULTS}/bundle.tar.gz"

TRAINED_MODEL = f"{RESULTS}/training/model.pth"

TRAINING_EVALUATION = f"{RESULTS}/training/evaluation.json"

TRAINED_PARTS = f"{RESULTS}/training/parts/SHA256SUMS"


def problem(path: str) -> str | None:
    """What a path must not do, or None if it means the same to Python, to Snakemake and to a shell.

    Snakemake replaces what is in {} and <>. Shells expand ~, $ and `. Programs take a leading dash for an option.
    """
    if not path.isprintable():
        return "have line breaks or other characters that cannot be printed"
    if found := sorted(set(path) & set("$`{}<>")):
        return f"have {' or '.join(found)}; write out what it stands for, or rename the folder"
    if path.startswith(("~", "-")):
        return f"begin with {path[0]}; give the path from / on"
    if "://" in path:
        return "be an address; mount the storage, and give the folder"
    if any(len(os.fsencode(name)) > 255 for name in path.split("/")):
        return "have a name of more than 255 bytes"
    return None


def plain(path: str) -> str:
    """A path without what means nothing: ./ at its start, // inside, and / at its end."""
    return str(PurePath(path))


def is_local(source: str) -> bool:
    """Whether `data.source` is a path: samples that are already on this site's storage."""
    return source.startswith("/")


def is_inside(path: str, folder: str) -> bool:
    """Whether a path is that of a folder or of something in it, by the names alone: no link is followed."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def data(folder: str, source: str, split: str) -> str:
    """The folder of a dataset: the one that `data.dir` names, or a folder in it that only this path and split have."""
    if not is_local(source):
        return folder
    return f"{folder}/local-{hashlib.sha256(f'{source}//{split}'.encode()).hexdigest()[:8]}"


def index(data: str) -> str:
    """The list of the dataset's source files. `data` is the folder of the dataset, here and below."""
    return f"{data}/index.tsv"


def statistics(data: str) -> str:
    """What the archive says about its channels."""
    return f"{data}/statistics.json"


def dataset(data: str) -> str:
    """The description of the dataset of npy files."""
    return f"{data}/dataset.json"


def hashes(data: str) -> str:
    """The hashes of npy files that belong to somebody else, as they were when they were first verified."""
    return f"{data}/hashes.sha256"


def hdf5_manifest(data: str, origin: Literal["archive", "synthetic", "local"], shard: str) -> str:
    """The manifest of a shard of HDF5 files."""
    return f"{data}/hdf5/{origin}/shard-{shard}/manifest.tsv"


def npy_manifest(data: str, shard: str) -> str:
    """The manifest of a shard of npy files."""
    return f"{data}/npy/shard-{shard}/manifest.tsv"


def engine(name: str, device: str) -> str:
    """A compiled engine."""
    return f"{RESULTS}/model/engines/{name}/{device}.pt2"


def fingerprint(name: str, device: str) -> str:
    """What an engine was compiled from, and for which machine."""
    return f"{RESULTS}/model/engines/{name}/{device}.json"


def reference(device: str) -> str:
    """The predictions that the engines of a device are compared with."""
    return f"{RESULTS}/accuracy/reference/{device}.npy"


def accuracy(engine_name: str, device: str) -> str:
    """The verdict on an engine's accuracy."""
    return f"{RESULTS}/accuracy/{engine_name}/{device}.json"


def judged_masks(engine_name: str, device: str) -> str:
    """The masks that the verdict on an engine's accuracy is about."""
    return f"{RESULTS}/accuracy/{engine_name}/{device}.npz"


def record(cell: str, start: int | str) -> str:
    """The record of one start of a cell."""
    return f"{RESULTS}/benchmark/{cell}/{start}.json"


def records_of(cell: str) -> list[Path]:
    """The records of a cell that exist, by the numbers of their starts."""
    found = Path(RESULTS, "benchmark", cell).glob("*.json")
    return sorted((path for path in found if path.stem.isdecimal()), key=lambda path: int(path.stem))


def rounds(group: str) -> str:
    """The rounds file of a group of cells: how many starts each has, and why there are no more."""
    return f"{RESULTS}/benchmark/{group}.json"


def existing_records(results: Path) -> list[Path]:
    """The records in a results folder, sorted."""
    return sorted(results.glob("benchmark/*/*.json"))


def table(file_name: str) -> str:
    """A table; `file_name` has the suffix of its format."""
    return f"{TABLES}/{file_name}"


def figure(name: str, suffix: str) -> str:
    """A figure as svg or png, or its data as csv."""
    return f"{RESULTS}/figures/{name}.{suffix}"


def time_series(cell: str, suffix: str) -> str:
    """The throughput of a cell over time as svg or png, its data as csv, or its batch intervals as histogram.csv."""
    return figure(f"time_series/{cell}", suffix)


def log(job: str) -> str:
    """The log of a job: its rule's name, followed by a wildcard per part, such as download_shard/{shard}."""
    return f"{RESULTS}/logs/{job}.log"
