"""Eviction, preloading and residency of real files."""

import errno
import mmap
import os
import subprocess

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


def test_a_file_that_does_not_end_with_a_page_or_a_folio_is_counted_in_pages(disk):
    for size in (1, mmap.PAGESIZE + 1, 5 * mmap.PAGESIZE, 1_000_001):
        path = disk / str(size)
        path.write_bytes(os.urandom(size))
        assert page_cache.resident_fraction([path]) == 1
        with open(path, "rb") as opened:
            pages = -(-size // mmap.PAGESIZE)
            assert page_cache._cachestat(opened.fileno(), pages) == page_cache._mincore(opened.fileno(), pages) == pages


def test_pages_behind_the_counted_ones_do_not_hide_missing_pages(file):
    """As if the file were shorter than the folios that it is in."""
    page_cache.preload([file])
    with open(file, "rb") as opened:
        assert page_cache._cachestat(opened.fileno(), 3) == 3


def test_overlayfs_shows_the_pages_of_the_file_below(disk):
    for name in ("lower", "other", "merged"):
        (disk / name).mkdir()
    (disk / "lower/data").write_bytes(os.urandom(SIZE))
    options = f"lowerdir={disk}/lower:{disk}/other"
    mount = ["mount", "-t", "overlay", "-o", options, "overlay", disk / "merged"]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no overlayfs may be mounted here")
    path = disk / "merged/data"
    try:
        page_cache.preload([path])
        assert page_cache.resident_fraction([path]) == 1
        page_cache.evict([path, disk / "lower/data"])
        assert page_cache.resident_fraction([path]) == 0
        with open(path, "rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as view:
            assert sum(view[:: mmap.PAGESIZE])  # mapped pages cannot be evicted
            page_cache.evict([path])
            assert page_cache.resident_fraction([path]) == 1
    finally:
        subprocess.run(["umount", "-l", disk / "merged"], check=True)


@pytest.fixture
def foreign(file, monkeypatch):
    """A read-only file of another user, to whom the kernel does not show its pages."""
    monkeypatch.chdir(file.parent)  # a path without the folders above, which other users may not enter
    file.parent.chmod(0o755)
    file.chmod(0o644)
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    yield file.relative_to(file.parent)
    os.seteuid(0)


def test_pages_of_another_users_file_are_probed(foreign):
    page_cache.evict([foreign])
    os.seteuid(65534)
    assert page_cache.resident_fraction([foreign]) < 0.02  # a page that another process needs may come back
    os.seteuid(0)
    assert page_cache.resident_fraction([foreign]) < 0.02  # the probe leaves nothing behind
    page_cache.preload([foreign])
    os.seteuid(65534)
    assert page_cache.resident_fraction([foreign]) == 1


def test_a_probe_measures_and_leaves_the_page_cache_as_it_was(file):
    page_cache.evict([file])
    with open(file, "rb", buffering=0) as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        opened.read(SIZE // 2)
        for _ in range(2):
            assert page_cache._probe(opened.fileno(), file, SIZE // mmap.PAGESIZE) == pytest.approx(0.5, abs=0.02)
    assert page_cache.resident_fraction([file]) == pytest.approx(0.5, abs=0.02)


def test_where_pages_cannot_be_probed_either_the_error_names_the_file(foreign, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "preadv", refuse)
    os.seteuid(65534)
    with pytest.raises(InputError, match=r"data: belongs to another user.*copy the files, or run as their owner"):
        page_cache.resident_fraction([foreign])
