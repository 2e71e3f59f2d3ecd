"""dataset.json: how it is read back, and which files are rejected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_example import dataset
from deepcam.data.dataset import check_some, from_description, from_folders, read_description, require_distinct_files
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


def samples(folder: Path) -> list[Path]:
    paths = [folder / f"data-{number}.npy" for number in range(3)]
    for number, path in enumerate(paths):
        np.save(path, np.full((2, 2, 16), number, np.float32))
    return paths


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_two_samples_cannot_be_one_file(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    first, _, last = samples(tmp_path)
    require_distinct_files(from_folders([tmp_path]))
    last.unlink()
    link(last, first)
    with pytest.raises(InputError, match=r"data-2\.npy: the same file as .*data-0\.npy"):
        require_distinct_files(from_folders([tmp_path]))


def test_samples_that_changed_after_their_description_are_found(tmp_path: Path) -> None:
    paths = samples(tmp_path)
    found = from_folders([tmp_path])
    check_some(found, 3)  # nobody knows their hashes
    hashed = [
        sample.model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
        for sample, path in zip(found.samples, paths, strict=True)
    ]
    described = found.model_copy(update={"samples": tuple(hashed)})
    check_some(described, 4)
    np.save(paths[1], np.zeros((2, 2, 16), np.float32))
    with pytest.raises(InputError, match=r"data-1\.npy: its SHA-256 is not that of dataset\.json"):
        check_some(described, 3)
