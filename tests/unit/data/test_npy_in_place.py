"""npy files of somebody else are described and verified where they are."""

import numpy as np
import pytest
import site_example
from deepcam.climate import CHANNELS
from deepcam.data import npy, npy_in_place
from deepcam.data.dataset import Channel, from_description
from deepcam.errors import InputError
from site_example import SHAPE


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    for name in ("data-1.npy", "data-2.npy", "data-3.npy"):
        site_example.npy(folder / name)
    return folder


def describe(site, with_labels=True, **options):
    paths = sorted(map(str, site.glob("data-*.npy")))
    return npy_in_place.describe(paths, str(site), SHAPE, 2, with_labels, **options)


def refused(function, *arguments, **options):
    with pytest.raises(InputError) as error:
        function(*arguments, **options)
    (line,) = error.value.lines
    return line


def test_a_description_has_absolute_paths_and_statistics_and_changes_nothing(site, tmp_path):
    before = site_example.state(site)
    describe(site).write(tmp_path / "elsewhere/dataset.json")
    described = from_description(tmp_path / "elsewhere/dataset.json")
    assert described.files == tuple(sorted(site.glob("data-*.npy")))
    assert described.labels == tuple(sorted(site.glob("label-*.npy")))
    values = np.concatenate([np.load(path).reshape(-1, 16) for path in described.files]).astype(float)
    assert [channel.mean for channel in described.channels] == pytest.approx(values.mean(0))
    labels = np.concatenate([np.load(path)[..., 0] for path in described.labels])
    assert described.class_fractions == pytest.approx([(labels == i).mean() for i in range(3)])
    assert (described.statistics, described.total_bytes) == ("computed", 3 * (128 + values.nbytes // 6))
    assert site_example.state(site) == before


def test_files_keep_their_headers_of_4096_bytes(site, tmp_path):
    for path in site.glob("data-*.npy"):
        values = np.load(path)
        path.write_bytes(npy.header(values.dtype, values.shape, 4096) + values.tobytes())
    before = site_example.state(site)
    describe(site).write(tmp_path / "elsewhere/dataset.json")
    described = from_description(tmp_path / "elsewhere/dataset.json")
    assert {sample.bytes for sample in described.samples} == {4096 + values.nbytes}
    assert described.channels[3].maximum == max(np.load(path)[..., 3].max() for path in described.files)
    assert site_example.state(site) == before


def test_statistics_of_a_large_dataset_come_from_its_first_samples(site, monkeypatch):
    monkeypatch.setattr(npy_in_place, "SAMPLED", 1)
    np.save(site / "data-2.npy", np.full((*SHAPE, 16), 7, np.float32))
    described = describe(site)
    assert described.statistics == "sampled" and described.num_samples == 3
    assert all(channel.maximum < 7 for channel in described.channels)


def test_the_archives_own_statistics_are_used_and_checked(site):
    own = tuple(Channel(name=name, minimum=0, maximum=1, mean=0.5, mean_square=0.3) for name in CHANNELS)
    described = describe(site, statistics=own)
    assert (described.statistics, described.channels) == ("archive", own)
    np.save(site / "data-2.npy", np.full((*SHAPE, 16), 7, np.float32))
    assert "channel TMQ has the value 7, but the archive's stats.h5" in refused(describe, site, statistics=own)


def test_labels_may_be_missing_if_nothing_needs_them(site):
    (site / "label-2.npy").unlink()
    line = refused(describe, site)
    assert line.startswith(f"{site}/label-2.npy: there is no such file") and line.endswith("benchmark.modes: [io]")
    assert describe(site, with_labels=False).class_fractions is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: site_example.npy(path, shape=(64, 48)), "has 64 x 48 pixels, not 32 x 48: if all samples have"),
        (lambda path: site_example.npy(path, shape=(48, 32)), "set data.height: 48 and data.width: 32"),
        (lambda path: site_example.npy(path, channels=4), "shape (32, 48, 4), not (32, 48, 16)"),
        (
            lambda path: np.save(path, np.zeros((*SHAPE, 16))),
            "contains float64 (32, 48, 16), but samples are float32 (H, W, C)",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, its header says"),
        (lambda path: path.write_bytes(b"x"), "not an npy file"),
        (lambda path: np.save(path.with_name("label-2.npy"), np.zeros((8, 8, 2))), "shape (8, 8, 2), not (32, 48, 2)"),
        (lambda path: np.save(path, np.full((*SHAPE, 16), np.nan, np.float32)), "values that are not finite"),
    ],
    ids=["height", "same size", "channels", "type", "cut", "other file", "labels", "values"],
)
@pytest.mark.parametrize("place", ["first", "later"])
def test_what_is_no_sample_is_told_in_one_line(site, change, words, place):
    if place == "first":
        (site / "data-1.npy").unlink()
    change(site / "data-2.npy")
    assert words in refused(describe, site)


def test_the_first_verification_writes_hashes_and_later_ones_compare(site, tmp_path):
    dataset, hashes = tmp_path / "dataset.json", tmp_path / "hashes.sha256"
    describe(site).write(dataset)
    before = site_example.state(site)
    for _ in range(2):
        npy_in_place.verify(dataset, hashes, 2)
        assert len(hashes.read_text().splitlines()) == 6
    assert site_example.state(site) == before
    path = site / "data-2.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    (site / "label-3.npy").unlink()
    before = site_example.state(site)
    line = refused(npy_in_place.verify, dataset, hashes, 2)
    assert line.startswith(f"2 of 6 files have changed or are missing since their hashes were written to {hashes}, ")
    assert f"the first {path}: " in line
    assert site_example.state(site) == before
