"""Evidence of what a reader delivered: bytes of samples are kept when a batch is handed out, and compared afterwards.

- `TimedEvidence` is that of a timed pass: 64 bytes of each sample. Keeping them takes a few microseconds for a batch.
- `FullEvidence` is that of the pass outside the clock: blocks of each sample, some whole samples, and masks.

A reader cannot know the places that are compared. They are chosen at random, with a seed from the operating system.
What the files hold is read with pread(2), and never by the reader that is measured. A reader that discards samples has
nothing to compare, so the kernel's count of the bytes that its read calls returned takes the place of bytes.
"""

from __future__ import annotations

import abc
import collections
import hashlib
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcam.benchmark.devices import Device
from deepcam.benchmark.readers import Batch
from deepcam.data import npy
from deepcam.record.delivery_schema import Delivery, MaskComparison

MOST_SAMPLES = 1000
"""Largest number of samples of a rank and pass that are compared, chosen at random. So many samples have 57 GB, beside
which the few blocks that are compared are little to read."""

TIMED_VALUES = 16
"""Values that are kept of each sample of a timed pass: all channels at one place."""

EDGE_SHARE = 0.125
"""Share of the timed batches of which the first values are kept, and share of those of which the last are."""

BLOCK_VALUES, RANDOM_BLOCKS = 1024, 2
"""Values of a block (4 KiB), and blocks at random places. The first and the last block are always compared, too."""

WHOLE_SAMPLES, CHUNK_VALUES = 2, 2**18
"""Samples of a rank that are compared as a whole in a configuration's first start, in chunks of 1 MiB."""

MASK_SAMPLES = 64
"""Samples whose masks are compared in a configuration's first start; in others, those of one batch are."""

THREADS = 16
"""Files that are read at the same time: each read waits for storage after a cold pass."""

Engine = Callable[[Any], Any]


class Piece(NamedTuple):
    """What was kept of a sample: the hash of some values, so that whole samples take no memory."""

    number: int
    """Place of the sample in the pass."""
    file: str
    start: int
    """Place of the first byte in the sample."""
    length: int
    digest: bytes

    @classmethod
    def of(cls, number: int, file: str, start: int, values: np.ndarray) -> Piece:
        """The piece with these values of the sample, the first of which is number `start`."""
        return cls(number, file, start * 4, values.nbytes, _digest(values.tobytes()))


class Evidence(abc.ABC):
    """What one pass of a rank over `files` delivered."""

    def __init__(self, files: Sequence[Path], sample_values: int) -> None:
        self._files = {str(path) for path in files}
        self._sample_values = sample_values
        self._discarded = 0

    def keep(self, batch: Batch) -> None:
        """Keep values of a batch that was just handed out. On a GPU the copies are queued on the current stream.

        Raises ValueError if the batch has more or fewer samples than it names.
        """
        if batch.array is None:
            self._discarded += len(batch.files)
        else:
            self._keep(batch.files, batch.array.reshape(len(batch.files), self._sample_values))

    @abc.abstractmethod
    def keep_mask(self, batch: Batch, mask: Any) -> None:
        """Keep the engine's mask of a batch, or nothing."""

    @abc.abstractmethod
    def _keep(self, names: list[str], values: Any) -> None:
        """Keep some of `values` (samples, values of a sample)."""

    @abc.abstractmethod
    def _pieces(self) -> list[Piece]:
        """What was kept, in any order."""

    def delivery(self, bytes_returned: int) -> Delivery:
        """Compare with the files. `bytes_returned` is how many bytes read calls returned in the pass."""
        if self._discarded:
            sample_bytes = self._sample_values * 4
            missing = self._discarded * sample_bytes - bytes_returned
            return Delivery(
                proof="read calls",
                samples=self._discarded,
                bytes=bytes_returned,
                wrong_samples=max(0, math.ceil(missing / sample_bytes)),
                first_wrong=None,
            )
        of_file: dict[str, list[Piece]] = collections.defaultdict(list)
        pieces = self._pieces()
        for piece in pieces:
            of_file[piece.file].append(piece)
        with ThreadPoolExecutor(THREADS) as pool:
            differing = [piece for found in pool.map(self._differing, of_file, of_file.values()) for piece in found]
        return Delivery(
            proof="bytes",
            samples=len({piece.number for piece in pieces}),
            bytes=sum(piece.length for piece in pieces),
            wrong_samples=len({piece.number for piece in differing}),
            first_wrong=os.path.basename(min(differing).file) if differing else None,
        )

    def _differing(self, file: str, pieces: list[Piece]) -> list[Piece]:
        """The pieces that differ from the file. A file that the reader was not given has none of them."""
        if file not in self._files:
            return pieces
        offset = len(npy.read_data_header(Path(file)).content)
        with open(file, "rb", buffering=0, opener=npy.opener) as opened:
            return [
                piece
                for piece in pieces
                if _digest(os.pread(opened.fileno(), piece.length, offset + piece.start)) != piece.digest
            ]


