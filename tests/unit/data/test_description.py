"""The description of a dataset: its statistics, its samples, and the data that it rejects."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deepcam import climate, files
from deepcam.data import convert, description, manifest, synthesis
from deepcam.data.dataset import Channel, read_description
from deepcam.errors import InputError

SCRIPTS = Path(__file__).parents[3] / "workflow_scripts"
NAMES = climate.synthetic_names(3)


@pytest.fixture
def npy_dir(tmp_path):
    """Two shards, one of two samples and one of a single sample."""
    for line, name in enumerate(NAMES):
        folder = tmp_path / "npy" / f"shard-{line // 2:05d}"
        synthesis.write_sample(tmp_path / name, line, 64, 96)
        convert.convert_file(tmp_path / name, folder)
        seal(folder)
    return tmp_path / "npy"


def seal(folder):
    names = [name for path in sorted(folder.glob("data-*")) for name in climate.npy_names(f"{path.stem}.h5")]
    manifest.write(folder / manifest.MANIFEST, [manifest.entry(folder / name) for name in names])


def replace(path, array):
    np.save(path, array)
    seal(path.parent)


def test_statistics_equal_those_of_numpy(npy_dir):
    result = description.describe(npy_dir, 2, "synthetic", threads=2)
    data = np.stack([np.load(path) for path in sorted(npy_dir.glob("*/data-*"))]).astype(np.float64)
    labels = np.stack([np.load(path) for path in sorted(npy_dir.glob("*/label-*"))])[..., 0]
    for i, channel in enumerate(result.channels):
        values = data[..., i]
        assert channel.name == climate.CHANNELS[i]
        assert (channel.minimum, channel.maximum) == (values.min(), values.max())
        assert channel.mean == pytest.approx(values.mean(), rel=1e-9)
        assert channel.mean_square == pytest.approx((values**2).mean(), rel=1e-9)
    assert result.class_fractions == pytest.approx([(labels == i).mean() for i in range(3)])
    assert sum(result.class_fractions) == pytest.approx(1)


def test_samples_are_listed_in_order_with_paths_relative_to_the_description(npy_dir):
    result = description.describe(npy_dir, 2, "synthetic")
    assert result.num_samples == 3 and result.sample_shape == (64, 96, 16) and result.dtype == "float32"
    assert result.source == "synthetic"
    for line, sample in enumerate(result.samples):
        data, label = climate.npy_names(NAMES[line])
        assert sample.data.as_posix() == f"npy/shard-{line // 2:05d}/{data}"
        assert sample.label.as_posix() == f"npy/shard-{line // 2:05d}/{label}"
        assert sample.bytes == (npy_dir.parent / sample.data).stat().st_size
        assert sample.sha256 == files.sha256(npy_dir.parent / sample.data)
    assert result.total_bytes == sum(sample.bytes for sample in result.samples)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_values_are_rejected_with_file_and_channel_or_counted_if_allowed(npy_dir, value):
    path = npy_dir / "shard-00001" / climate.npy_names(NAMES[2])[0]
    right = description.describe(npy_dir, 2, "synthetic").channels
    data = np.load(path)
    data[3, 4, 10] = value
    replace(path, data)
    with pytest.raises(InputError, match=f"{path.name}.*PRECT has 1 values.*allow_nonfinite"):
        description.describe(npy_dir, 2, "synthetic")
    channels = description.describe(npy_dir, 2, "synthetic", allow_nonfinite=True).channels
    assert [channel.nonfinite for channel in channels] == [int(i == 10) for i in range(16)]
    finite = [np.load(path)[..., 10].astype(np.float64) for path in sorted(npy_dir.glob("*/data-*"))]
    finite = np.concatenate([values[np.isfinite(values)] for values in finite])
    assert (channels[10].minimum, channels[10].maximum) == (finite.min(), finite.max())
    assert channels[10].mean == pytest.approx(finite.mean(), rel=1e-9)
    assert channels[:10] == right[:10]


def test_a_channel_without_any_finite_value_is_rejected(npy_dir):
    for path in npy_dir.glob("*/data-*"):
        data = np.load(path)
        data[..., 2] = np.nan
        replace(path, data)
    with pytest.raises(InputError, match="V850: no value is finite"):
        description.describe(npy_dir, 2, "synthetic", allow_nonfinite=True)


def test_the_archives_own_statistics_are_used_unchanged(npy_dir):
    own = tuple(Channel(name=name, minimum=-1e5, maximum=2e5, mean=5, mean_square=5) for name in climate.CHANNELS)
    result = description.describe(npy_dir, 2, "nersc", statistics=own)
    assert result.channels == own and result.statistics == "archive"
    assert description.describe(npy_dir, 2, "synthetic").statistics == "computed"


def test_a_different_shape_is_rejected_with_the_file(npy_dir):
    data, label = (npy_dir / "shard-00001" / name for name in climate.npy_names(NAMES[2]))
    replace(label, np.load(label)[:32])
    with pytest.raises(InputError, match=label.name):
        description.describe(npy_dir, 2, "synthetic")
    replace(data, np.load(data)[:32])
    with pytest.raises(InputError, match=rf"{data.name}: shape \(32, 96, 16\)"):
        description.describe(npy_dir, 2, "synthetic")


def test_headers_of_two_sizes_are_rejected_with_both_files(npy_dir, tmp_path):
    data, _ = climate.npy_names(NAMES[2])
    convert.convert_file(tmp_path / NAMES[2], npy_dir / "shard-00001", 4096)
    seal(npy_dir / "shard-00001")
    with pytest.raises(InputError) as refused:
        description.describe(npy_dir, 2, "synthetic")
    first = npy_dir / "shard-00000" / climate.npy_names(NAMES[0])[0]
    assert refused.value.lines == (
        f"{npy_dir}/shard-00001/{data}: a header of 4096 bytes, but {first} has 128: delete the manifest.tsv beside "
        "each of them and run again",
    )


def test_an_unknown_class_is_rejected_with_the_file(npy_dir):
    path = npy_dir / "shard-00000" / climate.npy_names(NAMES[0])[1]
    label = np.load(path)
    label[0, 0, 0] = 3
    replace(path, label)
    with pytest.raises(InputError, match=path.name):
        description.describe(npy_dir, 2, "synthetic")


def test_a_missing_shard_or_file_is_rejected(npy_dir):
    with pytest.raises(InputError, match="shard-00002"):
        description.describe(npy_dir, 3, "synthetic")
    path = npy_dir / "shard-00000" / climate.npy_names(NAMES[0])[0]
    path.unlink()
    with pytest.raises(InputError, match=path.name):
        description.describe(npy_dir, 2, "synthetic")


def program(name, *arguments):
    command = [sys.executable, SCRIPTS / f"{name}.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_programs_make_a_synthetic_dataset(tmp_path):
    index, description = tmp_path / "index.tsv", tmp_path / "dataset.json"
    statistics = tmp_path / "statistics.json"
    runs = [
        program(
            "fetch_file_index", "--source", "synthetic", "--split", "validation", "--num-files", 3, "--output", index,
            "--statistics", statistics, "--height", 64, "--width", 96,
        )
    ]  # fmt: skip
    for shard in range(2):
        hdf5, npy = (tmp_path / kind / f"shard-{shard:05d}" for kind in ("hdf5", "npy"))
        runs += [
            program(
                "synthesize_shard", "--index", index, "--shard", shard, "--files-per-shard", 2, "--height", 64,
                "--width", 96, "--seed", 1, "--output-dir", hdf5, "--processes", 2,
            ),
            program("convert_shard", "--manifest", hdf5 / "manifest.tsv", "--output-dir", npy, "--threads", 2),
        ]  # fmt: skip
    runs.append(
        program(
            "describe_dataset", "--npy-dir", tmp_path / "npy", "--shards", 2, "--source", "synthetic", "--threads", 2,
            "--statistics", statistics, "--output", description,
        )
    )  # fmt: skip
    assert [run.returncode for run in runs] == [0] * 6, [run.stderr for run in runs]
    described = read_description(description)
    assert described.num_samples == 3 and all(path.exists() for path in described.files)
    assert json.loads(description.read_text())["samples"][2]["data"].startswith("npy/shard-00001/")


def test_a_program_reports_bad_input_in_one_line(tmp_path):
    run = program(
        "download_shard", "--index", tmp_path / "none.tsv", "--shard", 0, "--files-per-shard", 1, "--source", "nersc",
        "--streams", 1, "--height", 64, "--width", 96, "--output-dir", tmp_path / "out",
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.startswith("error: ") and "none.tsv" in run.stderr and run.stderr.count("\n") == 1
