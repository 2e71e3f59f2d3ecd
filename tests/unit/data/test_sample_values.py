"""Every sample's values are checked, whatever the source of the statistics, and are read once for that."""

import h5py
import numpy as np
import pytest
from deepcam import climate, files
from deepcam.data import convert, description, manifest, sample_values, synthesis
from deepcam.data.dataset import Channel
from deepcam.errors import InputError

NAME, OTHER = climate.synthetic_names(2)
WIDE = [Channel(name=name, minimum=-1e6, maximum=1e6, mean=0, mean_square=1) for name in climate.CHANNELS]
DATA, LABEL = climate.npy_names(NAME)


def convert_sample(folder, change=lambda file: None, name=NAME):
    """Convert a sample after a change to its HDF5 file, and describe the shard as `judge` does."""
    path = folder / "h5" / "shard-00000" / name
    synthesis.write_sample(path, 1, 32, 48)
    with h5py.File(path, "r+") as file:
        change(file)
    manifest.write(path.parent / manifest.MANIFEST, [manifest.entry(path)])
    convert.convert_shard(path.parent / manifest.MANIFEST, folder / "npy" / "shard-00000", 1)


def judge(folder, statistics, **options):
    return description.describe(folder / "npy", 1, "http://127.0.0.1", statistics=statistics, **options)


def setting(name, place, value):
    def change(file):
        file[f"climate/{name}"][place] = value

    return change


def as_float64(file):
    data = file[climate.DATA][...].astype(np.float64)
    data[3, 4, 0] = 1e300
    del file[climate.DATA]
    file[climate.DATA] = data


WRONG = {
    "NaN": (setting("data", (3, 4, 0), np.nan), f"{DATA}: channel TMQ has 1 values that are not finite"),
    "infinity": (setting("data", (31, 47, 15), -np.inf), f"{DATA}: channel ZBOT has 1 values that are not finite"),
    "float64 out of float32's range": (as_float64, f"{DATA}: channel TMQ has 1 values that are not finite"),
    "class 255": (setting("labels_0", (0, 0), 255), f"{LABEL}: 1 values are not a class"),
    "class -1": (setting("labels_0", (0, slice(0, 5)), -1), f"{LABEL}: 5 values are not a class"),
    "class 0.5": (setting("labels_0", (0, 0), 0.5), f"{LABEL}: 1 values are not a class"),
    "class NaN": (setting("labels_0", (0, 0), np.nan), f"{LABEL}: 1 values are not a class"),
    "second plane": (setting("labels_1", (31, 47), 3), f"{LABEL}: 1 values are not a class"),
}


@pytest.mark.parametrize("statistics", [None, WIDE], ids=["computed", "archive"])
@pytest.mark.parametrize("title", WRONG)
def test_a_wrong_value_is_reported_by_the_conversion_and_stops_the_description(tmp_path, statistics, title, caplog):
    change, message = WRONG[title]
    convert_sample(tmp_path, change)
    assert message.partition(": ")[2] in caplog.text
    with pytest.raises(InputError, match=message) as stopped:
        judge(tmp_path, statistics)
    assert "\n" not in str(stopped.value)


def test_values_that_are_not_finite_may_be_allowed_with_the_archives_statistics_but_unknown_classes_not(tmp_path):
    convert_sample(tmp_path, WRONG["NaN"][0])
    assert judge(tmp_path, WIDE, allow_nonfinite=True).channels == tuple(WIDE)
    convert_sample(tmp_path, WRONG["class 255"][0])
    with pytest.raises(InputError, match="not a class"):
        judge(tmp_path, WIDE, allow_nonfinite=True)


def test_what_the_conversion_has_noted_is_not_read_again(tmp_path, monkeypatch):
    convert_sample(tmp_path)
    monkeypatch.setattr(sample_values, "read_blocks", None)
    judge(tmp_path, WIDE)


