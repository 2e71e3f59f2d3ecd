"""The index of samples and its shards."""

import pytest
from deepcam import climate
from deepcam.data import file_index
from deepcam.errors import InputError

NAMES = climate.synthetic_names(7)
PATHS = [f"train/{name}" for name in NAMES]


@pytest.mark.parametrize(
    "line", [f"../{NAMES[0]}", f"a/b/{NAMES[0]}", NAMES[0], "train/../evil.h5", "train/evil.h5", ""]
)
def test_an_index_is_read_as_written_and_bad_lines_are_rejected(tmp_path, line):
    path = tmp_path / "index.tsv"
    file_index.write(path, PATHS)
    assert file_index.read(path) == PATHS
    file_index.write(path, [PATHS[0], line])
    with pytest.raises(InputError, match="line 3"):
        file_index.read(path)


def test_an_index_may_hold_paths_of_this_machine(tmp_path):
    paths = ["/my disk/data-1.h5", "/my disk/list's/x.h5"]
    file_index.write(tmp_path / "index.tsv", paths)
    assert file_index.read(tmp_path / "index.tsv") == paths


def test_shards_divide_the_index_in_order():
    assert [file_index.shard_paths(PATHS, i, 3) for i in range(3)] == [PATHS[:3], PATHS[3:6], PATHS[6:]]
    assert [file_index.file_name(path) for path in PATHS] == NAMES


@pytest.mark.parametrize("number, files_per_shard", [(3, 3), (-1, 3), (0, 0)])
def test_a_shard_outside_the_index_is_rejected(number, files_per_shard):
    with pytest.raises(InputError, match="index of 7 samples"):
        file_index.shard_paths(PATHS, number, files_per_shard)
