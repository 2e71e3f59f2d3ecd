import errno
import os

import h5py
import numpy as np
import pytest
from deepcam import climate, convert, manifest, synthesis
from deepcam.climate import InputError

NAME, OTHER = climate.synthetic_names(2)
DATA_NPY, LABEL_NPY = climate.npy_names(NAME)


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "h5" / NAME
    synthesis.write_sample(path, 1, 64, 96)
    return path


def rewrite(path, changes):
    """Write the sample again with other keyword arguments for some datasets; None leaves the dataset out."""
    with h5py.File(path) as file:
        arrays = {name: file[name][...] for name in (climate.DATA, *climate.LABELS)}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            options = changes.get(name, {})
            if options is not None:
                file.create_dataset(name, **({"data": array} | options))


def test_both_paths_give_the_bytes_that_numpy_gives(sample, tmp_path):
    with h5py.File(sample) as file:
        data, planes = file[climate.DATA][...], np.stack([file[name][...] for name in climate.LABELS], axis=-1)
        assert convert.is_plain(file[climate.DATA])
    fast = convert.convert_file(sample, tmp_path / "fast")
    rewrite(sample, {climate.DATA: {"chunks": (16, 16, 16), "compression": "gzip"}})
    with h5py.File(sample) as file:
        assert not convert.is_plain(file[climate.DATA])
    assert convert.convert_file(sample, tmp_path / "ordinary") == fast
    np.save(tmp_path / "data.npy", data)
    np.save(tmp_path / "label.npy", planes)
    assert (tmp_path / "fast" / DATA_NPY).read_bytes() == (tmp_path / "data.npy").read_bytes()
    assert (tmp_path / "fast" / LABEL_NPY).read_bytes() == (tmp_path / "label.npy").read_bytes()


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_without_kernel_copies_the_bytes_are_the_same(sample, tmp_path, monkeypatch, reason):
    expected = convert.convert_file(sample, tmp_path / "kernel")

    def refuse(*_):
        raise OSError(reason, "refused")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    assert convert.convert_file(sample, tmp_path / "plain") == expected


def test_a_full_disk_is_not_taken_for_a_missing_kernel_copy(sample, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(OSError, match="no space"):
        convert.convert_file(sample, tmp_path / "npy")
    assert not list((tmp_path / "npy").iterdir())


def test_big_endian_data_keep_their_values(sample, tmp_path):
    expected = convert.convert_file(sample, tmp_path / "native")
    with h5py.File(sample) as file:
        big = file[climate.DATA][...].astype(">f4")
    rewrite(sample, {climate.DATA: {"data": big}})
    assert convert.convert_file(sample, tmp_path / "big") == expected


def test_the_label_dtype_is_kept(sample, tmp_path):
    rewrite(sample, {name: {"dtype": "u1"} for name in climate.LABELS})
    convert.convert_file(sample, tmp_path)
    label = np.load(tmp_path / LABEL_NPY)
    assert label.dtype == np.uint8 and label.shape == (64, 96, 2)


@pytest.mark.parametrize("size", [0, 100, 5000, -1])
def test_a_truncated_file_is_named(sample, tmp_path, size):
    os.truncate(sample, size if size >= 0 else sample.stat().st_size - 1)
    with pytest.raises(InputError, match=NAME) as caught:
        convert.convert_file(sample, tmp_path / "npy")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "npy" / DATA_NPY).exists()


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({climate.LABELS[1]: None}, "no dataset climate/labels_1"),
        ({climate.DATA: {"data": np.zeros((64, 96, 4), np.float32)}}, r"shape \(64, 96, 4\)"),
        ({climate.DATA: {"dtype": "f8"}}, "float64"),
        ({climate.LABELS[0]: {"data": np.zeros((64, 95), np.float32)}}, r"labels_0 has shape \(64, 95\)"),
    ],
)
def test_another_layout_is_refused_with_the_file_and_the_problem(sample, tmp_path, changes, problem):
    rewrite(sample, changes)
    with pytest.raises(InputError, match=f"{NAME}.*{problem}"):
        convert.convert_file(sample, tmp_path / "npy")


def shard(tmp_path, seed=1):
    source = tmp_path / "h5" / "shard-00000"
    synthesis.synthesize_shard([NAME, OTHER], 0, source, seed=seed, height=64, width=96, processes=2)
    convert.convert_shard(source / manifest.MANIFEST, tmp_path / "npy" / "shard-00000", 2)
    return tmp_path / "npy" / "shard-00000"


def test_a_shard_is_converted_once_and_its_manifest_lists_pairs_in_order(tmp_path):
    folder = shard(tmp_path)
    entries = manifest.read_complete(folder / manifest.MANIFEST)
    assert [e.name for e in entries] == [*climate.npy_names(NAME), *climate.npy_names(OTHER)]
    inodes = {e.name: (folder / e.name).stat().st_ino for e in entries}
    os.truncate(folder / DATA_NPY, 1000)
    (folder / f"{DATA_NPY}.part").touch()
    shard(tmp_path)
    assert manifest.read_complete(folder / manifest.MANIFEST) == entries
    changed = {name for name, inode in inodes.items() if (folder / name).stat().st_ino != inode}
    assert changed <= {DATA_NPY, LABEL_NPY}
    assert not list(folder.glob("*.part"))


def test_new_sources_are_converted_again(tmp_path):
    folder = shard(tmp_path, seed=1)
    before = manifest.read(folder / manifest.MANIFEST)
    shard(tmp_path, seed=2)
    assert not set(before) & set(manifest.read(folder / manifest.MANIFEST))


def test_a_failed_conversion_leaves_no_manifest(tmp_path):
    folder = shard(tmp_path)
    source = tmp_path / "h5" / "shard-00000"
    rewrite(source / OTHER, {climate.LABELS[0]: None})
    manifest.write(source / manifest.MANIFEST, [manifest.entry(source / name) for name in (NAME, OTHER)])
    with pytest.raises(InputError, match=OTHER):
        convert.convert_shard(source / manifest.MANIFEST, folder, 2)
    assert not (folder / manifest.MANIFEST).exists()