@pytest.mark.parametrize("note", [None, b"", b"{}\n\xff\n", b'{"data": "a", "label": "b", "values": {}}\n'])
def test_samples_without_a_note_are_read_when_they_are_described(tmp_path, note):
    """npy files that another program made, or an earlier version, or that were exchanged after the conversion."""
    convert_sample(tmp_path)
    folder = tmp_path / "npy" / "shard-00000"
    data = np.load(folder / DATA)
    data[0, 0, 3] = np.nan
    np.save(folder / DATA, data)
    manifest.write(folder / manifest.MANIFEST, [manifest.entry(folder / name) for name in (DATA, LABEL)])
    if note is None:
        (folder / sample_values.VALUES).unlink()
    elif note:
        (folder / sample_values.VALUES).write_bytes(note)
    with pytest.raises(InputError, match=f"{DATA}: channel UBOT has 1 values"):
        judge(tmp_path, WIDE)


@pytest.mark.parametrize("statistics", [None, WIDE], ids=["computed", "archive"])
@pytest.mark.parametrize("value", [9.96921e36, -1e20])
def test_fill_values_are_reported(tmp_path, caplog, statistics, value):
    convert_sample(tmp_path, setting("data", (0, 0, 2), value))
    warning = f"channel V850 has the value {value:.3g}, which looks like a fill value"
    assert warning in caplog.text
    caplog.clear()
    wide = statistics and [channel.model_copy(update={"minimum": -1e37, "maximum": 1e37}) for channel in statistics]
    judge(tmp_path, wide)
    assert warning in caplog.text


def test_statistics_of_the_archive_that_the_samples_contradict_are_rejected(tmp_path):
    convert_sample(tmp_path)
    own = list(judge(tmp_path, None).channels)
    wider = [each.model_copy(update={"maximum": each.maximum - 0.2 * abs(each.maximum)}) for each in own]
    judge(tmp_path, wider)
    own[8] = own[8].model_copy(update={"minimum": -90.0, "maximum": -20.0})  # degrees Celsius
    with pytest.raises(InputError, match=rf"{DATA}: channel T200 has the value .*, but .*stats\.h5 says -90 to -20"):
        judge(tmp_path, own)


@pytest.mark.parametrize("pixels", [1, 63, 64, 1000, sample_values.BLOCK_PIXELS, 3 * sample_values.BLOCK_PIXELS + 64])
def test_the_range_and_the_hash_are_those_of_numpy_for_any_number_of_pixels(tmp_path, pixels):
    data = np.random.default_rng(pixels).normal(size=(1, pixels, 16)).astype(np.float32)
    data[0, -1, 5], data[0, 0, 5], data[0, pixels // 2, 7] = np.nan, np.inf, -np.inf
    data[..., 9] = np.nan
    np.save(tmp_path / "data.npy", data)
    found, blocks = sample_values.ChannelRange(), sample_values.ChannelRange()
    assert found.add_file(tmp_path / "data.npy") == files.sha256(tmp_path / "data.npy")
    for block in sample_values.read_blocks(tmp_path / "data.npy"):
        blocks.add(block)
    finite = np.isfinite(data)
    assert found.with_labels(0) == blocks.with_labels(0)
    assert found.with_labels(0).nonfinite == tuple((~finite).sum(axis=(0, 1)).tolist())
    np.testing.assert_array_equal(found.minimum, np.where(finite, data, np.inf).min(axis=(0, 1)))
    np.testing.assert_array_equal(found.maximum, np.where(finite, data, -np.inf).max(axis=(0, 1)))


def test_notes_are_read_back_as_written(tmp_path):
    found = sample_values.ChannelRange()  # without any finite value, so its range is infinite
    sample_values.append(tmp_path, "1", "2", found.with_labels(3))
    sample_values.append(tmp_path, "3", "4", found.with_labels(0))
    assert sample_values.read(tmp_path) == {("1", "2"): found.with_labels(3), ("3", "4"): found.with_labels(0)}
