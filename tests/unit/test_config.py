"""The configuration: defaults, and one line for what is wrong."""

from pathlib import Path

import pytest
import yaml
from deepcam import config
from deepcam.errors import InputError

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "config/schemas/config.schema.json"


def default():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


def test_an_empty_configuration_is_the_default_one_but_for_per_mode():
    empty, shipped = {}, default()
    config.validate(empty, SCHEMA)
    config.validate(shipped, SCHEMA)
    shipped["benchmark"]["per_mode"] = {}
    assert empty | {"devices": "cpu"} == shipped


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dat": {}}, "top level: unknown key dat; allowed are data, model"),
        ({"data": {"num_file": 3}}, "data: unknown key num_file; allowed are source"),
        ({"data": {"num_files": "eight"}}, "data.num_files: 'eight' is not allowed; allowed are a number of"),
        ({"data": {"source": "ftp://x"}}, "data.source: 'ftp://x' is not allowed; allowed are synthetic, nersc"),
        ({"data": {"streams": 40}}, "data.streams: 40 is greater than the maximum of 4; more need data.allow"),
        ({"benchmark": {"modes": ["read"]}}, "benchmark.modes.0: 'read' is not allowed; allowed are io, compute"),
        ({"benchmark": {"cache": []}}, "benchmark.cache: is empty"),
        ({"engines": [{"backend": 1}]}, "engines.0.backend: 1 is not of type string"),
        ({"engines": [{"precision": "fp32"}]}, "engines.0: 'backend' is a required property"),
        ({"devices": "gpu"}, "devices: 'gpu' is not allowed; allowed are auto, cpu"),
        ({"benchmark": {"launcher": "mpirun"}}, "benchmark.launcher: 'mpirun' is not allowed; the command"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(change, message):
    with pytest.raises(InputError) as error:
        config.validate(change, SCHEMA)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_more_streams_need_consent():
    config.validate({"data": {"streams": 8, "allow_more_streams": True}}, SCHEMA)
    with pytest.raises(InputError, match=r"data\.streams: 8"):
        config.validate({"data": {"streams": 8, "allow_more_streams": False}}, SCHEMA)
