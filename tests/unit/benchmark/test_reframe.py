"""The ReFrame test has options that run_benchmark takes, and fields that records have. ReFrame is not installed."""

import json
import runpy
import sys
import types
from pathlib import Path

import pytest
from deepcam.benchmark import arguments
from deepcam.data.dataset import from_folders
from deepcam.record import store
from record_example import invalid, record
from site_example import npy

PROGRAM = Path(__file__).parents[2] / "reframe/deepcam_read.py"


class Content(dict):
    """What a deferred call returns."""

    def evaluate(self):
        return self


def decorator(*_):
    return lambda function: function


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """The class of the test, for which stand-ins take the place of ReFrame. Its folder is the temporary one."""
    core, sanity = types.ModuleType("reframe"), types.ModuleType("reframe.utility.sanity")
    core.simple_test = lambda made: made
    core.RunOnlyRegressionTest = object
    sanity.deferrable = lambda function: lambda *given: Content(function(*given))
    sanity.defer = lambda value: value
    sanity.assert_eq = lambda found, expected: found == expected
    for module in (core, types.ModuleType("reframe.utility"), sanity):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    names = {
        "variable": lambda kind, value: value,
        "parameter": lambda values: values,
        "run_before": decorator,
        "performance_function": decorator,
        "sanity_function": lambda function: function,
    }
    made = runpy.run_path(str(PROGRAM), names)["DeepcamRead"]
    made.env_vars, made.stagedir = {}, tmp_path
    return made


@pytest.mark.parametrize("ranks", [1, 2])
def test_its_options_are_those_of_the_benchmark(reads, tmp_path, ranks):
    for number in range(4):
        npy(tmp_path / f"data-{number}.npy")
    from_folders([tmp_path]).write(tmp_path / "dataset.json")
    for cache in reads.cache:
        asked = reads()
        asked.cache, asked.num_tasks, asked.dataset = cache, ranks, str(tmp_path / "dataset.json")
        asked.set_options()
        options = asked.executable_opts
        assert ("mpi4py" in options) is (ranks > 1)
        job = arguments.parse(options[options.index("run_benchmark") + 1 :])
        assert (job.cell.mode, job.cell.reader, job.cell.cache) == ("io", "pread", cache)
        assert (job.cell.ranks, job.cell.local_batch_size, job.cell.inter_threads) == (ranks, 2, 4)


@pytest.mark.parametrize(("made", "passes"), [(record(), True), (invalid(record()), False)])
def test_it_passes_with_a_valid_record_only_and_reports_its_throughput(reads, tmp_path, made, passes):
    store.write(made, tmp_path / "record.json")
    judging = reads()
    assert judging.checks_of_the_record_pass() is passes
    metrics = json.loads((tmp_path / "record.json").read_text())["metrics"]
    assert judging.gigabytes_per_second() == metrics["gigabytes_per_second"] > 0
    assert judging.samples_per_second() == metrics["samples_per_second"] > 0
