"""Eviction, preloading and residency of real files."""

import errno
import mmap
import os

import pytest
from deepcam.benchmark import page_cache
from deepcam.errors import InputError

SIZE = 1 << 20


@pytest.fixture
def file(disk):
    path = disk / "data"
    path.write_bytes(os.urandom(SIZE))
    return path


def test_evicted_files_are_not_resident_and_preloaded_files_are(file):
    page_cache.evict([file])
    assert page_cache.resident_fraction([file]) == 0
    page_cache.preload([file])
    assert page_cache.resident_fraction([file]) == 1


def test_cachestat_and_mincore_count_the_same_pages(file):
    page_cache.evict([file])
    with open(file, "rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead
        opened.read(100)
        counted = page_cache._mincore(opened.fileno(), SIZE // mmap.PAGESIZE)
    assert counted == round(page_cache.resident_fraction([file]) * SIZE / mmap.PAGESIZE)
    assert 0 < counted < SIZE // mmap.PAGESIZE


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EROFS])
def test_files_of_a_read_only_file_system_are_evicted_although_they_cannot_be_flushed(file, monkeypatch, number):
    def refuse(_):
        raise OSError(number, os.strerror(number))

    os.sync()
    page_cache.preload([file])
    monkeypatch.setattr(os, "fsync", refuse)
    page_cache.evict([file])
    assert page_cache.resident_fraction([file]) == 0


@pytest.mark.parametrize("use", [page_cache.evict, page_cache.preload, page_cache.resident_fraction])
def test_a_file_that_is_gone_or_has_become_a_fifo_is_named_or_has_no_pages(tmp_path, use):
    with pytest.raises(InputError, match="none: No such file or directory"):
        use([tmp_path / "none"])
    os.mkfifo(tmp_path / "fifo")
    if use is page_cache.evict:
        with pytest.raises(InputError, match="fifo: Illegal seek"):
            use([tmp_path / "fifo"])
    else:
        assert not use([tmp_path / "fifo"])
