"""The archive's index, and shards of its files, from servers that work and servers that do not."""

import io
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from deepcam import climate, files
from deepcam.data import convert, download, http_transfer, manifest, progress, synthesis
from deepcam.errors import InputError
from servers import FaultServer, Nginx

NAMES = climate.synthetic_names(3)
PATHS = [f"validation/{name}" for name in NAMES]
SHAPE = (64, 96)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder laid out as the archive."""
    folder = tmp_path_factory.mktemp("source")
    for seed, path in enumerate(PATHS):
        synthesis.write_sample(folder / path, seed, *SHAPE)
    (folder / "validation" / "files.txt").write_text("".join(f"{name}\n" for name in reversed(NAMES)))
    return folder


@pytest.fixture
def archive(source):
    server = FaultServer()
    server.bodies = {f"/{path.relative_to(source)}": path.read_bytes() for path in source.glob("*/*")}
    yield server
    server.close()


@pytest.fixture
def connection():
    with http_transfer.session(2) as connection:
        yield connection


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(http_transfer, "RETRY", http_transfer.RETRY.new(backoff_factor=0, backoff_jitter=0))


def fill(url, folder, streams=2, **options):
    download.download_shard(url, PATHS, folder, streams=streams, shape=SHAPE, **options)


def assert_equals_source(folder, source):
    """All of the source, byte for byte, as the manifest says, and nothing besides."""
    entries = manifest.read_complete(folder / manifest.MANIFEST)
    assert [entry.name for entry in entries] == NAMES
    for entry, path in zip(entries, PATHS, strict=True):
        assert entry.sha256 == files.sha256(source / path) == files.sha256(folder / entry.name)
    assert {path.name for path in folder.iterdir()} == {*NAMES, manifest.MANIFEST, manifest.LEDGER}


def put_index(archive, text, split="validation"):
    archive.bodies[f"/{split}/files.txt"] = text.encode()


def test_the_index_is_sorted_and_without_duplicates_or_blank_lines(archive, connection):
    put_index(archive, f"\n{NAMES[2]}\r\n\n  {NAMES[0]}\n{NAMES[2]}\n\n")
    assert download.fetch_index(archive.url, "validation", connection) == [NAMES[0], NAMES[2]]


@pytest.mark.parametrize(
    "line",
    [
        "../../x.h5",
        f"../{NAMES[0]}",
        f"/etc/{NAMES[0]}",
        f"http://elsewhere/{NAMES[0]}",
        "..",
        "data-1996-06-01-00-0.h5.exe",
        "data-١٩٩٦-06-01-00-0.h5",
        "data-" + "1" * 100_000 + ".h5",
        "<html>moved</html>",
        f"{NAMES[0]}\x00",
        f"{NAMES[0]}\u2028{NAMES[1]}",
    ],
)
def test_a_line_that_is_not_a_sample_is_refused_with_its_number(archive, connection, line):
    put_index(archive, f"{NAMES[0]}\n\n{line}\n")
    with pytest.raises(InputError, match=r"/validation/files.txt, line 3: ") as refused:
        download.fetch_index(archive.url, "validation", connection)
    assert len(str(refused.value)) < 400 and "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_index_is_refused(archive, connection, text):
    put_index(archive, text)
    with pytest.raises(InputError, match=r"files\.txt: is empty"):
        download.fetch_index(archive.url, "validation", connection)


def test_too_few_files_are_counted(archive):
    assert download.index_paths(archive.url, "validation", 2) == PATHS[:2]
    with pytest.raises(InputError, match=r"has 3 files in validation, not 4: set data\.num_files: 3"):
        download.index_paths(archive.url, "validation", 4)


def test_all_files_are_the_number_that_was_planned_for_or_an_error_that_gives_it(archive, monkeypatch):
    monkeypatch.setattr(climate, "SAMPLES_IN_ARCHIVE", {"train": 1, "validation": 3})
    assert download.index_paths(archive.url, "validation", "all") == PATHS
    put_index(archive, "data-2001-01-01-00-0.h5\n", "train")
    assert download.index_paths(archive.url, "all", "all") == ["train/data-2001-01-01-00-0.h5", *PATHS]
    for number in (2, 4):
        monkeypatch.setitem(climate.SAMPLES_IN_ARCHIVE, "validation", number)
        with pytest.raises(InputError, match=f"has 3 files in validation, not {number}: set data.num_files: 3"):
            download.index_paths(archive.url, "validation", "all")


def test_the_archive_has_136424_samples_and_synthesis_has_no_all():
    assert climate.sample_count("nersc", "all", "all") == 136_424
    assert climate.sample_count("nersc", "validation", "all") == 15_158
    with pytest.raises(InputError, match=r"data\.num_files: all"):
        climate.sample_count("synthetic", "validation", "all")


def test_a_name_in_two_splits_is_refused(archive):
    put_index(archive, f"{NAMES[1]}\n", "train")
    with pytest.raises(InputError, match=f"{NAMES[1]} is in more than one split"):
        download.index_paths(archive.url, "all", 3)


def test_the_synthetic_index_needs_no_server():
    assert download.index_paths("synthetic", "validation", 3) == [f"synthetic/{name}" for name in NAMES]
    with pytest.raises(InputError, match="must be at least 1"):
        download.index_paths("synthetic", "validation", 0)


def test_an_unknown_source_is_refused():
    assert download.base_url("nersc") == climate.NERSC_URL
    with pytest.raises(InputError, match="nresc"):
        download.base_url("nresc")


@pytest.mark.parametrize("fault", ["reset", "truncated", "length too large", 500, "stall"])
def test_a_fault_that_passes_is_overcome_in_the_same_run(archive, source, tmp_path, fault, monkeypatch):
    monkeypatch.setattr(http_transfer, "READ_SECONDS", 0.3)
    archive.faults = {f"/{path}": [fault] for path in PATHS}
    fill(archive.url, tmp_path / "shard-00000")
    assert_equals_source(tmp_path / "shard-00000", source)


@pytest.mark.parametrize("fault", ["length too small", "error page", 404])
def test_a_fault_that_stays_names_the_url_and_a_rerun_fetches_the_rest(archive, source, tmp_path, fault):
    archive.faults = {f"/{PATHS[1]}": [fault]}
    with pytest.raises(InputError, match=f"{archive.url}/{PATHS[1]}: ") as failed:
        fill(archive.url, tmp_path / "shard-00000", streams=1)
    assert "\n" not in str(failed.value)
    assert not (tmp_path / "shard-00000" / manifest.MANIFEST).exists()
    assert not list(tmp_path.glob("*/*.part"))
    fill(archive.url, tmp_path / "shard-00000", streams=1)
    assert_equals_source(tmp_path / "shard-00000", source)
    assert [len(archive.gets(f"/{path}")) for path in PATHS] == [1, 2, 1]


def test_after_a_failure_nothing_more_is_begun(archive, tmp_path):
    archive.faults = {f"/{PATHS[0]}": [404]}
    with pytest.raises(InputError, match="answered 404"):
        fill(archive.url, tmp_path / "shard-00000", streams=1)
    assert len(archive.gets()) <= 2


def wrong_samples(folder):
    """(name, kind) of samples that are HDF5 and yet not what the archive holds."""
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


def test_hdf5_of_another_layout_is_refused_and_leaves_nothing(archive, source, tmp_path):
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


def test_a_file_that_points_into_another_file_is_refused(tmp_path):
    synthesis.write_sample(tmp_path / NAMES[0], 0, *SHAPE)
    with h5py.File(tmp_path / NAMES[1], "w") as file:
        for name in (climate.DATA, *climate.LABELS):
            file[name] = h5py.ExternalLink(NAMES[0], name)
    with pytest.raises(InputError, match="lies in another file"), convert.open_sample(tmp_path / NAMES[1]):
        pass


def test_a_second_run_fetches_only_what_is_missing_or_broken(archive, source, tmp_path):
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


def test_a_file_that_lacks_in_the_ledger_is_hashed_not_fetched(archive, source, tmp_path):
    folder = tmp_path / "shard-00000"
    fill(archive.url, folder)
    ledger = (folder / manifest.LEDGER).read_text()
    (folder / manifest.LEDGER).write_text(ledger[:-20])
    (folder / f"{NAMES[0]}.version.part").touch()
    archive.requests.clear()
    fill(archive.url, folder)
    assert archive.requests == []
    assert_equals_source(folder, source)


def test_what_was_converted_and_removed_is_not_fetched_again(archive, source, tmp_path):
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


def test_files_that_do_not_fit_are_refused_with_the_figures_before_any_is_fetched(archive, tmp_path, monkeypatch):
    needed = sum(len(archive.bodies[f"/{path}"]) for path in PATHS)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(InputError, match=f"shard-00000: needs {needed:,} bytes, {needed - 1:,} are free: make room"):
        fill(archive.url, tmp_path / "shard-00000")
    assert archive.requests == []


def test_progress_is_a_log_line_with_rate_and_time_left(caplog, monkeypatch):
    monkeypatch.setattr(progress, "LOG_SECONDS", 0)
    with caplog.at_level("INFO"), progress.transferring("shard-00007", 4_000_000) as advance:
        advance(1_000_000)
        advance(1_000_000)
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("shard-00007: 2.00M of 4.00M, ") and line.endswith(" left") for line in lines), lines
    assert not any("\r" in line for line in lines)


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.transferring("shard-00007", 4_000_000) as advance:
        advance(2_000_000)
    assert "shard-00007:  50%|" in terminal.getvalue()


NGINX_FAULTS = {
    "no ranges": "max_ranges 0;",
    "not found": f"location = /{PATHS[1]} {{ return 404; }}",
    "error": f"location = /{PATHS[1]} {{ return 410; }}",
    "error page": f"location = /{PATHS[1]} {{ default_type text/html; return 200 '<html>busy</html>'; }}",
}


@pytest.mark.parametrize("fault", NGINX_FAULTS)
def test_after_a_fault_of_nginx_a_rerun_against_the_healthy_one_has_all(source, tmp_path, fault):
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
