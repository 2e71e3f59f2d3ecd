"""dataset.json: how it is read back, and which files are rejected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dataset_example import dataset
from deepcam.data.dataset import from_description, read_description
from deepcam.errors import InputError


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "dataset.json"
    dataset().write(path)
    described = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in described.items() if value is not ...}))
    return path


def test_a_description_is_read_as_written_with_paths_joined_to_its_folder(tmp_path: Path) -> None:
    found = read_description(write(tmp_path))
    assert found.files == (tmp_path / "data-0.npy", tmp_path / "data-1.npy")
    assert found.labels == (tmp_path / "label-0.npy", tmp_path / "label-1.npy")
    assert found.ranges == ((-4.0, 8.0),) * 16
    assert found.model_copy(update={"samples": dataset().samples}) == dataset()


def test_the_archives_channels_may_lack_the_count_of_nonfinite_values(tmp_path: Path) -> None:
    channels = [channel.model_dump(exclude={"nonfinite"}) for channel in dataset().channels or ()]
    found = read_description(write(tmp_path, statistics="archive", channels=channels, class_fractions=None))
    assert found.channels is not None and found.channels[0].nonfinite is None
    assert found.class_fractions is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sample_shape": ...}, "sample_shape: Field required"),
        ({"sample_shape": [96, 144, 4]}, r"16 channels, but sample_shape is \[96, 144, 4\]"),
        ({"samples": [{"data": "a.npy"}]}, r"samples\.0\.label: Field required"),
        ({"unknown": 1}, "unknown: Extra inputs"),
    ],
)
def test_another_json_file_is_rejected_with_the_key(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(InputError, match=rf"dataset\.json: not a dataset description \(.*{reason}") as error:
        read_description(path)
    assert "\n" not in str(error.value)


def test_a_missing_description_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.json: not a dataset description \(.*No such file"):
        read_description(tmp_path / "dataset.json")


def test_samples_that_are_missing_or_have_another_size_are_rejected(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(InputError, match=r"data-0\.npy: is missing; delete .*manifest\.tsv"):
        from_description(path)
    (tmp_path / "data-0.npy").write_bytes(bytes(1000))
    (tmp_path / "data-1.npy").write_bytes(bytes(999))
    with pytest.raises(InputError, match=r"data-1\.npy: has 999 bytes instead of 1000"):
        from_description(path)
