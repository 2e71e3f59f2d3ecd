"""Manifests, ledgers and shard folders; how programs end."""

import pytest
from deepcam import climate
from deepcam.data import manifest
from deepcam.errors import InputError

NAMES = climate.synthetic_names(7)
PATHS = [f"train/{name}" for name in NAMES]


def test_entries_are_read_as_written(tmp_path):
    entries = [manifest.Entry("data-a.npy", 12, "0" * 64), manifest.Entry("label-a.npy", 3, "f" * 64)]
    manifest.write(tmp_path / "manifest.tsv", entries)
    assert (tmp_path / "manifest.tsv").read_text().splitlines()[0] == "name\tbytes\tsha256"
    assert manifest.read(tmp_path / "manifest.tsv") == entries


@pytest.mark.parametrize(
    "text, place",
    [
        ("", "line 1"),
        ("name\n", "line 1"),
        ("name\tbytes\tsha256\na\t1\n", "line 2"),
        (f"name\tbytes\tsha256\na\tx\t{'0' * 64}\n", "line 2"),
        (f"name\tbytes\tsha256\n../a\t1\t{'0' * 64}\n", "line 2"),
    ],
)
def test_a_damaged_manifest_is_rejected_with_the_line(tmp_path, text, place):
    (tmp_path / "manifest.tsv").write_text(text)
    with pytest.raises(InputError, match=f"manifest.tsv, {place}"):
        manifest.read(tmp_path / "manifest.tsv")


def test_a_missing_manifest_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"absent\.tsv"):
        manifest.read(tmp_path / "absent.tsv")


def test_the_ledger_gives_the_latest_entry_and_skips_an_incomplete_line(tmp_path):
    first, second = (manifest.Entry("data-a.npy", size, digit * 64) for size, digit in ((1, "0"), (2, "f")))
    other = manifest.Entry("label-a.npy", 3, "a" * 64)
    assert manifest.read_ledger(tmp_path) == {}
    manifest.append_to_ledger(tmp_path, [first, other])
    manifest.append_to_ledger(tmp_path, [second])
    with open(tmp_path / manifest.LEDGER, "a") as file:
        file.write("data-b.npy\t12\t00")
    manifest.append_to_ledger(tmp_path, [manifest.Entry("data-c.npy", 1, "0" * 64)])
    assert manifest.read_ledger(tmp_path) == {"data-a.npy": second, "label-a.npy": other}


def test_missing_files_and_files_of_another_size_are_found(tmp_path):
    for name in ("right", "short"):
        (tmp_path / name).write_bytes(b"1234")
    entries = [manifest.Entry(name, size, "0" * 64) for name, size in (("right", 4), ("short", 5), ("gone", 4))]
    assert manifest.not_in_place(tmp_path, entries) == ["short", "gone"]
    manifest.write(tmp_path / "manifest.tsv", entries)
    with pytest.raises(InputError, match="short"):
        manifest.read_complete(tmp_path / "manifest.tsv")


def test_opening_a_folder_removes_only_its_manifest_and_what_a_killed_process_left(tmp_path):
    folder = tmp_path / "shard-00000"
    folder.mkdir()
    for name in ("data-keep.h5", "data-other.h5", "data-x.h5.part", "data-y.h5.part", "notes.txt", "manifest.tsv"):
        (folder / name).touch()
    with manifest.exclusive_folder(folder, ["data-keep.h5"], ["data-x.h5.part"]):
        left = sorted(path.name for path in folder.iterdir())
        assert left == ["data-keep.h5", "data-other.h5", "data-x.h5.part", "notes.txt"]
    with manifest.exclusive_folder(folder, ["data-keep.h5"]):
        assert sorted(path.name for path in folder.iterdir()) == ["data-keep.h5", "data-other.h5", "notes.txt"]


def write_shard(folder, names):
    """Make files that contain their own names, with their ledger and manifest."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    entries = [manifest.entry(folder / name) for name in names]
    manifest.append_to_ledger(folder, entries)
    manifest.write(folder / manifest.MANIFEST, entries)
    return entries


def test_files_of_other_shards_are_moved_with_their_entries_and_a_manifest_that_lists_them_is_removed(tmp_path):
    first, second, third = (tmp_path / f"shard-0000{i}" for i in range(3))
    entries = write_shard(first, ["data-a.h5", "data-b.h5", "data-c.h5"])
    write_shard(second, ["data-d.h5"])
    (first / "data-c.h5").unlink()  # it was removed after its conversion
    with manifest.exclusive_folder(third, ["data-b.h5", "data-c.h5", "data-e.h5"]):
        assert manifest.read_ledger(third) == {entry.name: entry for entry in entries[1:]}
        assert (third / "data-b.h5").read_text() == "data-b.h5"
        assert sorted(path.name for path in third.iterdir()) == ["data-b.h5", manifest.LEDGER]
    assert sorted(path.name for path in first.iterdir()) == ["data-a.h5", manifest.LEDGER]
    assert (second / manifest.MANIFEST).exists()


def test_folders_that_are_not_shards_are_left_alone(tmp_path):
    write_shard(tmp_path / "copy", ["data-a.h5"])
    for name in ("shard-00000", "mine"):
        with manifest.exclusive_folder(tmp_path / name, ["data-a.h5"]):
            assert not list((tmp_path / name).iterdir())
