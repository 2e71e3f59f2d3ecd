"""GPUDirect Storage is proved by cuFile's statistics. A library that is built here stands in for NVIDIA's."""

import shutil
import subprocess
from pathlib import Path

import pytest
from deepcam.benchmark.readers import cufile, dali
from deepcam.errors import InputError

NAME = cufile.LIBRARY
SOURCE = Path(__file__).parents[2] / "fixtures/cufile_stand_in.c"


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A fresh copy of the stand-in, which no other test has opened."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    path = tmp_path / "libcufile.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, SOURCE], check=True)
    monkeypatch.setattr(cufile, "LIBRARY", str(path))
    cufile.start_counting.cache_clear()
    yield path
    cufile.start_counting.cache_clear()


def test_reads_of_all_gpus_are_counted_by_their_way_and_compatibility_mode_is_forbidden(library):
    cufile.start_counting()
    cufile.start_counting()  # by the next reader of the process: the driver is open by then
    assert cufile.reads() == {"nvidia_fs": 21, "p2pdma": 201, "posix": 0, "failed": 3}


def test_the_reader_records_the_counts_when_it_is_closed(library):
    cufile.start_counting()
    reader = object.__new__(dali.DaliReader)
    reader._gds, reader._pipeline, reader.details = True, None, {}
    reader.close()
    assert reader.details["cufile_reads"]["p2pdma"] == 201


def test_a_driver_that_does_not_open_without_compatibility_mode_is_an_error(library, monkeypatch):
    monkeypatch.setenv("STAND_IN_WITHOUT_DRIVER", "1")
    with pytest.raises(InputError, match="cuFileDriverOpen failed with error 5001"):
        cufile.start_counting()


@pytest.mark.parametrize(
    ("name", "message"),
    [("libcufile-none.so.0", "cannot open shared object file"), ("libc.so.6", "undefined symbol")],
    ids=["missing", "too old"],
)
def test_a_library_without_statistics_is_an_error(monkeypatch, name, message):
    monkeypatch.setattr(cufile, "LIBRARY", name)
    cufile.start_counting.cache_clear()
    with pytest.raises(InputError, match=f"{message}.*; install cuFile 1.15 or later"):
        cufile.start_counting()


def test_whether_it_works_is_tried_in_another_process(library, monkeypatch):
    (library.parent / NAME).symlink_to(library)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library.parent))
    monkeypatch.setenv("PYTHONPATH", str(Path(cufile.__file__).parents[3]))
    cufile.check()
    monkeypatch.setenv("STAND_IN_WITHOUT_DRIVER", "1")
    with pytest.raises(InputError) as refused:
        cufile.check()
    (line,) = refused.value.lines
    assert line.startswith("dali-gds: cuFileDriverOpen failed with error 5001 (CUfileOpError), so GPUDirect Storage")
