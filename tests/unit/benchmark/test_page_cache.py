"""Eviction, preloading and residency of real files."""

import mmap
import os

import pytest
from deepcam.benchmark import page_cache

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
