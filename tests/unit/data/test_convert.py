"""Conversion of HDF5 samples and shards to npy."""

import errno
import os
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from deepcam import climate
from deepcam.data import convert, manifest, npy, sample_values, synthesis
from deepcam.errors import InputError

NAME, OTHER = climate.synthetic_names(2)
DATA_NPY, LABEL_NPY = climate.npy_names(NAME)


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "h5" / NAME
    synthesis.write_sample(path, 1, 64, 96)
    return path


def rewrite(path, changes):
    """Write the sample again with other arguments for some HDF5 datasets; None leaves the dataset out."""
    with h5py.File(path) as file:
        arrays = {name: file[name][...] for name in (climate.DATA, *climate.LABELS)}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            options = changes.get(name, {})
            if options is not None:
                file.create_dataset(name, **({"data": array} | options))


def read_and_write_only(monkeypatch, error):
    """Let every copy within the kernel fail with an error number, or copy nothing if that is None."""

    def refuse(*_):
        if error is None:
            return 0
        raise OSError(error, "refused")

    for name in ("copy_file_range", "sendfile"):
        monkeypatch.setattr(os, name, refuse)


def test_both_ways_to_convert_give_the_bytes_of_numpy(sample, tmp_path):
    with h5py.File(sample) as file:
        data, planes = file[climate.DATA][...], np.stack([file[name][...] for name in climate.LABELS], axis=-1)
        assert convert.is_contiguous_float32(file[climate.DATA])
    fast = convert.convert_file(sample, tmp_path / "fast")
    rewrite(sample, {climate.DATA: {"chunks": (16, 16, 16), "compression": "gzip"}})
    with h5py.File(sample) as file:
        assert not convert.is_contiguous_float32(file[climate.DATA])
    assert convert.convert_file(sample, tmp_path / "ordinary") == fast
    np.save(tmp_path / "data.npy", data)
    np.save(tmp_path / "label.npy", planes)
    assert (tmp_path / "fast" / DATA_NPY).read_bytes() == (tmp_path / "data.npy").read_bytes()
    assert (tmp_path / "fast" / LABEL_NPY).read_bytes() == (tmp_path / "label.npy").read_bytes()


@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("labels", ["f4", "u1", ">i2"])
def test_headers_of_4096_bytes_change_nothing_but_the_place_of_the_data(sample, tmp_path, contiguous, labels):
    options = {} if contiguous else {climate.DATA: {"chunks": (16, 16, 16), "compression": "gzip"}}
    rewrite(sample, options | {name: {"dtype": labels} for name in climate.LABELS})
    convert.convert_file(sample, tmp_path / "usual")
    entries = convert.convert_file(sample, tmp_path / "block", 4096)
    for entry in entries:
        usual, block = (tmp_path / folder / entry.name for folder in ("usual", "block"))
        assert block.read_bytes()[4096:] == usual.read_bytes()[128:]
        assert len(npy.read_header(block).content) == 4096 and entry == manifest.entry(block)
        assert np.load(block).dtype == np.load(usual).dtype
        np.testing.assert_array_equal(np.load(block), np.load(usual))
    noted = [list(sample_values.read(tmp_path / folder).values()) for folder in ("usual", "block")]
    assert noted[0] == noted[1] and len(noted[0]) == 1


REFUSALS = [
    *(errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EIO, errno.EACCES, errno.EBADF),
    *(errno.ETXTBSY, errno.EOVERFLOW, None),
]


@pytest.mark.parametrize("reason", REFUSALS)
def test_the_bytes_are_the_same_if_the_kernel_cannot_copy(sample, tmp_path, monkeypatch, reason):
    expected = convert.convert_file(sample, tmp_path / "kernel")
    read_and_write_only(monkeypatch, reason)
    assert convert.convert_file(sample, tmp_path / "plain") == expected


def test_sendfile_is_tried_before_read_and_write(sample, tmp_path, monkeypatch):
    expected = convert.convert_file(sample, tmp_path / "kernel")
    sendfile = os.sendfile
    read_and_write_only(monkeypatch, errno.EXDEV)
    # A few bytes a call: what was copied before a call must not be copied again.
    monkeypatch.setattr(
        os, "sendfile", lambda to, source, offset, count: sendfile(to, source, offset, min(count, 9999))
    )
    monkeypatch.setattr(os, "pread", None)
    assert convert.convert_file(sample, tmp_path / "sendfile") == expected


