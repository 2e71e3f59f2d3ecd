"""A file that is exchanged, cut or removed, and a file system without O_DIRECT, are one line with the file's name."""

import contextlib
import errno
import gc
import importlib.metadata
import os
import signal

import numpy as np
import pytest
from deepcam.benchmark.readers import Options, dali, open_reader
from deepcam.errors import InputError
from deepcam.grid import READERS

SHAPE = (64, 96, 16)
HOST_READERS = sorted(name for name, reader in READERS.items() if not reader.gpu)
COUNT = 8


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"data-{i}.npy" for i in range(COUNT)]
    for path in paths:
        np.save(path, np.ones(SHAPE, np.float32))
    return paths


@pytest.fixture(autouse=True)
def no_threads_are_left():
    """Free what an error's traceback refers to: a worker that is forked beside threads of a reader can block."""
    yield
    gc.collect()


def exchange(path, array):
    path.unlink()
    np.save(path, array)


CHANGES = {
    "cut": lambda path: os.truncate(path, 10_000),
    "cut in the header": lambda path: os.truncate(path, 100),
    "empty": lambda path: os.truncate(path, 0),
    "removed": lambda path: path.unlink(),
    "no array": lambda path: path.write_text("no array" * 100),
    "float64": lambda path: exchange(path, np.ones(SHAPE)),
    "int32": lambda path: exchange(path, np.ones(SHAPE, np.int32)),
    "another shape": lambda path: exchange(path, np.ones((96, 64, 16), np.float32)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", sorted(set(HOST_READERS) - {"torch"}))
def test_a_file_that_changes_after_the_reader_was_opened_is_named(files, name, change):
    check_change(files, name, change)


@pytest.mark.parametrize("change", ["cut", "float64"])  # each takes seconds, in which its processes end
def test_a_file_that_changes_is_named_by_the_reader_with_processes_too(files, change):
    check_change(files, "torch", change)


def check_change(files, name, change):
    options = Options(1, 1, 1, READERS[name].module == "dali", SHAPE)
    with pytest.raises(InputError, match=files[-1].name) as told, open_reader(name, files, options) as reader:
        CHANGES[change](files[-1])
        list(reader)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", HOST_READERS)
def test_a_fifo_in_the_place_of_a_file_is_named_before_a_reader_waits_for_it(files, name):
    files[-1].unlink()
    os.mkfifo(files[-1])
    with pytest.raises(InputError, match=rf"{files[-1].name}: not a regular file"):
        list_all(name, files)


@pytest.mark.parametrize("name", sorted(name for name in HOST_READERS if READERS[name].module != "dali"))
def test_a_fifo_that_appears_during_a_run_is_named(files, name):
    def change():
        files[-1].unlink()
        os.mkfifo(files[-1])

    with pytest.raises(InputError, match=rf"{files[-1].name}: not a regular file"):
        list_all(name, files, change)


def list_all(name, files, change=lambda: None):
    signal.alarm(20)
    try:
        with open_reader(name, files, Options(1, 1, 1, False, SHAPE)) as reader:
            change()
            list(reader)
    finally:
        signal.alarm(0)


def test_an_error_that_no_file_explains_is_passed_on(files):
    with pytest.raises(ZeroDivisionError), open_reader("numpy", files, Options(1, 1, 1, False, SHAPE)):
        raise ZeroDivisionError


@pytest.mark.parametrize(("name", "remedy"), [("pread", "cold from benchmark.cache"), ("dali-direct", "dali-direct")])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_without_o_direct_is_named_before_the_run(files, monkeypatch, name, remedy, number):
    def refuse(path, flags, *more, open=os.open, **others):
        if flags & os.O_DIRECT:
            raise OSError(number, os.strerror(number), str(path))
        return open(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", refuse)
    message = f"{files[0].name}: its file system refuses O_DIRECT.*remove {remedy}"
    with pytest.raises(InputError, match=message), open_reader(name, files, Options(1, 1, 1, True, SHAPE)):
        pass


def test_an_error_of_the_system_call_names_the_file(files, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", refuse)
    with (
        pytest.raises(OSError, match=files[0].name),
        open_reader("pread", files, Options(1, 1, 1, False, SHAPE)) as reader,
    ):
        list(reader)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("2.4.0", None),
        ("3.0.0.dev1", None),
        (
            "2.3.1",
            r"nvidia-dali-cuda120 2\.3\.1: before 2\.4, its numpy reader could return memory that it had not read",
        ),
        ("1.53.0", r"nvidia-dali-cuda120 1\.53\.0: before 2\.4"),
        (None, "need the Python package nvidia-dali-cuda120"),
    ],
)
def test_a_dali_that_may_return_unread_memory_is_refused(monkeypatch, version, told):
    def installed(package):
        if version is None or package != "nvidia-dali-cuda120":
            raise importlib.metadata.PackageNotFoundError(package)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)
    with pytest.raises(InputError, match=told) if told else contextlib.nullcontext():
        dali.check_version()
