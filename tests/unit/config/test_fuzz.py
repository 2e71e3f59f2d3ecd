"""Mutated configurations: each is accepted, or refused with one line for each mistake. The mutations are seeded."""

import copy
import datetime
import math
import random
from pathlib import Path

import pytest
import yaml
from deepcam import config, grid, launch
from deepcam.config import file as config_file
from deepcam.errors import InputError
from deepcam.plan import plan

ROOT = Path(__file__).parents[3]
FILES = sorted(ROOT.glob("config/*.yaml"))
MUTATIONS = 3000
VALUES = [
    None, True, False, 0, -1, 1, 2, 3, 16, 64.0, 1.5, -0.0, 10**9, 10**30, 10**5000, -(10**400), 1e999, -math.inf,
    math.nan, 1e-320, "", "1", "1.0", "all", "auto", "cpu", "nan", "~", "~/x", "$HOME/x", "$(touch x)", "`touch x`",
    "{x}", "<x>", "a b", "it's", 'a"b', "ü", "-n", "a\nb", "a\0b", "\x1b[31m", "\ud800", "x" * 300, "x" * 100_000,
    "/", "..", "//", "s3://x", "http://user:secret@host", "https://[::1", "https://host:99999999/", "nersc",
    "synthetic", [], {}, [[]], [1, 1], [0], [None], [math.nan], list(range(1, 1000)), {"a": 1}, {None: 1},
    {1: {2: 3}}, {(1, 2): 3}, b"x", {1, 2}, datetime.date(2001, 1, 1), 1j, "mpirun -n {ranks}; touch x",
    "mpirun '{ranks}", "{ranks}", "{ranks} {0}", "{ranks}$",
]  # fmt: skip
KEYS = [None, 1, 1.5, True, (1, 2), "", "x", "a\nb", "\ud800", "k" * 100_000, b"x", "data", "num_files", "__class__"]


def places(value):
    """Each container below a value, and each key or index in it."""
    found = []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []:
        found += [(value, key), *places(inner)]
    return found


def mutate(given, chance):
    for _ in range(chance.randint(1, 3)):
        container, key = chance.choice(places(given) or [(given, "data")])
        match chance.randrange(4):
            case 0 if isinstance(container, dict):
                container[chance.choice(KEYS)] = container.pop(key)
            case 1 if isinstance(container, dict):
                container[chance.choice(KEYS)] = copy.deepcopy(chance.choice(VALUES))
            case 2 if isinstance(container, dict):
                del container[key]
            case _:
                container[key] = copy.deepcopy(chance.choice(VALUES))
    return given


def use(given):
    """What the Snakefile and a plan do with a configuration before any job."""
    settings = config.parse(given)
    cells = grid.cells(settings)
    grid.shard_ids(settings.data.num_samples, settings.data.files_per_shard)
    devices = ["cpu"] if settings.devices == "auto" else launch.device_names(settings.devices)
    grid.check_devices(cells, devices)
    launch.device_job(settings.cluster, devices)
    for on_cluster in (True, False):
        launch.launcher(settings, cells[-1].ranks, on_cluster)
    plan.make(settings, devices, [], {}, {}, cores=2)
    assert config.parse(yaml.safe_load(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)))) == settings


def outcome(given):
    """True if a configuration is accepted, and else whether each of its mistakes is a short and printable line."""
    try:
        use(given)
    except InputError as error:
        assert error.lines
        for line in error.lines:
            assert line.isprintable() and 0 < len(line) < 1000 and "secret" not in line
        return False
    return True


def test_a_mutated_configuration_is_accepted_or_refused_in_lines(seed=2026, mutations=MUTATIONS):
    chance = random.Random(seed)
    shipped = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    files = [shipped | yaml.safe_load(path.read_text()) for path in FILES]
    accepted = sum(outcome(mutate(copy.deepcopy(chance.choice(files)), chance)) for _ in range(mutations))
    assert 0 < accepted < mutations


def test_a_mutated_file_is_accepted_or_refused_in_one_line(tmp_path, seed=2026, mutations=200):
    chance, path = random.Random(seed), tmp_path / "config.yaml"
    contents = [file.read_bytes() for file in FILES]
    for _ in range(mutations):
        content = bytearray(chance.choice(contents))
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.choice(b"\0\t\n\"'{}[]:-?*&!%@`#|>,0 \xff\x1b")
        path.write_bytes(content)
        try:
            config_file.load(path)
        except InputError as error:
            (line,) = error.lines
            assert line.startswith(f"{path}") and line.isprintable()


@pytest.mark.parametrize("key", ["ranks", "inter_threads"])
def test_a_grid_without_end_is_refused_before_it_is_made(key):
    long = {"ranks": list(range(1, 9999)), "local_batch_sizes": list(range(1, 999)), key: list(range(1, 99))}
    with pytest.raises(InputError, match="combinations in mode io; at most 100,000"):
        use({"benchmark": {"modes": ["io"], "per_mode": {"io": long}}})