def test_a_copy_that_fails_halfway_continues_with_another_method(sample, tmp_path, monkeypatch):
    expected = convert.convert_file(sample, tmp_path / "kernel")
    copy, calls = os.copy_file_range, []

    def once(source, target, count, offset):
        calls.append(count)
        if len(calls) > 1:
            raise OSError(errno.EINVAL, "refused")
        return copy(source, target, 1000, offset)

    monkeypatch.setattr(os, "copy_file_range", once)
    assert convert.convert_file(sample, tmp_path / "mixed") == expected
    assert len(calls) == 2


def test_a_file_that_cannot_be_read_is_reported_by_name_and_stays(sample, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    read_and_write_only(monkeypatch, errno.EIO)
    monkeypatch.setattr(os, "pread", refuse)
    with pytest.raises(InputError, match=f"{DATA_NPY}: Input/output error while .* copied from .*{NAME}") as refused:
        convert.convert_file(sample, tmp_path / "npy")
    assert "delete" not in str(refused.value)
    assert sample.exists() and not list((tmp_path / "npy").iterdir())


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_with_the_free_bytes_and_leaves_no_file(sample, tmp_path, monkeypatch, reason):
    read_and_write_only(monkeypatch, reason)
    with pytest.raises(InputError, match=f"{DATA_NPY}: no space left .* bytes free"):
        convert.convert_file(sample, tmp_path / "npy")
    assert not list((tmp_path / "npy").iterdir())


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">f8"])
def test_values_of_other_float_types_are_kept(sample, tmp_path, dtype):
    expected = convert.convert_file(sample, tmp_path / "native")
    with h5py.File(sample) as file:
        other = file[climate.DATA][...].astype(dtype)
    rewrite(sample, {climate.DATA: {"data": other}})
    assert convert.convert_file(sample, tmp_path / "other") == expected


def test_values_of_big_endian_labels_are_kept(sample, tmp_path):
    rewrite(sample, {name: {"dtype": ">i2"} for name in climate.LABELS})
    with h5py.File(sample) as file:
        planes = [file[name][...] for name in climate.LABELS]
    convert.convert_file(sample, tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / LABEL_NPY), np.stack(planes, axis=-1))


def test_the_dtype_of_labels_is_kept(sample, tmp_path):
    rewrite(sample, {name: {"dtype": "u1"} for name in climate.LABELS})
    convert.convert_file(sample, tmp_path)
    label = np.load(tmp_path / LABEL_NPY)
    assert label.dtype == np.uint8 and label.shape == (64, 96, 2)


@pytest.mark.parametrize("size", [0, 100, 5000, -1])
def test_a_truncated_file_is_reported_by_name(sample, tmp_path, size):
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
        ({climate.DATA: {"data": np.zeros((64, 96, 16), np.float16)}}, "float16"),
        ({climate.LABELS[0]: {"data": np.zeros((64, 95), np.float32)}}, r"labels_0 has shape \(64, 95\)"),
    ],
)
def test_another_layout_is_rejected_with_the_file_and_the_problem(sample, tmp_path, changes, problem):
    rewrite(sample, changes)
    with pytest.raises(InputError, match=f"{NAME}.*{problem}"):
        convert.convert_file(sample, tmp_path / "npy")


def shard(tmp_path, seed=1, keep_hdf5=True, header_bytes=128):
    source = tmp_path / "h5" / "shard-00000"
    synthesis.synthesize_shard([NAME, OTHER], 0, source, seed=seed, height=64, width=96, processes=2)
    convert.convert_shard(source / manifest.MANIFEST, tmp_path / "npy" / "shard-00000", 2, keep_hdf5, header_bytes)
    return tmp_path / "npy" / "shard-00000"


def test_a_shard_is_converted_once_and_its_manifest_lists_the_pairs_in_order(tmp_path):
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


def test_changed_sources_are_converted_again(tmp_path):
    folder = shard(tmp_path, seed=1)
    before = manifest.read(folder / manifest.MANIFEST)
    shard(tmp_path, seed=2)
    assert not set(before) & set(manifest.read(folder / manifest.MANIFEST))


