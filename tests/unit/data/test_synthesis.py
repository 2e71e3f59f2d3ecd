"""Synthetic samples, and shards of them."""

import h5py
import numpy as np
import pytest
from deepcam import climate
from deepcam.climate import CHANNELS
from deepcam.data import manifest, synthesis
from deepcam.data.synthesis import events
from deepcam.errors import InputError

NAMES = climate.synthetic_names(3)


@pytest.fixture(scope="module")
def full():
    return synthesis.sample(3, climate.HEIGHT, climate.WIDTH)


def channel(data, name):
    return data[..., CHANNELS.index(name)]


def make(folder, names=NAMES, first_line=0, seed=1, height=64, width=96, processes=2):
    synthesis.synthesize_shard(names, first_line, folder, seed=seed, height=height, width=width, processes=processes)
    return manifest.read_complete(folder / manifest.MANIFEST)


def test_a_seed_determines_the_sample():
    first, again, other = (synthesis.sample(seed, 64, 96) for seed in (5, 5, 6))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("height, width", [(96, 144), (64, 96), (65, 97)])
def test_shape_type_and_classes_at_small_sizes(height, width):
    for seed in range(10):
        data, *labels = synthesis.sample(seed, height, width)
        assert data.shape == (height, width, 16) and data.dtype == np.float32
        assert np.isfinite(data).all()
        for plane in labels:
            assert plane.shape == (height, width) and plane.dtype == np.float32
            assert set(np.unique(plane)) == {0, 1, 2}


def test_a_full_size_sample_is_mostly_background_and_annotators_nearly_agree(full):
    _, first, second = full
    fractions = [(first == i).mean() for i in range(3)]
    assert 0.965 < fractions[0] < 0.992
    assert fractions[1] > 2e-4 and fractions[2] > 4e-3
    assert 0 < (first != second).mean() < 0.01


def test_units_are_realistic(full):
    data = full[0]
    ranges = {
        "TMQ": (0, 91), "U850": (-90, 90), "PS": (45000, 106000), "PSL": (90000, 106000), "T200": (190, 240),
        "T500": (210, 285), "PRECT": (0, 3e-6), "TS": (200, 330), "QREFHT": (0, 0.03), "Z200": (10000, 13000),
        "ZBOT": (40, 80), "Z1000": (-900, 600),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        assert low <= channel(data, name).min() and channel(data, name).max() <= high, name


def test_labelled_events_are_moist_rainy_and_windy(full):
    data, labels, _ = full
    mean = {name: [channel(data, name)[labels == i].mean() for i in range(3)] for name in ("TMQ", "PRECT")}
    wind = [np.hypot(channel(data, "U850"), channel(data, "V850"))[labels == i].mean() for i in range(3)]
    for event in (1, 2):
        assert mean["TMQ"][event] > 1.3 * mean["TMQ"][0]
        assert mean["PRECT"][event] > 3 * mean["PRECT"][0]
        assert wind[event] > 1.5 * wind[0]
    tropics = channel(data, "PSL")[256:512]  # 30 degrees south to north, where cyclones are
    assert tropics[labels[256:512] == 1].mean() < tropics[labels[256:512] == 0].mean() - 300


def test_no_threshold_on_a_single_channel_finds_an_event(full):
    data, labels, _ = full
    wind = np.hypot(channel(data, "U850"), channel(data, "V850"))
    for event in (1, 2):
        truth = labels == event
        for field in (channel(data, "TMQ"), channel(data, "PRECT"), wind):
            best = max(
                (truth & found).sum() / (truth | found).sum()
                for found in (field > threshold for threshold in np.quantile(field, np.linspace(0.9, 0.9999, 100)))
            )
            assert best < 0.5


@pytest.mark.parametrize("latitude", [18.0, -18.0])
def test_cyclones_turn_as_their_hemisphere_demands(latitude):
    rows = ((np.arange(192) + 0.5) * 180 / 192 - 90).astype(np.float32)
    columns = ((np.arange(288) + 0.5) * 360 / 288).astype(np.float32)
    fields = {name: np.zeros((192, 288), np.float32) for name in CHANNELS}
    labels = np.zeros((2, 192, 288), np.float32)
    storm = events.Vortex(latitude, 1.0, 4.0, 50.0, 20.0)  # across the border at 0 degrees east
    events.plant_vortex(fields, labels, storm, rows, columns, np.random.default_rng(0))
    vorticity = np.gradient(fields["V850"], axis=1) - np.gradient(fields["U850"], axis=0)
    row, column = np.abs(rows - latitude).argmin(), np.abs(columns - 1).argmin()
    assert np.sign(vorticity[row, column]) == np.sign(latitude)
    assert labels[0, row, 0] == 1 and labels[0, row, -1] == 1


def test_a_file_has_the_layout_of_the_archive(tmp_path):
    path = tmp_path / NAMES[0]
    synthesis.write_sample(path, 7, 64, 96)
    data, *labels = synthesis.sample(7, 64, 96)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file[climate.DATA], data)
        for name, plane in zip(climate.LABELS, labels, strict=True):
            np.testing.assert_array_equal(file[name], plane)
        assert file[climate.DATA].chunks is None and file[climate.DATA].compression is None
    assert synthesis.is_sample(path, 7, 64, 96)
    assert not synthesis.is_sample(path, 8, 64, 96)


def test_a_sample_does_not_depend_on_the_sharding(tmp_path):
    whole = make(tmp_path / "a")
    part = make(tmp_path / "b", NAMES[1:], first_line=1, processes=1)
    assert whole[1:] == part


def test_a_second_run_makes_only_missing_and_damaged_files(tmp_path):
    folder = tmp_path / "shard-00000"
    entries = make(folder)
    before = {name: (folder / name).stat().st_ino for name in NAMES}
    (folder / NAMES[0]).unlink()
    with open(folder / NAMES[1], "r+b") as file:
        file.truncate(5000)
    assert make(folder) == entries
    after = {name: (folder / name).stat().st_ino for name in NAMES}
    assert after[NAMES[2]] == before[NAMES[2]]


def test_another_seed_replaces_the_files(tmp_path):
    folder = tmp_path / "shard-00000"
    assert not set(make(folder, seed=1)) & set(make(folder, seed=2))


@pytest.mark.parametrize("change", [{"height": 16}, {"processes": 0}])
def test_unusable_settings_are_rejected(tmp_path, change):
    with pytest.raises(InputError):
        make(tmp_path / "a", **change)