class TimedEvidence(Evidence):
    """Evidence of a timed pass. One slice of each batch is copied, at a random place, into memory that is there."""

    def __init__(self, files: Sequence[Path], sample_values: int, device: Device) -> None:
        super().__init__(files, sample_values)
        self._random = np.random.default_rng()
        last = sample_values - TIMED_VALUES
        starts, edges = self._random.integers(0, last + 1, len(files)), self._random.random(len(files))
        starts[edges < EDGE_SHARE], starts[edges >= 1 - EDGE_SHARE] = 0, last
        self._starts = iter(starts.tolist())
        # Filled, so that the kernel has given the memory before the clock starts.
        self._kept = device.to_device(np.full((len(files), TIMED_VALUES), np.nan, np.float32))
        self._places: list[tuple[str, int]] = []

    def keep_mask(self, batch: Batch, mask: Any) -> None:
        """Keep nothing: copying masks would take time."""

    def _keep(self, names: list[str], values: Any) -> None:
        done, end = len(self._places), len(self._places) + len(names)
        if end > len(self._kept):  # more samples than files, which the check every_sample_once reports
            return
        start = next(self._starts)
        self._kept[done:end] = values[:, start : start + TIMED_VALUES]
        self._places += [(name, start) for name in names]

    def _pieces(self) -> list[Piece]:
        kept, count = _on_host(self._kept), len(self._places)
        chosen = self._random.choice(count, min(count, MOST_SAMPLES), replace=False) if count else []
        return [Piece.of(int(number), *self._places[number], kept[number]) for number in chosen]


class FullEvidence(Evidence):
    """Evidence of the pass outside the clock, which is the first epoch of `files`."""

    def __init__(
        self, files: Sequence[Path], epochs: int, sample_values: int, batch_size: int, first_start: bool
    ) -> None:
        super().__init__(files, sample_values)
        generator, count = np.random.default_rng(), len(files) // epochs

        def some(of: int, most: int) -> list[int]:
            return generator.choice(of, min(of, most), replace=False).tolist()

        length = min(BLOCK_VALUES, sample_values)
        last = sample_values - length
        self._spans: dict[int, list[tuple[int, int]]] = {
            number: [(start, length) for start in (0, last, *generator.integers(0, last + 1, RANDOM_BLOCKS).tolist())]
            for number in some(count, MOST_SAMPLES)
        }
        for number in some(count, WHOLE_SAMPLES if first_start else 0):
            starts = range(0, sample_values, CHUNK_VALUES)
            self._spans[number] = [(start, min(CHUNK_VALUES, sample_values - start)) for start in starts]
        batches = math.ceil(MASK_SAMPLES / batch_size) if first_start else 1
        self._mask_batches = set(some(math.ceil(count / batch_size), batches))
        self._number = self._batch = 0
        self._found: list[Piece] = []
        self._masks: list[tuple[list[str], np.ndarray]] = []

    def keep_mask(self, batch: Batch, mask: Any) -> None:
        if mask is not None and self._batch in self._mask_batches and self._files.issuperset(batch.files):
            self._masks.append((batch.files, _on_host(mask).copy()))
        self._batch += 1

    def _keep(self, names: list[str], values: Any) -> None:
        for row, name in enumerate(names):
            for start, length in self._spans.get(self._number, []):
                kept = _on_host(values[row, start : start + length])
                self._found.append(Piece.of(self._number, name, start, kept))
            self._number += 1

    def _pieces(self) -> list[Piece]:
        return self._found

    def masks(self, engine: Engine, device: Device) -> MaskComparison:
        """Compare the masks with those that the engine makes of the same samples, loaded with NumPy."""
        differing = 0
        for names, mask in self._masks:
            batch = device.to_device(np.stack([np.load(name) for name in names]))
            differing += int(np.count_nonzero(mask != _on_host(engine(batch))))
        return MaskComparison(
            samples=sum(len(mask) for _, mask in self._masks),
            pixels=sum(mask.size for _, mask in self._masks),
            differing_pixels=differing,
        )


def _on_host(array: Any) -> np.ndarray:
    """A NumPy array, or a torch tensor copied to one, after the work that is queued before it."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
