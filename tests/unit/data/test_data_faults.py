"""A rerun completes a shard after a killed process or a full disk during download and conversion."""

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from deepcam import climate, files
from deepcam.data import convert, download, manifest, synthesis
from deepcam.errors import InputError
from servers import Nginx

NAMES = climate.synthetic_names(4)
PATHS = [f"validation/{name}" for name in NAMES]
SHAPE = (64, 96)
KILLS = 20


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for seed, path in enumerate(PATHS):
        synthesis.write_sample(folder / path, seed, *SHAPE)
    return folder


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory):
    """The SHA-256 of every HDF5 and npy file, by name."""
    folder = tmp_path_factory.mktemp("expected")
    made = [npy for path in PATHS for npy in convert.convert_file(source / path, folder)]
    hashes = {npy.name: npy.sha256 for npy in made}
    return hashes | {name: files.sha256(source / path) for name, path in zip(NAMES, PATHS, strict=True)}


def make(url, folder, streams=2):
    """Download and convert one shard."""
    hdf5, npy = folder / "hdf5" / "shard-00000", folder / "npy" / "shard-00000"
    download.download_shard(url, PATHS, hdf5, streams=streams, shape=SHAPE)
    convert.convert_shard(hdf5 / manifest.MANIFEST, npy, 2)


def assert_whole(folder, expected):
    samples = [path for pattern in ("data-*", "label-*") for path in folder.rglob(pattern)]
    assert {path.name: files.sha256(path) for path in samples} == expected
    for path in folder.rglob(manifest.MANIFEST):
        assert all(expected[entry.name] == entry.sha256 for entry in manifest.read_complete(path))
    assert len(list(folder.rglob(manifest.MANIFEST))) == 2
    assert not list(folder.rglob("*" + files.TEMPORARY))


def rerun(nginx, folder, expected):
    """Make the shard again from a working server: it is complete, and no complete file is fetched again."""
    whole = {path.name for path in folder.glob("hdf5/*/data-*.h5")}
    before = len(nginx.requests())
    make(nginx.url, folder)
    assert_whole(folder, expected)
    assert not whole & {path.rpartition("/")[2] for path, _, _ in nginx.requests()[before:]}


@contextlib.contextmanager
def serving(folder, source, settings=""):
    nginx = Nginx(folder, source, settings)
    try:
        yield nginx
    finally:
        nginx.close()


def test_a_rerun_after_kill_9_at_random_moments_completes_and_fetches_nothing_twice(
    source, expected, tmp_path, monkeypatch
):
    # A process that has imported everything forks children in milliseconds, and no thread of this one goes along.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    random_moments = random.Random(2026)
    killed, seconds = 0, None

    # A limited rate makes the download last long enough to be hit.
    with serving(tmp_path / "nginx", source, "limit_rate 4m; limit_rate_after 16k;") as nginx:
        for run in range(2 + KILLS):
            folder = tmp_path / str(run)
            child = processes.Process(target=make, args=(nginx.url, folder))
            started = time.monotonic()
            child.start()
            # The first child starts the forking process, the second shows how long a run takes.
            child.join(None if run < 2 else random_moments.uniform(0, seconds))
            child.kill()
            child.join()
            seconds = seconds if run > 1 else time.monotonic() - started
            killed += child.exitcode == -signal.SIGKILL
            rerun(nginx, folder, expected)
    assert killed > KILLS / 2


@contextlib.contextmanager
def small_disk(folder, size):
    """Mount a file system of `size` bytes at `folder`; yields a function that changes its size."""
    folder.mkdir()

    def mount(size, *options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", folder]
        return subprocess.run(command, capture_output=True, text=True)

    if (mounted := mount(size)).returncode:
        pytest.skip(f"no small disk to fill: a tmpfs may not be mounted here ({mounted.stderr.strip()})")
    try:
        yield lambda size: mount(size, "remount")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("stage", ["download", "conversion"])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in the middle"])
def test_a_full_disk_is_reported_in_one_line_and_a_rerun_with_space_completes(
    source, expected, tmp_path, monkeypatch, stage, announced
):
    size = sum((source / path).stat().st_size for path in PATHS)
    room = size * 5 // 8 if stage == "download" else size * 13 // 8
    with serving(tmp_path / "nginx", source) as nginx, small_disk(tmp_path / "disk", room) as resize:
        message = "needs [0-9,]+ bytes, [0-9,]+ are free: make room"
        if not announced:
            monkeypatch.setattr(files, "require_space", lambda *_: None)
            message = r"no space left \([0-9,]+ bytes free\): make room"
        with pytest.raises(InputError, match=message) as full:
            make(nginx.url, tmp_path / "disk")
        assert "\n" not in str(full.value)
        resize(size * 4)
        rerun(nginx, tmp_path / "disk", expected)
