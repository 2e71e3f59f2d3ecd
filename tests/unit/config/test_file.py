"""The files of a configuration, before Snakemake reads them."""

import os
from pathlib import Path

import pytest
from deepcam.config import file as config_file
from deepcam.errors import InputError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", sorted(ROOT.glob("config/*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_are_accepted(path):
    config_file.load(path)


def test_json_is_accepted(tmp_path):
    (tmp_path / "x.json").write_text('{"data":\t{"num_files": 2}}')
    config_file.load(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("__use_yte__: true\na: ?print()", ": __use_yte__ is not allowed, since it evaluates Python expressions"),
        ('{"__use_yte__": true}', ": __use_yte__ is not allowed"),
        ("pathvars: 1", ": pathvars is not allowed"),
        ("a: !!python/object/apply:os.system [x]", ", line 1: cannot be used: tag tag:yaml.org,2002:python/object"),
        ("a: &x [1]\nb: *x", ", line 2: cannot be used: alias *x is not allowed"),
        ("&a [*a]", ", line 1: cannot be used: alias *a"),
        ("data: {dir: a}\ndata: {dir: b}", ", line 2: cannot be used: key data is stated twice"),
        ('{"a": 1, "a": 2}', ": cannot be used: key 'a' is stated twice"),
        ("a: 2001-13-01", ": cannot be used: month must be in 1..12"),
        ("a: " + "1" * 5000, ": cannot be used: Exceeds the limit"),
        ("a: b: c", ", line 1: cannot be used: mapping values are not allowed here"),
        ("a: \0", ": cannot be used: unacceptable character"),
        ("a: 1\n---\nb: 1", ", line 2: cannot be used: but found another document"),
        ("[1, 2]: 3", ", line 1: cannot be used: a key is no word"),
        ("a: " + "[" * 5000 + "]" * 5000, ": has too many blocks inside each other"),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", ": has too many blocks inside each other"),
        ("a: " + "x" * 100_000, ": has more than 100,000 bytes"),
        ("", ": has no keys"),
        ("[1]", ": has no keys"),
        (b"a: \xff", ": cannot be read as UTF-8 text"),
    ],
)
def test_what_snakemake_must_not_read_is_refused_in_one_line(content, problem, tmp_path):
    path = tmp_path / "theirs.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        config_file.load(path)
    (line,) = error.value.lines
    assert line.startswith(f"{path}{problem}")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "missing", Path("x\0")):
        with pytest.raises(InputError, match="see --configfile"):
            config_file.load(path)
