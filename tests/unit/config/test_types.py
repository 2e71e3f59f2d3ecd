"""The types of configured values: what paths, addresses, commands and numbers may be."""

import argparse
import math

import pydantic
import pytest
from deepcam import config
from deepcam.config import types as config_types
from deepcam.errors import InputError, complaint

SECRET = "s3cret"


def refused(kind, value):
    """The words that refuse a value of a type."""
    with pytest.raises(pydantic.ValidationError) as error:
        pydantic.TypeAdapter(kind).validate_python(value)
    (mistake,) = error.value.errors()
    return complaint(mistake)


@pytest.mark.parametrize(
    "path", ["my disk", "it's", 'a"b', "müller", "a,b", "a\\b", "x;y", "a&b", "#1", "/", "../up", "*?["]
)
def test_a_path_may_have_all_characters_that_quoting_protects(path):
    assert pydantic.TypeAdapter(config_types.Path).validate_python(path) == path


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("$SCRATCH/x", "must not have $; write out what it stands for, or rename the folder"),
        ("a$(touch x)b", "must not have $;"),
        ("a`touch x`", "must not have `;"),
        ("{run}", "must not have { or };"),
        ("<log>", "must not have < or >;"),
        ("~/x", "must not begin with ~; give the path from / on"),
        ("-n", "must not begin with -;"),
        ("a\nb", "must not have line breaks"),
        ("a\0b", "must not have line breaks or other characters that cannot be printed"),
        ("\ud800", "must be a valid string"),
        ("s3://bucket", "must not be an address"),
        ("x" * 256, "must not have a name of more than 255 bytes"),
        ("x/" * 501, "must have at most 1000 characters"),
        ("", "must have at least 1 character"),
    ],
)  # fmt: skip
def test_a_path_that_means_two_things_is_refused_by_name(path, problem):
    assert problem.replace("valid ", "") in refused(config_types.Path, path)


def test_a_path_has_no_part_that_means_nothing():
    assert config.parse({"data": {"dir": "./a//b/"}}).data.dir == "a/b"


@pytest.mark.parametrize(
    "address",
    [
        f"https://alice:{SECRET}@mirror.example/climate",
        f"http://alice:{SECRET}@127.0.0.1:9",
        f"https://{SECRET}@mirror.example",
        f"https://alice:a/{SECRET}@mirror.example",
        f"htps://alice:{SECRET}@mirror.example",
        f"https://a-user-with-a-long-name-of-many-letters:{SECRET}@mirror.example/{'x' * 100}",
    ],
)
@pytest.mark.parametrize("key", ["source", "dir", "split", "num_files", "no_such_key"])
def test_a_password_is_refused_and_not_repeated(address, key):
    with pytest.raises(InputError) as error:
        config.parse({"data": {key: address}})
    (line,) = error.value.lines
    assert SECRET not in line and "alice" not in line
    if key == "source":
        assert "write them into ~/.netrc" in line


@pytest.mark.parametrize(
    "address", ["https://h/a b", "https://h/{x}", "https://h?token=1", "https://h#x", "https://h\n"]
)
def test_an_address_is_only_an_address(address):
    assert "must be synthetic, nersc, a path from / on, or an http(s) address" in refused(config_types.Source, address)


@pytest.mark.parametrize("path", ["/lustre/deepcam", "/my disk/it's, naïve/list.txt", "/a@b/c"])
def test_a_source_may_be_a_path(path):
    assert config.parse({"data": {"source": f"{path}//"}}).data.source == path


@pytest.mark.parametrize("path", ["/$SCRATCH/x", "/a{b}", "/a<b>", "/a\nb"])
def test_a_source_that_is_a_path_is_refused_like_any_path(path):
    assert "must not have" in refused(config_types.Source, path)


@pytest.mark.parametrize("folder", ["/lustre/deepcam", "/lustre/deepcam/work", "/lustre/x/../deepcam"])
def test_no_data_are_written_into_the_source(folder):
    with pytest.raises(InputError, match=r"data\.dir: .* must not lie in data\.source, where nothing is written"):
        config.parse({"data": {"source": "/lustre/deepcam", "dir": folder}})
    config.parse({"data": {"source": "/lustre/deepcam/npy", "dir": "/lustre/deepcam"}})


@pytest.mark.parametrize(
    "command",
    ["mpirun -n {ranks}; touch x", "$(touch x) {ranks}", "a `b` {ranks}", "a | b {ranks}", "a\n{ranks}", "{ranks} {x}"],
)
def test_a_launcher_is_one_program_with_its_options(command):
    assert "must be a program and its options" in refused(config_types.Launcher, command)


def test_a_launcher_may_have_quotes_that_are_closed():
    pydantic.TypeAdapter(config_types.Launcher).validate_python("'/opt/my mpi/mpirun' -n {ranks}")
    assert "must close each quotation mark" in refused(config_types.Launcher, "'mpirun -n {ranks}")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (config_types.Positive, 10**9), (config_types.Natural, -1), (config_types.Length, 10**9),
        (config_types.Seed, 2**32),
        (config_types.Seconds, math.inf), (config_types.Fraction, math.nan),
        (config_types.NumFiles, 64.0), (config_types.NumFiles, 10**9), (config_types.Devices, [10**9]),
        (config_types.Name, "a b"), (config_types.Name, "$(x)"),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_refused(kind, value):
    assert "is not allowed; it must" in refused(kind, value)


def test_a_number_that_python_does_not_print_is_refused():
    assert refused(config_types.Positive, 10**5000).startswith("a number of thousands of digits is not allowed")


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"data": {"num_files": "4"}}, "data.num_files"),
        ({"benchmark": {"ranks": ["1"]}}, "benchmark.ranks.0"),
        ({"data": {"keep_hdf5": "false"}}, "data.keep_hdf5"),
        ({"devices": ["0"]}, "devices"),
    ],
)
def test_a_number_that_arrives_as_text_is_answered_with_the_reason(given, key):
    with pytest.raises(InputError) as error:
        config.parse(given)
    (line,) = error.value.lines
    assert line.startswith(f"{key}: ") and line.endswith(
        "it is text, as all values inside blocks and lists of --config are: use --configfile, without quotes"
    )


def test_a_line_break_in_a_key_makes_no_second_line():
    with pytest.raises(InputError) as error:
        config.parse({"a\nb\x1b[31m": 1})
    assert error.value.lines[0].startswith(r"a\nb\x1b[31m: unknown key")


def test_a_command_line_takes_the_same_values():
    positive = config_types.argument(config_types.Positive)
    assert positive("8") == 8 and config_types.argument(config_types.NumFiles)("all") == "all"
    for text in ("0", "8.0", "nan", "", "1" * 5000):
        with pytest.raises(argparse.ArgumentTypeError, match="is not allowed; it must be"):
            positive(text)
