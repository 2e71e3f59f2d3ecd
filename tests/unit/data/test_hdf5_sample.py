"""HDF5 samples: which are accepted, and whether the file or the environment is said to be wrong."""

import errno
import fcntl
import os
import random
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from deepcam import climate
from deepcam.data import convert, synthesis
from deepcam.data.hdf5_sample import DamagedSample, is_contiguous_float32, open_sample
from deepcam.errors import InputError
from h5py import h5d, h5p, h5s, h5t, h5z

NAME = climate.synthetic_names(1)[0]
DATA = climate.npy_names(NAME)[0]
SHAPE = (32, 48)
VALUES = (np.random.default_rng(0).normal(size=(*SHAPE, 16)) * 10).astype(np.float32)
SEED, MUTATIONS = int(os.environ.get("FUZZ_SEED", "2026")), int(os.environ.get("FUZZ_COUNT", "300"))


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / NAME
    synthesis.write_sample(path, 0, *SHAPE)
    return path


def refusal(path):
    """The one line that names the file, and whether it says that the file itself is wrong."""
    with pytest.raises(InputError, match=str(path)) as refused, open_sample(path, SHAPE):
        pass
    assert "\n" not in str(refused.value)
    damaged = isinstance(refused.value, DamagedSample)
    assert damaged == ("delete it" in str(refused.value))
    return str(refused.value), damaged


def write(path, data_type=h5t.IEEE_F32LE, label_type=h5t.IEEE_F32LE, properties=None, values=VALUES):
    """Write a sample with types of HDF5 that h5py cannot make."""
    with h5py.File(path, "w") as file:
        group = file.create_group("climate")
        data = h5d.create(group.id, b"data", data_type, h5s.create_simple((*SHAPE, 16)), properties)
        if values is not None:
            data.write(h5s.ALL, h5s.ALL, values)
        for name in (b"labels_0", b"labels_1"):
            h5d.create(group.id, name, label_type, h5s.create_simple(SHAPE))
        file["another"] = np.ones((*SHAPE, 16))  # something lies behind the data


def float_type(size, precision, fields):
    kind = h5t.IEEE_F32LE.copy()
    kind.set_fields(*fields)
    kind.set_precision(precision)
    kind.set_size(size)
    kind.set_ebias(127)
    return kind


def quadruple_precision():
    kind = h5t.IEEE_F64LE.copy()
    kind.set_size(16)
    kind.set_precision(128)
    kind.set_fields(127, 112, 15, 0, 112)
    kind.set_ebias(16383)
    return kind


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param((4, 20, (19, 11, 8, 0, 11)), id="20 bits in 4 bytes"),
        pytest.param((3, 24, (23, 15, 8, 0, 15)), id="24 bits in 3 bytes"),
        pytest.param((2, 16, (15, 7, 8, 0, 7)), id="bfloat16"),
        pytest.param((4, 32, (0, 24, 8, 1, 23)), id="sign at bit 0"),
    ],
)
def test_floats_of_other_layouts_get_hdf5s_own_values_or_are_rejected(tmp_path, kind):
    write(tmp_path / NAME, float_type(*kind))
    with h5py.File(tmp_path / NAME) as file:
        assert not is_contiguous_float32(file[climate.DATA])
        expected = file[climate.DATA][...].astype(np.float32)
    try:
        convert.convert_file(tmp_path / NAME, tmp_path / "npy")
    except DamagedSample as error:
        assert "not float32 or float64" in str(error)
    else:
        np.testing.assert_array_equal(np.load(tmp_path / "npy" / DATA), expected)


def test_types_that_numpy_does_not_have_are_rejected(tmp_path):
    quadruple, time = quadruple_precision(), h5t.UNIX_D32LE
    for options in ({"data_type": quadruple}, {"label_type": quadruple}, {"data_type": time}, {"label_type": time}):
        write(tmp_path / NAME, **options, values=None if "data_type" in options else VALUES)
        message, damaged = refusal(tmp_path / NAME)
        assert damaged and "it has a type that NumPy does not have" in message


def test_data_that_was_never_written_is_rejected(tmp_path):
    write(tmp_path / NAME, values=None)
    message, damaged = refusal(tmp_path / NAME)
    assert damaged and "the values of climate/data were never written" in message


def test_a_filter_that_is_not_installed_is_named_and_the_file_stays(tmp_path):
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk((*SHAPE, 16))
    properties.set_filter(32015, h5z.FLAG_OPTIONAL, (3,))
    write(tmp_path / NAME, properties=properties)
    message, damaged = refusal(tmp_path / NAME)
    assert not damaged and "climate/data is compressed with the HDF5 filter 32015" in message


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO, errno.ESTALE])
def test_an_error_of_the_operating_system_is_not_the_files(sample, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, "Unable to synchronously open file (many words of HDF5)")

    monkeypatch.setattr(h5py, "File", refuse)
    message, damaged = refusal(sample)
    assert not damaged and f"cannot be read ({os.strerror(number)})" in message


def test_hdf5_takes_no_lock_of_its_own(sample):
    with open(sample, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with open_sample(sample, SHAPE):
            pass


def test_a_file_that_another_process_writes_is_not_called_damaged(tmp_path):
    write_and_wait = (
        "import h5py, sys; file = h5py.File(sys.argv[1], 'w', libver='latest'); file['climate/data'] = 1; file.flush();"
        "print(flush=True); input()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", write_and_wait, tmp_path / NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    writer.stdout.readline()
    message, damaged = refusal(tmp_path / NAME)
    writer.communicate(b"\n")
    assert not damaged and "is being written by another process" in message


@pytest.mark.parametrize("place", ["climate", climate.DATA, climate.LABELS[1]])
def test_a_link_is_rejected_without_opening_what_it_names(sample, place):
    """A FIFO stands for a file that must not be opened: it would block for ever."""
    os.mkfifo(sample.parent / "fifo")
    with h5py.File(sample, "r+") as file:
        del file[place]
        file[place] = h5py.ExternalLink(str(sample.parent / "fifo"), "/climate")
    signal.alarm(10)
    try:
        message, damaged = refusal(sample)
    finally:
        signal.alarm(0)
    assert damaged and "lies in another file" in message


def test_a_fifo_in_the_place_of_a_sample_is_rejected(tmp_path):
    os.mkfifo(tmp_path / NAME)
    message, damaged = refusal(tmp_path / NAME)
    assert not damaged and "not a regular file" in message


def test_any_mutated_sample_is_converted_or_rejected_in_one_line(sample, tmp_path):
    dice = random.Random(SEED)
    right = sample.read_bytes()
    converted = 0
    for _ in range(MUTATIONS):
        content = bytearray(right)
        for _ in range(dice.randint(1, 6)):
            # Most of the metadata lies at the beginning.
            place = dice.randrange(4096 if dice.random() < 0.9 else len(content))
            content[place] = dice.choice([0, 255, content[place] ^ (1 << dice.randrange(8)), dice.randrange(256)])
        sample.write_bytes(content[: dice.choice([len(content)] * 9 + [dice.randrange(len(content))])])
        try:
            convert.convert_file(sample, tmp_path / "npy")
        except InputError as error:
            assert str(error).count("\n") == 0 and NAME.removesuffix(".h5") in str(error)
        else:
            converted += 1
    assert 0 < converted < MUTATIONS
