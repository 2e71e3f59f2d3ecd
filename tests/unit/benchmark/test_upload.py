"""Chunked upload: batches arrive complete and in order on a device that copies as late as it may."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest
from deepcam.benchmark.readers import Options, pread, upload
from deepcam.benchmark.readers.preadv import PreadReader
from deepcam.benchmark.readers.upload import UploadReader
from deepcam.data import npy
from deepcam.errors import InputError
from pretend_device import PretendDevice

SHAPE = (16, 24, 16)
SAMPLE_BYTES = 16 * 24 * 16 * 4


@pytest.fixture
def files(disk: Path) -> list[Path]:
    paths = [disk / f"data-{number}.npy" for number in range(23)]
    for number, path in enumerate(paths):
        np.save(path, np.random.default_rng(number).random(SHAPE, np.float32))
    return paths


def options(batch_size: int = 2, inter: int = 2, intra: int = 1, cold: bool = False) -> Options:
    return Options(
        batch_size=batch_size,
        inter_threads=inter,
        intra_threads=intra,
        cold=cold,
        sample_shape=SHAPE,
        device="cuda:0",
    )


def delivered(reader: UploadReader, device: PretendDevice) -> dict[str, np.ndarray]:
    """What the device finds in each batch when it uses it, which it does as late as possible."""
    found: dict[str, np.ndarray] = {}
    for batch in reader:
        device.use(lambda batch=batch: found.update(zip(batch.files, batch.array.copy(), strict=True)))
    reader.close()
    return found


def right(files: list[Path], found: dict[str, np.ndarray]) -> bool:
    return list(found) == list(map(str, files)) and all(
        np.array_equal(found[str(path)], np.load(path)) for path in files
    )


@pytest.mark.parametrize("chunk", [4096, 8192, upload.CHUNK_BYTES])
@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize(("batch_size", "inter", "intra"), [(1, 1, 1), (2, 4, 1), (3, 2, 3), (8, 1, 4)])
def test_every_sample_arrives(
    files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
    cold: bool,
    batch_size: int,
    inter: int,
    intra: int,
) -> None:
    monkeypatch.setattr(upload, "CHUNK_BYTES", chunk)
    device = PretendDevice()
    reader = UploadReader(files, options(batch_size, inter, intra, cold), device)
    assert right(files, delivered(reader, device))
    assert reader.details["upload_chunk_bytes"] <= chunk
    assert device.released == len(device.chunks) == inter * intra * upload.CHUNKS


@pytest.mark.parametrize("chunk", [4096, 12288, upload.CHUNK_BYTES])
@pytest.mark.parametrize(("batch_size", "inter", "intra"), [(2, 2, 1), (3, 2, 5)])
def test_every_sample_arrives_from_behind_a_header_of_4096_bytes(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, chunk: int, batch_size: int, inter: int, intra: int
) -> None:
    for path in files:
        values = np.load(path)
        path.write_bytes(npy.header(values.dtype, values.shape, 4096) + values.tobytes())
    monkeypatch.setattr(upload, "CHUNK_BYTES", chunk)
    device = PretendDevice()
    assert right(files, delivered(UploadReader(files, options(batch_size, inter, intra, cold=True), device), device))


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize(("batch_size", "inter", "intra"), [(1, 1, 1), (3, 2, 3)])
def test_the_baseline_makes_the_same_reads(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, cold: bool, batch_size: int, inter: int, intra: int
) -> None:
    monkeypatch.setattr(upload, "CHUNK_BYTES", 4096)
    reads: list[tuple[int, int, int]] = []
    read_all = PreadReader._read_all

    def noticed(self: PreadReader, sample: int, views: list[np.ndarray], offset: int, length: int) -> None:
        reads.append((sample, offset, length))
        read_all(self, sample, views, offset, length)

    monkeypatch.setattr(PreadReader, "_read_all", noticed)
    device, given = PretendDevice(), options(batch_size, inter, intra, cold)
    delivered(UploadReader(files, given, device), device)
    uploaded, reads[:] = sorted(reads), []
    with contextlib.closing(pread.open_reader("pread-discard", files, given)) as reader:
        assert [batch.array for batch in reader] == [None] * math.ceil(len(files) / batch_size)
    assert sorted(reads) == uploaded
    assert sum(length for *_, length in reads) == sum(path.stat().st_size for path in files)


class NoWait(PretendDevice):
    """Streams do not wait for each other."""

    def wait(self, stream: object, event: object) -> None:
        pass


class NoFinish(PretendDevice):
    """The host does not wait before it fills a chunk again."""

    def finish(self, event: tuple) -> None:
        if event[0] is self.used:
            super().finish(event)


@pytest.mark.parametrize("planted", [NoWait, NoFinish])
def test_a_wait_that_is_missing_gives_other_bytes(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, planted: type[PretendDevice]
) -> None:
    monkeypatch.setattr(upload, "CHUNK_BYTES", 4096)
    device = planted()
    assert not right(files, delivered(UploadReader(files, options(), device), device))


def test_a_reader_that_is_closed_early_leaves_nothing_queued(files: list[Path]) -> None:
    device = PretendDevice()
    reader = UploadReader(files, options(), device)
    next(iter(reader))
    reader.close()
    assert not device.used.work and device.released == len(device.chunks)


def test_a_file_that_became_shorter_is_an_error(files: list[Path]) -> None:
    with open(files[5], "r+b") as file:
        file.truncate(SAMPLE_BYTES)
    reader = UploadReader(files, options(), PretendDevice())
    with pytest.raises(OSError, match=r"changed its length.*data-5\.npy"):
        list(reader)
    reader.close()


def test_a_file_with_another_header_is_an_error(files: list[Path]) -> None:
    content = files[3].read_bytes()
    files[3].write_bytes(content[:10] + content[10:128].replace(b"16, 24", b"24, 16") + content[128:])
    reader = UploadReader(files, options(), PretendDevice())
    with pytest.raises(InputError, match=r"data-3\.npy: its npy header differs"):
        list(reader)
    reader.close()
