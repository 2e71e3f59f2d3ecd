"""Readers: how samples get from storage into the memory of a device. One module each, behind one small interface.

A reader is opened for one run of one rank and closed after it:

    with open_reader(name, files, options) as reader:
        for batch in reader:
            ...

`files` are the npy files to read, in order, each (H, W, C) float32 in format version 1; a file that stands
there twice is read twice. Building the reader reads no sample data; the first sample is read when iteration starts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from deepcam.grid import READERS


@dataclasses.dataclass(frozen=True)
class Options:
    """What a cell asks of a reader. Threads are per rank; the sample shape is (H, W, C); `device` is cpu or cuda:N."""

    batch_size: int
    inter_threads: int
    intra_threads: int
    cold: bool
    sample_shape: tuple[int, int, int]
    device: str = "cpu"


@dataclasses.dataclass(frozen=True)
class Batch:
    """The files that a batch holds, in order, as the reader itself reports them, and their samples.

    `array`: (n, H, W, C) float32 on the device, contiguous, anything with `__dlpack__`. Valid until the next batch is
    asked for; on a GPU, for all work that was queued on the current stream by then. None from a reader that throws
    the bytes away.
    """

    files: list[str]
    array: Any


class Reader(Protocol):
    """What the timed loop knows of a reader."""

    details: dict[str, Any]
    """How it reads, for the record: chunk size, queue depth, O_DIRECT or not."""

    processes: Sequence[int]
    """Processes besides this one that read for it; alive from here to `close`."""

    def __iter__(self) -> Iterator[Batch]: ...

    def close(self) -> None: ...


def open_reader(name: str, files: Sequence[Path], options: Options) -> contextlib.AbstractContextManager[Reader]:
    """Build the reader `name`. Imports only what that reader needs."""
    module = importlib.import_module(f"deepcam.benchmark.readers.{READERS[name].module}")
    return contextlib.closing(module.open_reader(name, files, options))
