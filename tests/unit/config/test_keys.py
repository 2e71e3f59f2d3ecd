"""The configuration: defaults, and one line for each mistake."""

from collections import OrderedDict
from pathlib import Path

import pydantic
import pytest
import yaml
from deepcam import config
from deepcam.errors import InputError

ROOT = Path(__file__).parents[3]
OVERLAYS = sorted(path for path in ROOT.glob("config/*.yaml") if path.name != "config.yaml")


class Word(str):
    """A string as Snakemake's parser makes it: a subclass."""


def shipped():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


def mistakes(given):
    with pytest.raises(InputError) as error:
        config.parse(given)
    return error.value.lines


def test_the_shipped_configuration_states_every_default():
    assert config.parse({}) == config.parse(shipped())
    assert config.parse({}).model_dump(mode="json") == filled(shipped())


def filled(given):
    """With the keys that config.yaml need not repeat."""
    for engine in given["engines"]:
        engine.setdefault("cuda_graphs", False)
    given["benchmark"]["per_mode"].setdefault("train", {})
    return given


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_shipped_overlays_are_valid(overlay):
    parsed = config.parse(shipped(), yaml.safe_load(overlay.read_text()))
    assert config.parse(parsed.model_dump(mode="json")) == parsed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dat": {}}, "dat: unknown key; did you mean data?; allowed are data, model"),
        ({1: {}}, "1: unknown key; allowed are data, model"),
        ({"data": {"num_file": 3}}, "data.num_file: unknown key; did you mean num_files?; allowed are source"),
        ({"engines": [{"backend": "eager", "bits": 8}]}, "engines.0.bits: unknown key; allowed are backend, precision"),
        (
            {"benchmark": {"per_mode": {"io": {"rank": [1]}}}},
            "benchmark.per_mode.io.rank: unknown key; did you mean",
        ),
        (
            {"benchmark": {"per_mode": {"io": {"engines": ["x"]}}}},
            "benchmark.per_mode.io.engines: unknown key",
        ),
        ({"data": {"num_files": "eight"}}, "data.num_files: 'eight' is not allowed; it must be a number of samples"),
        (
            {"data": {"num_files": 0}},
            "data.num_files: 0 is not allowed; it must be a number of samples, 1 to 1",
        ),
        ({"data": {"num_files": True}}, "data.num_files: True is not allowed"),
        ({"data": {"source": "ftp://x"}}, "data.source: 'ftp://x' is not allowed; it must be synthetic, nersc"),
        ({"data": {"streams": 40}}, "data.streams: 40 is not allowed; it must be at most 4; more need data.allow"),
        ({"data": {"height": 40}}, "data.height: 40 is not allowed; it must be a multiple of 16"),
        ({"data": None}, "data: None is not allowed; it must be a block of keys"),
        ({"model": {"width_multiplier": 0}}, "model.width_multiplier: 0 is not allowed; it must be greater than 0"),
        ({"model": {"channels": [0, 16]}}, "model.channels.1: 16 is not allowed; it must be less than 16"),
        ({"train": {"learning_rate": "fast"}}, "train.learning_rate: 'fast' is not allowed; it must be a number"),
        ({"train": {"learning_rate": float("nan")}}, "train.learning_rate: nan is not allowed; it must be a finite"),
        ({"benchmark": {"modes": ["read"]}}, "benchmark.modes.0: 'read' is not allowed; it must be one of io, compute"),
        (
            {"benchmark": {"readers": ["dali"]}},
            "benchmark.readers.0: 'dali' is not allowed; it must be one of dali",
        ),
        ({"benchmark": {"cache": []}}, "benchmark.cache: [] is not allowed; it must have at least one value"),
        ({"benchmark": {"cache": "cold"}}, "benchmark.cache: 'cold' is not allowed; it must be a list"),
        ({"benchmark": {"ranks": [1, 1]}}, "benchmark.ranks: [1, 1] is not allowed; it must have each value only once"),
        ({"benchmark": {"launcher": "mpirun"}}, "benchmark.launcher: 'mpirun' is not allowed; it must hold {ranks}"),
        ({"engines": [{"backend": 1}]}, "engines.0.backend: 1 is not allowed; it must be 'auto', 'eager',"),
        ({"engines": [{"precision": "fp32"}]}, "engines.0.backend: is missing"),
        (
            {"engines": [{"backend": "eager", "precision": "fp8"}]},
            "engines.0.precision: 'fp8' is not allowed; it must be",
        ),
        ({"devices": "gpu"}, "devices: 'gpu' is not allowed; it must be auto, cpu, or a list of GPU indices"),
        ({"devices": [-1]}, "devices: [-1] is not allowed; it must be auto, cpu, or a list of GPU indices"),
        ({"devices": [0, 0]}, "devices: [0, 0] is not allowed; it must have each value only once"),
        ({"benchmark": {"repeats": 2}}, "benchmark.repeats: this key is now called benchmark.min_starts"),
        ({"benchmark": {"starts": 2}}, "benchmark.starts: this key is now called benchmark.min_starts"),
        ({"benchmark": {"precision": 0}}, "benchmark.precision: 0 is not allowed; it must be greater than 0"),
        ({"benchmark": {"precision": 1.5}}, "benchmark.precision: 1.5 is not allowed; it must be at most 1"),
        (
            {"benchmark": {"min_starts": 5, "max_starts": 3}},
            "benchmark.max_starts: 3 is not allowed; it must be at least min_starts, 5",
        ),
        (
            {"benchmark": {"max_seconds": 5, "min_seconds": 2, "runs": 2}},
            "benchmark.max_seconds: 5 is not allowed; it must be at least 6, because the runs of a start",
        ),
        (
            {"benchmark": {"timeout_seconds": 1, "min_seconds": 2, "runs": 2}},
            "benchmark.timeout_seconds: 1 is not allowed; it must be at least 6, because",
        ),
    ],
)
def test_a_mistake_is_named_in_one_line(change, message):
    (line,) = mistakes(change)
    assert line.startswith(message)
    assert "\n" not in line


