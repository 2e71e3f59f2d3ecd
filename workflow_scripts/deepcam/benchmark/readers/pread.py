"""The readers pread and pread-discard: threads that preadv directly into buffers, without another copy on the host.

`inter_threads * intra_threads` threads read chunks in order. A sample has `intra_threads` chunks, so about
`inter_threads` samples are in flight. If the cache is cold, files are read with O_DIRECT, past the page cache. This
takes almost no CPU time, because the device itself writes into the buffers: 5 ms for 0.45 GB in 0.19 s.

- pread reads into a ring of batch buffers. For a GPU it uploads what it has read in chunks: see `upload.py`.
- pread-discard, the read-and-discard baseline, makes the same reads into one buffer per thread and discards the bytes.
  For a GPU, these are the reads of the chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepcam.benchmark.readers import Options
from deepcam.benchmark.readers.preadv import PreadReader
from deepcam.benchmark.readers.upload import CudaCopies, DiscardReader, UploadReader
from deepcam.grid import READERS


def open_reader(name: str, files: Sequence[Path], options: Options) -> PreadReader:
    """Start threads, which wait until the iteration starts. Raises InputError if O_DIRECT is needed and refused."""
    discards = READERS[name].discards
    if options.device == "cpu":
        return PreadReader(files, options, discards)
    return DiscardReader(files, options) if discards else UploadReader(files, options, CudaCopies(options.device))