def header_sizes(folder):
    return {len(npy.read_header(path).content) for path in folder.glob("*.npy")}


def test_another_header_size_makes_all_npy_files_again_and_the_same_one_makes_none(tmp_path):
    folder = shard(tmp_path)
    assert header_sizes(folder) == {128}
    shard(tmp_path, header_bytes=4096)
    assert header_sizes(folder) == {4096}
    assert [manifest.entry(folder / entry.name) for entry in manifest.read(folder / manifest.MANIFEST)] == (
        manifest.read(folder / manifest.MANIFEST)
    )
    inodes = {path.name: path.stat().st_ino for path in folder.glob("*.npy")}
    shard(tmp_path, header_bytes=4096)
    assert inodes == {path.name: path.stat().st_ino for path in folder.glob("*.npy")}


def test_other_headers_need_the_hdf5_files_and_the_error_says_what_to_do(tmp_path):
    folder = shard(tmp_path, keep_hdf5=False)
    source = tmp_path / "h5" / "shard-00000" / manifest.MANIFEST
    with pytest.raises(InputError) as refused:
        convert.convert_shard(source, folder, 2, keep_hdf5=False, header_bytes=4096)
    assert refused.value.lines == (
        f"{folder / DATA_NPY}: has a header of 128 bytes instead of 4096, and its HDF5 file was removed: set "
        f"data.npy_header_bytes: 128, or delete {folder} and {source} and run again",
    )
    convert.convert_shard(source, folder, 2, keep_hdf5=False)
    assert header_sizes(folder) == {128}
    shutil.rmtree(folder)
    source.unlink()
    assert header_sizes(shard(tmp_path, keep_hdf5=False, header_bytes=4096)) == {4096}


def test_a_failed_conversion_leaves_no_manifest(tmp_path):
    folder = shard(tmp_path)
    source = tmp_path / "h5" / "shard-00000"
    rewrite(source / OTHER, {climate.LABELS[0]: None})
    manifest.write(source / manifest.MANIFEST, [manifest.entry(source / name) for name in (NAME, OTHER)])
    with pytest.raises(InputError, match=OTHER):
        convert.convert_shard(source / manifest.MANIFEST, folder, 2)
    assert not (folder / manifest.MANIFEST).exists()


def test_a_source_with_a_new_modification_time_is_not_converted_again(tmp_path):
    folder = shard(tmp_path)
    inodes = {path.name: path.stat().st_ino for path in folder.glob("*.npy")}
    for path in (tmp_path / "h5" / "shard-00000").iterdir():
        path.touch()
    shard(tmp_path)
    assert inodes == {path.name: path.stat().st_ino for path in folder.glob("*.npy")}


def test_hdf5_files_are_removed_on_request_after_conversion(tmp_path):
    folder = shard(tmp_path, keep_hdf5=False)
    assert len(manifest.read_complete(folder / manifest.MANIFEST)) == 4
    source = tmp_path / "h5" / "shard-00000"
    assert sorted(path.name for path in source.iterdir()) == [manifest.MANIFEST]
    convert.convert_shard(source / manifest.MANIFEST, folder, 2, keep_hdf5=False)
    (folder / DATA_NPY).unlink()
    with pytest.raises(InputError, match=f"{NAME}: is missing.*delete .*{manifest.MANIFEST}"):
        convert.convert_shard(source / manifest.MANIFEST, folder, 2, keep_hdf5=False)


def test_an_hdf5_file_is_kept_if_its_npy_file_differs(tmp_path):
    folder = shard(tmp_path)
    source = tmp_path / "h5" / "shard-00000"
    with open(folder / DATA_NPY, "r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"!")
    with pytest.raises(InputError, match=f"{DATA_NPY}: differs from"):
        convert.convert_shard(source / manifest.MANIFEST, folder, 1, keep_hdf5=False)
    assert (source / NAME).exists()


def test_too_little_disk_space_is_reported_with_the_bytes(tmp_path, monkeypatch):
    source = tmp_path / "h5" / "shard-00000"
    synthesis.synthesize_shard([NAME], 0, source, seed=1, height=64, width=96, processes=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"shard-00000: needs [0-9,]+ bytes, 1,000 are free"):
        convert.convert_shard(source / manifest.MANIFEST, tmp_path / "npy" / "shard-00000", 1)
