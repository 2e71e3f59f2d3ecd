"""Downloading shards of the archive from servers that work and servers that fail."""

import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from deepcam import climate, files
from deepcam.data import convert, download, http_transfer, manifest, synthesis
from deepcam.errors import InputError
from servers import FaultServer, Nginx

NAMES = climate.synthetic_names(3)
PATHS = [f"validation/{name}" for name in NAMES]
SHAPE = (64, 96)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with the layout of the archive."""
    folder = tmp_path_factory.mktemp("source")
    for seed, path in enumerate(PATHS):
        synthesis.write_sample(folder / path, seed, *SHAPE)
    return folder


@pytest.fixture
def archive(source):
    server = FaultServer()
    server.bodies = {f"/{path.relative_to(source)}": path.read_bytes() for path in source.glob("*/*")}
    yield server
    server.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(http_transfer, "RETRY", http_transfer.RETRY.new(backoff_factor=0, backoff_jitter=0))


def fill(url, folder, streams=2, **options):
    download.download_shard(url, PATHS, folder, streams=streams, shape=SHAPE, **options)


def assert_equals_source(folder, source):
    """The folder holds all of the source, byte for byte, as the manifest says, and nothing else."""
    entries = manifest.read_complete(folder / manifest.MANIFEST)
    assert [entry.name for entry in entries] == NAMES
    for entry, path in zip(entries, PATHS, strict=True):
        assert entry.sha256 == files.sha256(source / path) == files.sha256(folder / entry.name)
    assert {path.name for path in folder.iterdir()} == {*NAMES, manifest.MANIFEST, manifest.LEDGER}


@pytest.mark.parametrize(
    "fault", ["reset", "truncated", "length too large", "length too small", "error page", 500, "stall"]
)
def test_transient_faults_are_retried_in_the_same_run(archive, source, tmp_path, fault, monkeypatch):
    monkeypatch.setattr(http_transfer, "READ_SECONDS", 0.3)
    archive.faults = {f"/{path}": [fault] for path in PATHS}
    fill(archive.url, tmp_path / "shard-00000")
    assert_equals_source(tmp_path / "shard-00000", source)


@pytest.mark.parametrize("fault", [["length too small"] * 7, ["error page"] * 7, [404]], ids=lambda faults: faults[0])
def test_a_permanent_fault_names_the_url_and_a_rerun_fetches_only_the_rest(archive, source, tmp_path, fault):
    archive.faults = {f"/{PATHS[1]}": list(fault)}
    with pytest.raises(InputError, match=f"{archive.url}/{PATHS[1]}: .*: check the URL") as failed:
        fill(archive.url, tmp_path / "shard-00000", streams=1)
    assert "\n" not in str(failed.value)
    assert not (tmp_path / "shard-00000" / manifest.MANIFEST).exists()
    assert not list(tmp_path.glob("*/*.part"))
    fill(archive.url, tmp_path / "shard-00000", streams=1)
    assert_equals_source(tmp_path / "shard-00000", source)
    assert [len(archive.gets(f"/{path}")) for path in PATHS] == [1, len(fault) + 1, 1]


def test_no_further_download_starts_after_a_failure(archive, tmp_path):
    archive.faults = {f"/{PATHS[0]}": [404]}
    with pytest.raises(InputError, match="answered 404"):
        fill(archive.url, tmp_path / "shard-00000", streams=1)
    assert len(archive.gets()) <= 2


def wrong_samples(folder):
    """Yield HDF5 files that do not have the archive's layout: what differs, and the bytes."""
    with h5py.File(folder / NAMES[0]) as file:
        arrays = {name: file[name][...] for name in (climate.DATA, *climate.LABELS)}
    data, *labels = arrays
    changes = {
        "dataset": {labels[1]: None},
        "channels": {data: np.zeros((*SHAPE, 4), np.float32)},
        "size": {name: array[:32] for name, array in arrays.items()},
        "type": {data: arrays[data].astype(np.int32)},
    }
    for kind, change in changes.items():
        path = folder / f"{kind}.h5"
        with h5py.File(path, "w") as file:
            for name, array in (arrays | change).items():
                if array is not None:
                    file.create_dataset(name, data=array)
        yield kind, path.read_bytes()


def test_hdf5_of_another_layout_is_rejected_and_removed(archive, source, tmp_path):
    right = archive.bodies[f"/{PATHS[0]}"]
    (tmp_path / NAMES[0]).write_bytes(right)
    for kind, body in wrong_samples(tmp_path):
        folder = tmp_path / kind
        archive.bodies[f"/{PATHS[0]}"] = body
        with pytest.raises(InputError, match=f"{NAMES[0]}: the answer is not a sample"):
            fill(archive.url, folder, streams=1)
        assert NAMES[0] not in {path.name for path in folder.iterdir()}
        archive.bodies[f"/{PATHS[0]}"] = right
        fill(archive.url, folder, streams=1)
        assert_equals_source(folder, source)


