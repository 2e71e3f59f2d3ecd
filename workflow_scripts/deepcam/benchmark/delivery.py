"""Evidence of what a reader delivered: bytes of samples are kept when a batch is handed out, and compared afterwards.

`FullEvidence` is that of the verified pass, which does not count: blocks of each sample, some whole samples, and masks.
That of a timed pass is in `timed_evidence.py`.

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
        """The piece of a sample that holds `values`. The first of them is value number `start` of the sample."""
        return cls(number, file, start * 4, values.nbytes, _digest(values.tobytes()))


class Evidence(abc.ABC):
    """What one pass of a rank over `files` delivered."""

    def __init__(self, files: Sequence[Path], sample_shape: tuple[int, int, int]) -> None:
        self._files = {str(path) for path in files}
        self._sample_shape, self._sample_values = sample_shape, math.prod(sample_shape)
        self._discarded = 0
        self._first: Batch | None = None

    def keep(self, batch: Batch) -> None:
        """Keep values of a batch that was just handed out. On a GPU the copies are queued on the current stream.

        Raises ValueError if it is not a contiguous float32 array (n, H, W, C), where n is how many samples it names.
        """
        array = batch.array
        if array is None:
            self._discarded += len(batch.files)
            return
        host = isinstance(array, np.ndarray)
        if str(array.dtype) != ("float32" if host else "torch.float32"):
            raise ValueError(f"the reader's batch is {array.dtype}, not float32")
        require_shape("batch", array, (len(batch.files), *self._sample_shape))
        if not (array.flags.c_contiguous if host else array.is_contiguous()):
            raise ValueError("the reader's batch is not contiguous in C order")
        self._first = self._first or batch
        self._keep(batch.files, array.reshape(len(batch.files), self._sample_values))

    def keep_mask(self, batch: Batch, mask: Any) -> None:
        """Keep some of the engine's mask of a batch. An engine that trains returns None.

        Raises ValueError if it is not of the shape (n, H, W).
        """
        if mask is not None:
            require_shape("mask", mask, (len(batch.files), *self._sample_shape[:2]))
            self._keep_mask(batch.files, mask)

    @abc.abstractmethod
    def _keep_mask(self, names: list[str], mask: Any) -> None:
        """Keep some of `mask` (samples, H, W)."""

    @abc.abstractmethod
    def _keep(self, names: list[str], values: Any) -> None:
        """Keep some of `values` (samples, values of a sample)."""

    @abc.abstractmethod
    def _pieces(self) -> list[Piece]:
        """What was kept, in any order."""

    def delivery(self, bytes_returned: int) -> Delivery:
        """Compare with the files. `bytes_returned` is how many bytes read calls returned in the pass.

        Raises ValueError if the first batch is a mapped file.
        """
        if self._first is not None and isinstance(self._first.array, np.ndarray):
            require_own_memory(self._first.array, self._first.files)
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


class FullEvidence(Evidence):
    """Evidence of the pass outside the clock, which is the first epoch of `files`."""

    def __init__(
        self,
        files: Sequence[Path],
        epochs: int,
        sample_shape: tuple[int, int, int],
        batch_size: int,
        first_start: bool,
    ) -> None:
        super().__init__(files, sample_shape)
        sample_values = self._sample_values
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

    def _keep_mask(self, names: list[str], mask: Any) -> None:
        if self._batch in self._mask_batches and self._files.issuperset(names):
            self._masks.append((names, on_host(mask).copy()))
        self._batch += 1

    def _keep(self, names: list[str], values: Any) -> None:
        for row, name in enumerate(names):
            for start, length in self._spans.get(self._number, []):
                kept = on_host(values[row, start : start + length])
                self._found.append(Piece.of(self._number, name, start, kept))
            self._number += 1

    def _pieces(self) -> list[Piece]:
        return self._found

    def masks(self, engine: Engine, device: Device) -> MaskComparison:
        """Compare the masks with those that the engine makes of the same samples, loaded with NumPy.

        The samples change their places in the batch, so that an engine that gives all of them one mask is found.
        """
        differing = 0
        for names, mask in self._masks:
            moved = mask_of(engine, device.to_device(load(names[1:] + names[:1])), device)
            differing += int(np.count_nonzero(np.roll(mask, -1, axis=0) != moved))
        return MaskComparison(
            samples=sum(len(mask) for _, mask in self._masks),
            pixels=sum(mask.size for _, mask in self._masks),
            differing_pixels=differing,
        )

    def masks_by_file(self) -> dict[str, np.ndarray]:
        """The masks that were kept, (H, W) each."""
        return {name: one for names, mask in self._masks for name, one in zip(names, mask, strict=True)}


def load(names: Sequence[str]) -> np.ndarray:
    """A batch of these samples, loaded with NumPy."""
    return np.stack([np.load(name) for name in names])


def require_shape(what: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError if the array has another shape, or is no array."""
    found = tuple(getattr(array, "shape", ()))
    if found != shape:
        raise ValueError(f"the shape of the {what} is {found}, not {shape}")


def require_own_memory(array: np.ndarray, files: Sequence[str]) -> None:
    """Raise ValueError if the array lies in a mapping of one of these files: its bytes need not have been read yet."""
    address = array.__array_interface__["data"][0]
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            span, *_, path = line.rstrip("\n").split(None, 5)
            first, last = (int(end, 16) for end in span.split("-"))
            if first <= address < last:
                if path in {os.path.realpath(file) for file in files}:
                    raise ValueError(f"the reader's batch is a mapping of {path}, whose bytes need not have been read")
                return


def mask_of(engine: Engine, batch: Any, device: Device) -> np.ndarray:
    """The mask of a batch that is on the device, made outside the clock.

    It is right even if the engine works on a stream that no other waits for. The masks that are compared with it, which
    were taken from the timed loop's own stream, are not right then. Raises ValueError if the engine returns something
    else than a mask of the batch.
    """
    mask = engine(batch)
    require_shape("mask", mask, tuple(batch.shape[:3]))
    device.finish()
    return on_host(mask)


def on_host(array: Any) -> np.ndarray:
    """A NumPy array, or a torch tensor copied to one, after the work that is queued before it."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
