"""Which files a path of data.source means, and what is told of one that is of no use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deepcam.data import local_source
from deepcam.errors import InputError

SCRIPTS = Path(local_source.__file__).parents[2]


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(source, split="validation", num_files=2):
    paths = local_source.sample_paths(str(source), split, num_files)
    return [os.path.relpath(path, source if source.is_dir() else source.parent) for path in paths]


def refused(source, split="validation", num_files=2):
    with pytest.raises(InputError) as error:
        local_source.sample_paths(str(source), split, num_files)
    (line,) = error.value.lines
    return line


@pytest.mark.parametrize("suffix", ["h5", "npy"])
def test_a_folder_is_listed_in_sorted_order_and_nothing_but_samples_is_taken(tmp_path, suffix):
    touch(*(tmp_path / name for name in (f"data-3.{suffix}", f"data-1.{suffix}", f"data-2.{suffix}")))
    touch(tmp_path / "label-1.npy", tmp_path / f"other.{suffix}", tmp_path / "data-0.txt")
    assert found(tmp_path) == [f"data-1.{suffix}", f"data-2.{suffix}"]
    assert local_source.kind(str(tmp_path), "train") == {"h5": "hdf5", "npy": "npy"}[suffix]


def test_the_folder_of_the_split_goes_first(tmp_path):
    touch(tmp_path / "train/data-1.h5", tmp_path / "validation/data-2.h5", tmp_path / "data-0.h5")
    assert found(tmp_path, "validation", 1) == ["validation/data-2.h5"]
    assert found(tmp_path, "all", 2) == ["train/data-1.h5", "validation/data-2.h5"]


def test_the_shards_of_an_earlier_run_are_one_folder(tmp_path):
    names = ["shard-00000/data-1.npy", "shard-00001/data-2.npy", "shard-00000/data-3.npy"]
    touch(*(tmp_path / name for name in reversed(names)))
    assert found(tmp_path, num_files=3) == names


def test_a_list_keeps_its_order_and_its_paths_are_relative_to_its_folder(tmp_path):
    touch(tmp_path / "a/my sample.h5", tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("b/data-2.h5\r\n\na/my sample.h5\n/elsewhere/data-1.h5")
    assert local_source.sample_paths(str(tmp_path / "list.txt"), "train", 3) == [
        str(tmp_path / "b/data-2.h5"), str(tmp_path / "a/my sample.h5"), "/elsewhere/data-1.h5",
    ]  # fmt: skip


def test_a_line_that_names_no_sample_is_told_with_its_number(tmp_path):
    (tmp_path / "list.txt").write_text("data-1.npy\nsample.npy\n")
    assert "list.txt, line 2: 'sample.npy' is neither *.h5 nor data-*.npy" in refused(tmp_path / "list.txt")


def test_links_and_odd_names_are_followed(tmp_path):
    odd = tmp_path / "my 'disk', \"naïve\" & $(touch executed)"
    touch(odd / "data-1.h5")
    (tmp_path / "link").symlink_to(odd)
    (odd / "data-2.h5").symlink_to(odd / "data-1.h5")
    assert found(tmp_path / "link") == ["data-1.h5", "data-2.h5"]


def test_a_folder_without_samples_is_told(tmp_path):
    touch(tmp_path / "sample.h5")
    assert f"{tmp_path} contains no data-*.h5 or data-*.npy" in refused(tmp_path)


def test_a_path_that_does_not_exist_is_told(tmp_path):
    assert f"there is no {tmp_path}/nowhere on this machine" in refused(tmp_path / "nowhere")


def test_fewer_samples_are_told_with_their_number(tmp_path):
    touch(tmp_path / "data-1.h5")
    assert refused(tmp_path).endswith("has 1 samples, not 2: set data.num_files: 1")
    assert refused(tmp_path, num_files="all").endswith("has 1 samples, not 15158: set data.num_files: 1")


def test_both_kinds_in_one_folder_are_told(tmp_path):
    touch(tmp_path / "data-1.h5", tmp_path / "data-1.npy")
    assert "has HDF5 and npy files" in refused(tmp_path)


def test_samples_that_would_have_one_name_are_told(tmp_path):
    (tmp_path / "list.txt").write_text("a/data-1.h5\nb/1.h5\n")
    assert "has 2 samples named data-1" in refused(tmp_path / "list.txt")


def test_a_name_with_a_line_break_is_told_in_one_line(tmp_path):
    touch(tmp_path / "data-1\n.h5", tmp_path / "data-2.h5")
    assert "has characters that cannot be printed" in refused(tmp_path)


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "list.txt")
    assert "not a regular file" in refused(tmp_path / "list.txt")


def test_a_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert f"{tmp_path}: Permission denied" in refused(tmp_path)


def test_a_mount_that_does_not_answer_ends_the_process_in_one_line():
    program = """
import os, time
from deepcam import cli
from deepcam.data import local_source
os.stat = lambda path, **options: time.sleep(1000)
local_source.ANSWER_SECONDS = 0.2
cli.run(lambda: local_source.kind("/mount/deepcam", "train"))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: data.source: /mount/deepcam did not answer in 0.2 s: check its mount, for example with ls\n"
    )
