"""Samples at other places: copies with the same hashes, made once, whatever ends a job."""

import errno
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import site_example
from dataset_example import dataset as example
from deepcam import files
from deepcam.data import copies, manifest, verify
from deepcam.data.dataset import Sample, from_description
from deepcam.errors import InputError

NAMES = [f"data-{number}.npy" for number in range(3)]


@pytest.fixture(name="original", params=[True, False], ids=["hashed", "in place"])
def _original(request, tmp_path):
    """dataset.json of three samples. Those of a site have no hashes."""
    samples = []
    for name in NAMES:
        path = site_example.npy(tmp_path / "first" / name)
        digest = files.sha256(path) if request.param else None
        label = path.with_name(name.replace("data", "label"))
        samples.append(Sample(data=path, label=label, bytes=path.stat().st_size, sha256=digest))
        os.utime(path, ns=(10**18, 10**18))
    made = example(shape=(*site_example.SHAPE, 16), samples=3)
    made = made.model_copy(update={"samples": tuple(samples), "total_bytes": sum(one.bytes for one in samples)})
    made.write(tmp_path / "first/dataset.json")
    return tmp_path / "first/dataset.json"


def shards(original):
    return original.parents[1] / "second/npy"


def copy(original, numbers=(0, 1)):
    for number in numbers:
        copies.copy_shard(original, number, 2, shards(original) / f"shard-0000{number}", threads=2)


def described(original):
    target = original.parents[1] / "second/dataset.json"
    copies.describe(original, shards(original), 2, target.parent).write(target)
    return target


def copied(original):
    return sorted(shards(original).rglob("data-*.npy"))


def times(original):
    return {path: path.stat().st_mtime_ns for path in copied(original)}


def test_copies_are_those_of_the_samples_and_labels_stay(original):
    copy(original)
    found, first = from_description(described(original)), from_description(original)
    assert [path.name for path in found.files] == NAMES
    assert [path.parent.name for path in found.files] == ["shard-00000", "shard-00000", "shard-00001"]
    assert found.labels == first.labels
    for path, theirs in zip(found.files, first.files, strict=True):
        np.testing.assert_array_equal(np.load(path), np.load(theirs))
    assert [sample.sha256 for sample in found.samples] == [files.sha256(path) for path in first.files]
    assert found.model_copy(update={"samples": first.samples}) == first


def test_a_second_job_copies_nothing_again(original):
    copy(original)
    before = times(original)
    copy(original)
    assert times(original) == before
    assert all((shards(original) / f"shard-0000{number}" / manifest.MANIFEST).exists() for number in (0, 1))


def test_a_sample_that_has_changed_is_copied_again(original):
    copy(original)
    path = original.parent / NAMES[0]
    np.save(path, np.load(path) + 1)
    content = from_description(original)
    if content.samples[0].sha256:
        changed = content.samples[0].model_copy(update={"sha256": files.sha256(path)})
        content.model_copy(update={"samples": (changed, *content.samples[1:])}).write(original)
    before = times(original)
    copy(original)
    assert [path.name for path, time in times(original).items() if time != before[path]] == [NAMES[0]]
    np.testing.assert_array_equal(np.load(copied(original)[0]), np.load(path))


def test_a_job_that_was_killed_goes_on_with_the_file_that_was_not_complete(original, monkeypatch):
    copyfile = shutil.copyfile

    def killed(source, target):
        if source.name == NAMES[1]:
            target.write_bytes(b"half")
            raise KeyboardInterrupt
        copyfile(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", killed)
        with pytest.raises(KeyboardInterrupt):
            copies.copy_shard(original, 0, 2, shards(original) / "shard-00000", threads=1)
    (shards(original) / "shard-00000" / f"{NAMES[1]}{files.TEMPORARY}").write_bytes(b"of a process without an end")
    assert not (shards(original) / "shard-00000" / manifest.MANIFEST).exists()
    before = times(original)
    assert [path.name for path in before] == NAMES[:1]
    copy(original)
    assert {path: times(original)[path] for path in before} == before
    assert not list(shards(original).rglob("*" + files.TEMPORARY))


def test_a_copy_with_another_hash_is_refused_and_removed(original, monkeypatch):
    def damaging(source, target):
        content = bytearray(source.read_bytes())
        content[len(content) // 2] ^= 255
        target.write_bytes(content)

    monkeypatch.setattr(shutil, "copyfile", damaging)
    with pytest.raises(InputError, match=r"second/npy/shard-00000/data-.\.npy: the copy's SHA-256 is not that of"):
        copy(original)
    assert not copied(original) and not list(shards(original).rglob(manifest.MANIFEST))


def test_the_space_is_checked_before_the_first_copy(original, monkeypatch):
    needed = 2 * (original.parent / NAMES[0]).stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(InputError, match=f"shard-00000: needs {needed:,} bytes, {needed - 1:,} are free: make room"):
        copy(original)
    assert not copied(original)


def test_a_disk_that_is_full_in_the_middle_of_a_copy_is_named(original, monkeypatch):
    def full(source, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(InputError, match=r"second/npy/shard-00000/data-.\.npy: no space left \([0-9,]+ bytes free\)"):
        copy(original)
    assert not copied(original) and not list(shards(original).rglob("*" + files.TEMPORARY))


def test_samples_are_never_copied_onto_themselves(original):
    with pytest.raises(InputError, match=r"the same folder as .*: give each place its own"):
        copies.copy_shard(original, 0, 2, original.parent, threads=1)
    assert from_description(original).num_samples == 3


def test_copies_of_other_samples_are_not_described(original):
    copy(original, (0,))
    with pytest.raises(InputError, match="manifest"):
        described(original)
    manifest.write(shards(original) / "shard-00001" / manifest.MANIFEST, [])
    with pytest.raises(InputError, match="its manifests do not list the samples of"):
        described(original)


def test_verification_removes_a_damaged_copy_and_the_next_job_replaces_it(original):
    copy(original)
    target = described(original)
    verify.verify_copies([target], 2)
    path = copied(original)[1]
    before = times(original)
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InputError, match=f"1 of 3 copies were damaged or missing, the first {path}: repair with"):
        verify.verify_copies([target], 2)
    assert not path.exists() and not target.exists() and not (path.parent / manifest.MANIFEST).exists()
    copy(original)
    assert [one for one, time in times(original).items() if before[one] != time] == [path]
    verify.verify_copies([described(original)], 2)