def test_an_engine_that_is_named_twice_is_refused_even_if_one_spells_out_a_default():
    (line,) = mistakes({"engines": [{"backend": "eager"}, {"backend": "eager", "precision": "auto"}]})
    assert line.startswith("engines: ") and line.endswith("it must have each value only once")


@pytest.mark.parametrize("value", ["two", True, 8.0, float("nan"), None])
def test_only_an_integer_is_an_integer(value):
    assert mistakes({"benchmark": {"ranks": [value]}}) == (
        f"benchmark.ranks.0: {value!r} is not allowed; it must be an integer",
    )


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_only_a_boolean_is_a_boolean(value):
    assert mistakes({"data": {"keep_hdf5": value}}) == (
        f"data.keep_hdf5: {value!r} is not allowed; it must be a boolean",
    )


@pytest.mark.parametrize("value", [0, 64, 129.0, "4096", True, None])
def test_only_two_sizes_of_headers_can_be_made(value):
    assert config.parse({"data": {"npy_header_bytes": 4096}}).data.npy_header_bytes == 4096
    (line,) = mistakes({"data": {"npy_header_bytes": value}})
    assert line.startswith(f"data.npy_header_bytes: {value!r} is not allowed; it must be 128 or 4096")


def test_every_mistake_has_a_line():
    given = {"data": {"num_files": 0, "num_file": 1}, "benchmark": {"ranks": ["2", 0], "repeats": 2}}
    assert [line.partition(":")[0] for line in mistakes(given)] == [
        "data.num_files", "data.num_file", "benchmark.ranks.0", "benchmark.ranks.1", "benchmark.repeats",
    ]  # fmt: skip


def test_more_streams_need_consent():
    assert config.parse({"data": {"streams": 8, "allow_more_streams": True}}).data.streams == 8
    (line,) = mistakes({"data": {"streams": 8, "allow_more_streams": False}})
    assert line.startswith("data.streams: 8")


def test_the_old_name_of_a_reader_is_understood_with_a_warning(capsys):
    parsed = config.parse({"benchmark": {"readers": ["raw"], "per_mode": {"io": {"readers": ["raw", "pread"]}}}})
    assert parsed.benchmark.readers == ("pread-discard",)
    assert parsed.benchmark.of_mode("io").readers == ("pread-discard", "pread")
    warning = "warning: reader raw is now called pread-discard; use the new name"
    assert capsys.readouterr().err.splitlines() == [warning, warning]


def test_dictionaries_and_strings_of_snakemakes_own_kinds_are_accepted():
    given = OrderedDict(data=OrderedDict(source=Word("nersc"), split=Word("train")), devices=Word("auto"))
    assert config.parse(given) == config.parse({"data": {"source": "nersc", "split": "train"}, "devices": "auto"})


def test_an_engine_has_a_name():
    assert config.Engine(backend="aotinductor").name == "aotinductor-auto"
    assert config.Engine(backend="tensorrt", precision="fp16", cuda_graphs=True).name == "tensorrt-fp16-graphs"


def test_keys_of_a_mode_replace_the_common_ones():
    benchmark = config.parse({"benchmark": {"runs": 7, "per_mode": {"compute": {"ranks": [4]}}}}).benchmark
    assert (benchmark.of_mode("compute").ranks, benchmark.of_mode("compute").runs) == ((4,), 7)
    assert benchmark.of_mode("io").ranks == benchmark.ranks == (1, 2)


def test_a_configuration_does_not_change():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        config.parse({}).data.num_files = 9
