"""HDF5 files of somebody else are linked, checked and converted, and never changed."""

import os

import numpy as np
import pytest
import site_example
from deepcam.data import convert, linked_shard, manifest, verify
from deepcam.errors import InputError
from site_example import SHAPE


@pytest.fixture
def site(tmp_path):
    """A folder with three samples, of which one is a link."""
    folder = tmp_path / "site"
    for name in ("data-1.h5", "data-2.h5"):
        site_example.hdf5(folder / name)
    site_example.hdf5(tmp_path / "elsewhere/x.h5")
    (folder / "data-3.h5").symlink_to(tmp_path / "elsewhere/x.h5")
    return folder


def paths(site):
    return sorted(map(str, site.glob("data-*.h5")))


def refused(function, *arguments):
    with pytest.raises(InputError) as error:
        function(*arguments)
    (line,) = error.value.lines
    return line


@pytest.fixture
def converted(site, tmp_path):
    """The folders of the linked and of the converted shard."""
    hdf5, npy = tmp_path / "data/hdf5/shard-00000", tmp_path / "data/npy/shard-00000"
    linked_shard.link_shard(paths(site), hdf5, SHAPE, 2)
    convert.convert_shard(hdf5 / manifest.MANIFEST, npy, 1, keep_hdf5=True)
    return hdf5, npy


def test_linked_files_are_converted_without_a_copy_or_a_change(site, tmp_path):
    before = site_example.state(site)
    hdf5, npy = tmp_path / "data/hdf5/shard-00000", tmp_path / "data/npy/shard-00000"
    linked_shard.link_shard(paths(site), hdf5, SHAPE, 2)
    convert.convert_shard(hdf5 / manifest.MANIFEST, npy, 1)
    assert [os.readlink(path) for path in sorted(hdf5.glob("*.h5"))] == paths(site)
    assert np.load(npy / "data-2.npy").shape == (*SHAPE, 16) and np.load(npy / "label-2.npy").shape == (*SHAPE, 2)
    assert site_example.state(site) == before


def test_even_a_conversion_that_removes_its_source_removes_links_only(site, converted):
    before = site_example.state(site)
    hdf5, npy = converted
    convert.convert_shard(hdf5 / manifest.MANIFEST, npy, 1, keep_hdf5=False)
    assert not list(hdf5.glob("*.h5"))
    assert site_example.state(site) == before


def test_a_file_that_has_not_changed_is_not_hashed_again(site, converted, monkeypatch):
    entries = manifest.read(converted[0] / manifest.MANIFEST)
    monkeypatch.setattr(manifest, "entry", None)
    linked_shard.link_shard(paths(site), converted[0], SHAPE, 1)
    assert manifest.read(converted[0] / manifest.MANIFEST) == entries


def test_a_file_that_has_changed_is_found_by_verify_and_converted_again(site, converted, tmp_path):
    hdf5, npy = converted
    changed = site / "data-2.h5"
    content = bytearray(changed.read_bytes())
    content[-SHAPE[0] * SHAPE[1] * 8 * 2 - 100] ^= 1
    changed.write_bytes(content)
    before = site_example.state(site)
    (tmp_path / "dataset.json").touch()
    line = refused(verify.verify, tmp_path / "dataset.json", hdf5.parent, npy.parent, 1, 2)
    assert line.startswith("1 of 9 files were damaged or missing, the first ") and "data-2.h5" in line
    linked_shard.link_shard(paths(site), hdf5, SHAPE, 1)
    convert.convert_shard(hdf5 / manifest.MANIFEST, npy, 1)
    verify.verify(tmp_path / "dataset.json", hdf5.parent, npy.parent, 1, 2)
    assert site_example.state(site) == before


def test_another_source_replaces_the_links(site, converted, tmp_path):
    other = [str(site_example.hdf5(tmp_path / "other" / name, shape=SHAPE)) for name in ("data-1.h5", "data-2.h5")]
    linked_shard.link_shard(other, converted[0], SHAPE, 1)
    assert [os.readlink(converted[0] / name) for name in ("data-1.h5", "data-2.h5")] == other


@pytest.mark.parametrize(
    ("shape", "channels", "words"),
    [
        (
            (48, 32),
            16,
            "has 48 x 32 pixels, not 32 x 48: if all samples have, set data.height: 48 and data.width: 32, otherwise "
            "leave it out",
        ),
        ((64, 48), 16, "set data.height: 64 and data.width: 48, otherwise leave it out"),
        ((64, 48), 4, "climate/data has shape (64, 48, 4), not (H, W, 16): leave it out, or replace it"),
    ],
)
def test_a_sample_of_another_shape_is_told_before_anything_is_linked(site, shape, channels, words):
    bad = site_example.hdf5(site / "data-0.h5", shape, channels)
    line = refused(linked_shard.check, paths(site), SHAPE)
    assert line.startswith(f"{bad}: ") and line.endswith(words)


def test_a_later_sample_of_another_size_is_found_at_once_and_a_compressed_one_is_fine(site):
    site_example.hdf5(site / "data-4.h5", compression="gzip")
    linked_shard.check(paths(site), SHAPE)
    bad = site_example.hdf5(site / "data-5.h5", shape=(64, 48))
    assert refused(linked_shard.check, paths(site), SHAPE).startswith(f"{bad}: has 64 x 48 pixels")


def test_a_file_that_is_damaged_or_gone_is_told_and_not_removed(site):
    (site / "data-2.h5").write_bytes(b"no HDF5")
    line = refused(linked_shard.check, paths(site), SHAPE)
    assert line.startswith(f"{site}/data-2.h5: ") and line.endswith(": leave it out, or replace it")
    (site / "data-2.h5").unlink()
    (site / "data-2.h5").symlink_to(site / "nowhere")
    assert "data-2.h5: No such file" in refused(linked_shard.check, paths(site), SHAPE)
