"""The file that a group of configurations leaves after its rounds."""

import json

import pytest
from deepcam.errors import InputError
from deepcam.record import rounds


def write(path, configurations, version=rounds.FORMAT_VERSION):
    path.write_text(json.dumps({"schema_version": version, "configurations": configurations}))
    return path


def test_the_reasons_of_all_files_are_found(tmp_path):
    one = write(tmp_path / "one.json", {"io_a": {"starts": 5, "stopped": "precise"}})
    two = write(tmp_path / "two.json", {"io_b": {"starts": 10, "stopped": "max_starts"}})
    assert rounds.stopped([one, two]) == {"io_a": "precise", "io_b": "max_starts"}
    assert rounds.stopped([]) == {}
    assert rounds.read(one).configurations["io_a"].starts == 5


def test_what_is_written_is_read_back(tmp_path):
    made = rounds.Rounds(
        schema_version=rounds.FORMAT_VERSION, configurations={"io_a": rounds.Finished(starts=4, stopped="minutes")}
    )
    (tmp_path / "group.json").write_text(made.model_dump_json())
    assert rounds.read(tmp_path / "group.json") == made


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Invalid JSON"),
        ("[]", "not the outcome of rounds ("),
        ('{"configurations": {}}', "schema_version: Field required"),
        ('{"schema_version": 5, "configurations": {}}', "schema_version: Input should be 6"),
        (
            '{"schema_version": 6, "configurations": {"io_a": {"starts": 0, "stopped": "precise"}}}',
            "configurations.io_a.starts: ",
        ),
        (
            '{"schema_version": 6, "configurations": {"io_a": {"starts": 4, "stopped": "bored"}}}',
            "configurations.io_a.stopped: Input should be 'precise', 'max_starts', 'max_seconds' or 'minutes'",
        ),
    ],
)
def test_a_file_that_is_no_outcome_of_rounds_is_refused_in_one_line(content, message, tmp_path):
    (tmp_path / "group.json").write_text(content)
    with pytest.raises(InputError) as error:
        rounds.read(tmp_path / "group.json")
    assert str(error.value).startswith(f"{tmp_path}/group.json: not the outcome of rounds (")
    assert message in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).endswith("; delete it and run the workflow again")


def test_a_missing_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"group\.json: cannot be read"):
        rounds.read(tmp_path / "group.json")
