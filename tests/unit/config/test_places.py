"""data.dir: one folder, or the folders of several storages by their names."""

import pytest
from deepcam import config
from deepcam.errors import InputError

TWO = {"nvme": "/local/deepcam", "lustre": "/scratch/deepcam"}


def places(folders, **data):
    return config.parse({"data": {"dir": folders, **data}}).data.places


def refusal(folders, **data):
    with pytest.raises(InputError) as error:
        places(folders, **data)
    (line,) = error.value.lines
    assert line.startswith("data.dir: ") and "\n" not in line
    return line


def test_a_single_folder_has_no_name_and_several_keep_their_order():
    assert places("./a//b/") == {"": "a/b"}
    assert list(places(TWO).items()) == list(TWO.items())
    assert places({"b.2": "./x/", "a_1-": "y"}) == {"b.2": "x", "a_1-": "y"}


def test_a_complete_configuration_keeps_the_names():
    parsed = config.parse({"data": {"dir": TWO}})
    assert config.parse(parsed.model_dump(mode="json", exclude_none=True)) == parsed
    assert parsed.model_dump(mode="json")["data"]["dir"] == TWO


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ({}, "must have at least two named places"),
        ({"nvme": "/a"}, "must have at least two named places; for a single one, give the folder without a name"),
        ({"NVMe": "/a", "b": "/b"}, "must name each place with up to 64 lower-case letters"),
        ({"": "/a", "b": "/b"}, "must name each place"),
        ({"a\n": "/a", "b": "/b"}, "must name each place"),
        ({1: "/a", "b": "/b"}, "must name each place"),
        ({"a": 1, "b": "/b"}, "must be a path of 1 to 1,000 characters"),
        ({"a": "", "b": "/b"}, "must be a path of 1 to 1,000 characters"),
        ({"a": "/$SCRATCH", "b": "/b"}, "must not have $"),
        ({"a": "/data", "b": "/data/"}, "must have separate folders, but that of a is that of b"),
        ({"a": "/data", "b": "/data/more"}, "must have separate folders, but that of b is that of a, or lies in it"),
        (["/a", "/b"], "must be a path of 1 to 1,000 characters, or a block of names and paths"),
        (None, "must be a path"),
    ],
)
def test_each_mistake_is_one_line(folders, words):
    assert words in refusal(folders)


def test_a_link_to_the_folder_of_another_place_is_found(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    assert "must have separate folders" in refusal({"a": str(tmp_path / "data"), "b": str(tmp_path / "link/more")})


def test_no_place_lies_in_the_source():
    assert "must not lie in data.source" in refusal(TWO | {"own": "/shared/deepcam/x"}, source="/shared/deepcam")
    assert places(TWO, source="/shared/deepcam") == TWO


def test_names_replace_a_folder_and_join_earlier_names():
    layers = ({"data": {"dir": "results/data"}}, {"data": {"dir": TWO}}, {"data": {"dir": {"nfs": "/nfs"}}})
    assert config.parse(*layers).data.places == TWO | {"nfs": "/nfs"}
    assert config.parse(*layers, {"data": {"dir": "x"}}).data.places == {"": "x"}