def test_a_file_that_links_to_another_file_is_rejected(tmp_path):
    synthesis.write_sample(tmp_path / NAMES[0], 0, *SHAPE)
    with h5py.File(tmp_path / NAMES[1], "w") as file:
        for name in (climate.DATA, *climate.LABELS):
            file[name] = h5py.ExternalLink(NAMES[0], name)
    with pytest.raises(InputError, match="lies in another file"), convert.open_sample(tmp_path / NAMES[1]):
        pass


def test_what_was_fetched_stays_if_only_this_machine_cannot_read_it(archive, source, tmp_path, monkeypatch):
    folder = tmp_path / "shard-00000"
    compressed = tmp_path / NAMES[0]
    shutil.copy(source / PATHS[0], compressed)
    with h5py.File(compressed, "r+") as file:
        data = file[climate.DATA][...]
        del file[climate.DATA]
        file.create_dataset(climate.DATA, data=data, compression="gzip")
    archive.bodies[f"/{PATHS[0]}"] = compressed.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(h5py.h5z, "filter_avail", lambda _: False)
        with pytest.raises(InputError, match=f"{NAMES[0]}.*: climate/data is compressed with the HDF5 filter 1 "):
            fill(archive.url, folder, streams=1)
    assert (folder / f"{NAMES[0]}.part").stat().st_size == compressed.stat().st_size
    fill(archive.url, folder, streams=1)
    assert files.sha256(folder / NAMES[0]) == files.sha256(compressed)


def test_a_second_run_fetches_only_missing_and_damaged_files(archive, source, tmp_path):
    folder = tmp_path / "shard-00000"
    fill(archive.url, folder)
    assert sorted(name for name, _ in archive.requests) == [f"/{path}" for path in PATHS]
    archive.requests.clear()
    fill(archive.url, folder)
    assert archive.requests == []
    (folder / NAMES[0]).unlink()
    with open(folder / NAMES[2], "ab") as file:
        file.write(b"still HDF5, and yet not what was fetched")
    fill(archive.url, folder)
    assert sorted(name for name, _ in archive.requests) == [f"/{PATHS[0]}", f"/{PATHS[2]}"]
    assert_equals_source(folder, source)


def test_a_file_missing_from_the_ledger_is_hashed_instead_of_fetched(archive, source, tmp_path):
    folder = tmp_path / "shard-00000"
    fill(archive.url, folder)
    ledger = (folder / manifest.LEDGER).read_text()
    (folder / manifest.LEDGER).write_text(ledger[:-20])
    (folder / f"{NAMES[0]}.version.part").touch()
    archive.requests.clear()
    fill(archive.url, folder)
    assert archive.requests == []
    assert_equals_source(folder, source)


def test_files_that_were_converted_and_removed_are_not_fetched_again(archive, source, tmp_path):
    hdf5, npy = tmp_path / "hdf5" / "shard-00000", tmp_path / "npy" / "shard-00000"
    fill(archive.url, hdf5, npy_dir=npy)
    convert.convert_shard(hdf5 / manifest.MANIFEST, npy, 2, keep_hdf5=False)
    made = manifest.read(npy / manifest.MANIFEST)
    assert not list(hdf5.glob("*.h5"))
    archive.requests.clear()
    (hdf5 / manifest.MANIFEST).unlink()
    (npy / climate.npy_names(NAMES[1])[1]).unlink()
    fill(archive.url, hdf5, npy_dir=npy)
    assert [name for name, _ in archive.requests] == [f"/{PATHS[1]}"]
    convert.convert_shard(hdf5 / manifest.MANIFEST, npy, 2, keep_hdf5=False)
    assert manifest.read_complete(npy / manifest.MANIFEST) == made
    assert not list(hdf5.glob("*.h5"))


def test_too_little_disk_space_is_reported_before_anything_is_fetched(archive, tmp_path, monkeypatch):
    needed = sum(len(archive.bodies[f"/{path}"]) for path in PATHS)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(InputError, match=f"shard-00000: needs {needed:,} bytes, {needed - 1:,} are free: make room"):
        fill(archive.url, tmp_path / "shard-00000")
    assert archive.requests == []


NGINX_FAULTS = {
    "no ranges": "max_ranges 0;",
    "not found": f"location = /{PATHS[1]} {{ return 404; }}",
    "error": f"location = /{PATHS[1]} {{ return 410; }}",
    "error page": f"location = /{PATHS[1]} {{ default_type text/html; return 200 '<html>busy</html>'; }}",
}


@pytest.mark.parametrize("fault", NGINX_FAULTS)
def test_a_rerun_completes_the_shard_after_a_fault_of_nginx(source, tmp_path, fault):
    folder = tmp_path / "shard-00000"
    nginx = Nginx(tmp_path / "faulty", source, NGINX_FAULTS[fault])
    try:
        if fault == "no ranges":
            fill(nginx.url, folder)
        else:
            with pytest.raises(InputError, match=f"{PATHS[1]}: "):
                fill(nginx.url, folder, streams=1)
    finally:
        nginx.close()
    nginx = Nginx(tmp_path / "healthy", source)
    try:
        fill(nginx.url, folder)
        fetched = [path for path, _, _ in nginx.requests()]
    finally:
        nginx.close()
    assert_equals_source(folder, source)
    assert f"/{PATHS[0]}" not in fetched
