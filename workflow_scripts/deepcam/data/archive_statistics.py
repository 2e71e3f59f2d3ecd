"""The archive's own statistics per channel: the contents of its stats.h5, for dataset.json."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

import h5py
import numpy as np
from pydantic import TypeAdapter, ValidationError

from deepcam import files
from deepcam.climate import CHANNELS
from deepcam.data import connection_slots, http_answer, http_transfer
from deepcam.data.dataset import Channel
from deepcam.errors import InputError

FIELDS = {"minimum": "minval", "maximum": "maxval", "mean": "mean", "mean_square": "sqmean"}
"""Our names, and the archive's names under `climate/`. Each is an array of 16 values in the order of the channels."""

MAX_BYTES = 2**20
"""Far more than stats.h5 has."""

_CHANNELS = TypeAdapter(list[Channel] | None)


def fetch_statistics(base_url: str) -> list[Channel] | None:
    """Return the statistics in `<base_url>/stats.h5`, or None if the source has no such file.

    Values that are not finite have not been counted in them. Raises InputError naming the URL if the server refuses
    for another reason, or if the file holds anything else.
    """
    url = f"{base_url}/stats.h5"
    try:
        with connection_slots.connections(base_url, 1), http_transfer.session(1) as connection:
            body = http_transfer.fetch_small(connection, url, MAX_BYTES)
    except http_transfer.Refused as error:
        if error.status in (404, 410):
            return None
        raise
    return _parse(body, http_answer.shown(url))


def read_local(source: str) -> list[Channel] | None:
    """Return the statistics in `<source>/stats.h5`, or None if there is no such file.

    Raises InputError if it cannot be read, or holds anything else.
    """
    path = f"{source}/stats.h5"
    return _parse(files.read_bytes(path, MAX_BYTES), path) if os.path.exists(path) else None


def _parse(body: bytes, place: str) -> list[Channel]:
    """Return the statistics in a file that came from `place`. Raises InputError if it holds anything else."""
    try:
        with h5py.File(io.BytesIO(body)) as file:
            values = {ours: _numbers(file, theirs) for ours, theirs in FIELDS.items()}
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        reason = http_answer.shown(str(error))
        raise InputError(
            f"{place}: does not hold the statistics of an archive ({reason}): check data.source"
        ) from error
    for name, numbers in values.items():
        if not (np.abs(numbers) <= np.finfo(np.float32).max).all():
            raise InputError(f"{place}: {name} is not {len(CHANNELS)} finite float32 numbers: check data.source")
    for i, channel in enumerate(CHANNELS):
        low, high = (values[name][i] for name in ("minimum", "maximum"))
        if low > high:
            raise InputError(
                f"{place}: minval {low:g} of channel {channel} is above its maxval {high:g}: check data.source"
            )
    return [
        Channel.model_validate({"name": channel} | {name: float(numbers[i]) for name, numbers in values.items()})
        for i, channel in enumerate(CHANNELS)
    ]


def _numbers(file: h5py.File, name: str) -> np.ndarray:
    """Return the values of `climate/<name>`. Nothing is read that lies elsewhere, is large, or is not a plain number.

    Raises ValueError, or an exception of h5py.
    """
    place: h5py.Group = file
    for step in ("climate", name):
        # A link can lead to any file of this machine, which is opened as soon as it is followed.
        if not isinstance(place, h5py.Group) or not isinstance(place.get(step, getlink=True), h5py.HardLink):
            raise ValueError(f"climate/{name} is not in the file itself")
        place = place[step]
    dataset = place
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise ValueError(f"climate/{name} is not a dataset that has its values in the file")
    if dataset.size != len(CHANNELS) or dataset.dtype.kind not in "fiu":
        raise ValueError(f"climate/{name} is {dataset.dtype} {dataset.shape}, not {len(CHANNELS)} numbers")
    if dataset.chunks and (dataset.id.get_create_plist().get_nfilters() or math.prod(dataset.chunks) > MAX_BYTES):
        raise ValueError(f"climate/{name} is compressed, or in large chunks")
    return np.asarray(dataset[...], float).ravel()


def write(path: Path, statistics: list[Channel] | None) -> None:
    """Write what `fetch_statistics` returned as JSON, null for None."""
    files.write_json(path, _CHANNELS.dump_python(statistics, mode="json"))


def read(path: Path) -> list[Channel] | None:
    """Read what `write` wrote. Raises InputError for any other file."""
    try:
        return _CHANNELS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: does not hold channel statistics: delete it and run again") from error
