"""Verification finds every wrong file, and the next run repairs exactly those."""

import errno
import os

import pytest
from deepcam import climate, files
from deepcam.data import convert, manifest, synthesis, verify
from deepcam.errors import InputError

NAMES = climate.synthetic_names(4)


@pytest.fixture
def folders(tmp_path):
    """dataset.json, the HDF5 folder and the npy folder of two shards with two samples each."""
    dataset, hdf5, npy = tmp_path / "dataset.json", tmp_path / "hdf5", tmp_path / "npy"
    dataset.touch()
    for shard in (0, 1):
        folder = hdf5 / f"shard-0000{shard}"
        names = NAMES[2 * shard : 2 * shard + 2]
        synthesis.synthesize_shard(names, 2 * shard, folder, seed=1, height=32, width=48, processes=1)
        convert.convert_shard(folder / manifest.MANIFEST, npy / folder.name, 1)
    return dataset, hdf5, npy


def flip(path):
    """Change one byte in the middle of a file."""
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 255]))


def test_a_correct_dataset_passes_unchanged(folders):
    before = {path: path.stat().st_mtime_ns for path in folders[0].parent.rglob("*")}
    verify.verify(*folders, 2, 2)
    assert before == {path: path.stat().st_mtime_ns for path in folders[0].parent.rglob("*")}


def test_each_wrong_file_is_reported_and_removed_with_its_manifest_and_nothing_else(folders, caplog):
    dataset, hdf5, npy = folders
    wrong = [
        hdf5 / "shard-00000" / NAMES[0],
        npy / "shard-00001" / climate.npy_names(NAMES[2])[0],
        npy / "shard-00001" / climate.npy_names(NAMES[3])[1],
    ]
    before = set(dataset.parent.rglob("*"))
    flip(wrong[0])
    wrong[1].write_bytes(b"short")
    wrong[2].unlink()
    with pytest.raises(InputError, match=f"3 of 12 files were damaged or missing, the first {wrong[0]}: repair with"):
        verify.verify(*folders, 2, 2)
    after = set(dataset.parent.rglob("*"))
    claims = {npy / f"shard-0000{shard}" / manifest.MANIFEST for shard in (0, 1)}
    assert before - after == {dataset, *wrong, *claims, hdf5 / "shard-00000" / manifest.MANIFEST}
    messages = [record.getMessage() for record in caplog.records]
    assert [str(path) in message for path, message in zip(wrong, messages, strict=True)] == [True] * 3


def test_a_file_that_cannot_be_read_here_and_now_is_named_and_nothing_is_removed(folders, monkeypatch):
    dataset, hdf5, _ = folders
    before = set(dataset.parent.rglob("*"))
    flip(hdf5 / "shard-00000" / NAMES[0])
    right = files.sha256

    def refuse(path):
        if path.name == NAMES[3]:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return right(path)

    monkeypatch.setattr(files, "sha256", refuse)
    with pytest.raises(InputError, match=f"{NAMES[3]}: Too many open files"):
        verify.verify(*folders, 2, 2)
    assert set(dataset.parent.rglob("*")) == before


def test_the_next_conversion_repairs_only_the_wrong_file(folders):
    dataset, hdf5, npy = folders
    path = npy / "shard-00000" / climate.npy_names(NAMES[1])[0]
    right = manifest.read(path.parent / manifest.MANIFEST)
    kept = {other: other.stat().st_ino for other in path.parent.glob(f"*{NAMES[0][5:-3]}*")}
    flip(path)
    with pytest.raises(InputError, match="1 of 12 files"):
        verify.verify(dataset, hdf5, npy, 2, 1)
    convert.convert_shard(hdf5 / "shard-00000" / manifest.MANIFEST, path.parent, 1)
    verify.verify(dataset, hdf5, npy, 2, 1)
    assert manifest.read(path.parent / manifest.MANIFEST) == right
    assert len(kept) == 2 and all(other.stat().st_ino == inode for other, inode in kept.items())


def test_a_wrong_npy_file_whose_source_was_removed_invalidates_the_hdf5_shard(folders):
    dataset, hdf5, npy = folders
    for path in hdf5.glob("*/*.h5"):
        path.unlink()
    verify.verify(dataset, hdf5, npy, 2, 1, keep_hdf5=False)
    flip(npy / "shard-00001" / climate.npy_names(NAMES[2])[0])
    with pytest.raises(InputError, match="1 of 8 files"):
        verify.verify(dataset, hdf5, npy, 2, 1, keep_hdf5=False)
    assert [path.parent.name for path in hdf5.glob(f"*/{manifest.MANIFEST}")] == ["shard-00000"]


def test_hdf5_files_that_an_earlier_configuration_removed_are_not_missed_until_they_are_needed(folders):
    dataset, hdf5, npy = folders
    removed = hdf5 / "shard-00001" / NAMES[2]
    removed.unlink()
    verify.verify(dataset, hdf5, npy, 2, 1)
    flip(npy / "shard-00001" / climate.npy_names(NAMES[2])[0])
    with pytest.raises(InputError, match="1 of 11 files"):
        verify.verify(dataset, hdf5, npy, 2, 1)
    assert [path.parent.name for path in hdf5.glob(f"*/{manifest.MANIFEST}")] == ["shard-00000"]
