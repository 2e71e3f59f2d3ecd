"""Listing the archive's samples: which listings are accepted, and which samples are chosen."""

import pytest
from deepcam import climate
from deepcam.data import download, http_transfer
from deepcam.errors import InputError
from servers import FaultServer

NAMES = climate.synthetic_names(3)
PATHS = [f"validation/{name}" for name in NAMES]


@pytest.fixture
def archive():
    server = FaultServer()
    put_index(server, "".join(f"{name}\n" for name in reversed(NAMES)))
    yield server
    server.close()


@pytest.fixture
def connection():
    with http_transfer.session(2) as connection:
        yield connection


def put_index(archive, text, split="validation"):
    archive.bodies[f"/{split}/files.txt"] = text.encode()


def test_a_listing_is_sorted_and_has_no_duplicates_or_blank_lines(archive, connection):
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
def test_a_listing_with_a_bad_line_is_rejected_with_the_line_number(archive, connection, line):
    put_index(archive, f"{NAMES[0]}\n\n{line}\n")
    with pytest.raises(InputError, match=r"/validation/files.txt, line 3: ") as refused:
        download.fetch_index(archive.url, "validation", connection)
    assert len(str(refused.value)) < 400 and "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_listing_is_rejected(archive, connection, text):
    put_index(archive, text)
    with pytest.raises(InputError, match=r"files\.txt: is empty"):
        download.fetch_index(archive.url, "validation", connection)


def test_a_source_with_too_few_files_is_rejected_with_their_number(archive):
    assert download.index_paths(archive.url, "validation", 2) == PATHS[:2]
    with pytest.raises(InputError, match=r"has 3 files in validation, not 4: set data\.num_files: 3"):
        download.index_paths(archive.url, "validation", 4)


def test_all_files_must_be_as_many_as_the_workflow_planned_for(archive, monkeypatch):
    monkeypatch.setattr(climate, "SAMPLES_IN_ARCHIVE", {"train": 1, "validation": 3})
    assert download.index_paths(archive.url, "validation", "all") == PATHS
    put_index(archive, "data-2001-01-01-00-0.h5\n", "train")
    assert download.index_paths(archive.url, "all", "all") == ["train/data-2001-01-01-00-0.h5", *PATHS]
    for number in (2, 4):
        monkeypatch.setitem(climate.SAMPLES_IN_ARCHIVE, "validation", number)
        with pytest.raises(InputError, match=f"has 3 files in validation, not {number}: set data.num_files: 3"):
            download.index_paths(archive.url, "validation", "all")


def test_all_is_136424_samples_at_the_archive_and_an_error_for_synthetic_data():
    assert climate.sample_count("nersc", "all", "all") == 136_424
    assert climate.sample_count("nersc", "validation", "all") == 15_158
    with pytest.raises(InputError, match=r"data\.num_files: all"):
        climate.sample_count("synthetic", "validation", "all")


def test_a_file_name_in_two_splits_is_rejected(archive):
    put_index(archive, f"{NAMES[1]}\n", "train")
    with pytest.raises(InputError, match=f"{NAMES[1]} is in more than one split"):
        download.index_paths(archive.url, "all", 3)


def test_the_synthetic_index_needs_no_server():
    assert download.index_paths("synthetic", "validation", 3) == [f"synthetic/{name}" for name in NAMES]
    with pytest.raises(InputError, match="must be at least 1"):
        download.index_paths("synthetic", "validation", 0)


def test_an_unknown_source_is_rejected():
    assert download.base_url("nersc") == climate.NERSC_URL
    with pytest.raises(InputError, match="nresc"):
        download.base_url("nresc")
