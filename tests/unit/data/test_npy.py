"""The gate for npy files: what passes is read alike by every reader, and anything else is one line with its name."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import numpy as np
import pytest
from deepcam.benchmark.readers import Options, open_reader
from deepcam.data import npy
from deepcam.data.dataset import from_folders
from deepcam.errors import InputError
from deepcam.grid import READERS
from npy_example import HEADER
from npy_example import npy as npy_file

SHAPE = (32, 48, 16)
ARRAY = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
HOST_READERS = sorted(name for name, reader in READERS.items() if not reader.gpu)
SEED, MUTATIONS = int(os.environ.get("FUZZ_SEED", "2026")), int(os.environ.get("FUZZ_COUNT", "1000"))


def folder_of(path: Path, *contents: bytes) -> Path:
    path.mkdir()
    for i, content in enumerate(contents):
        (path / f"data-{i}.npy").write_bytes(content)
    return path


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">i2", "|u1"])
@pytest.mark.parametrize("shape", [(768, 1152, 16), (32, 48, 2), (2**15, 2**15, 16)])
def test_a_header_of_the_usual_size_is_the_one_of_numpy(dtype: str, shape: tuple[int, ...]) -> None:
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": dtype, "fortran_order": False, "shape": shape})
    assert npy.header(np.dtype(dtype), shape, npy.USUAL_HEADER) == written.getvalue()


@pytest.mark.parametrize("align", [16, 64, 256, 4096])
@pytest.mark.parametrize(
    ("reader", "intra"), [(name, n) for name in HOST_READERS for n in ([1, 3] if READERS[name].chunks else [1])]
)
@pytest.mark.parametrize("cold", [False, True])
def test_every_reader_reads_headers_of_any_length(
    tmp_path: Path, align: int, reader: str, intra: int, cold: bool
) -> None:
    arrays = [ARRAY, ARRAY * 2, ARRAY * 3]
    found = from_folders([folder_of(tmp_path / "npy", *(npy_file(HEADER, a.tobytes(), align) for a in arrays))])
    with open_reader(reader, found.files, Options(2, 2, intra, cold, found.sample_shape)) as opened:
        batches = [None if batch.array is None else np.from_dlpack(batch.array).copy() for batch in opened]
    if not READERS[reader].discards:
        np.testing.assert_array_equal(np.concatenate(batches), arrays)


@pytest.mark.parametrize(
    "header",
    [
        HEADER.replace(", }", "}"),
        "{'shape': (32, 48, 16), 'fortran_order': False, 'descr': '<f4'}",
        HEADER.replace("32,", "32L,"),
        HEADER.replace("False", "True"),
        HEADER.replace("(32", "(0"),
        HEADER.replace("<f4", ">f4"),
        HEADER.replace("'<f4'", "[('a', '<f4')]"),
        HEADER.replace("16)", "16, 1)"),
        HEADER.replace("<f4", "|O"),
        HEADER + " " * 5000,
        "(" * 3000,
        "\x1b[31m",
    ],
)
def test_a_header_that_some_reader_would_not_understand_is_rejected_in_one_line(tmp_path: Path, header: str) -> None:
    body = b"" if "(0" in header else ARRAY.tobytes()
    with pytest.raises(InputError, match=r"data-0\.npy: .*np\.save$") as rejected:
        from_folders([folder_of(tmp_path / "npy", npy_file(header, body))])
    assert str(rejected.value).isprintable()


def test_headers_of_two_lengths_are_rejected_because_a_batch_has_one(tmp_path: Path) -> None:
    body = ARRAY.tobytes()
    folder = folder_of(tmp_path / "npy", npy_file(HEADER, body), npy_file(HEADER, body, 4096))
    with pytest.raises(InputError, match=r"data-1\.npy: a header of 4096 bytes, but .*data-0\.npy has 128: rewrite"):
        from_folders([folder])


def test_a_fifo_a_folder_and_a_file_without_permission_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "data-0.npy")
    with pytest.raises(InputError, match=r"data-0\.npy: not a regular file"):
        from_folders([tmp_path])
    (tmp_path / "data-0.npy").unlink()
    (tmp_path / "data-0.npy").mkdir()
    with pytest.raises(InputError, match=r"data-0\.npy: not a regular file"):
        from_folders([tmp_path])
    monkeypatch.setattr(npy, "opener", lambda path, flags: os.open(f"{path}/none", flags))
    np.save(tmp_path / "one.npy", ARRAY)
    with pytest.raises(InputError, match=r"one\.npy.*: Not a directory: correct this"):
        npy.read_header(tmp_path / "one.npy")


def test_any_mutated_file_is_read_as_numpy_reads_it_or_rejected_in_one_line(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    small = np.arange(2 * 3 * 16, dtype=np.float32).reshape(2, 3, 16)
    right = npy_file(HEADER.replace("32, 48", "2, 3"), small.tobytes())
    path = tmp_path / "data-0.npy"
    passed = 0
    for _ in range(MUTATIONS):
        content = mutated(dice, right)
        path.write_bytes(content)
        try:
            header = npy.read_header(path)
        except InputError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error), content
            continue
        passed += 1
        expected = np.load(path)
        assert (header.shape, header.dtype) == (expected.shape, expected.dtype), content
        assert npy.load_labels(path).tobytes() == expected.tobytes(), content
    assert 0 < passed < MUTATIONS


def mutated(dice: random.Random, content: bytes) -> bytes:
    """The content with one to four changes, most of them in the header."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(min(len(data), 140)) if data else 0
        match dice.randrange(5):
            case 0:
                data[place : place + 1] = bytes([dice.randrange(256)])
            case 1:
                data[place:place] = dice.choice([b" ", b"(", b"L", b"9" * dice.randint(1, 30), b"\n", b"-"])
            case 2:
                del data[place : place + dice.randint(1, 8)]
            case 3:
                data = data[: dice.randrange(len(data) + 1)]
            case 4:
                data[-1:] = dice.randbytes(4)
    return bytes(data)
