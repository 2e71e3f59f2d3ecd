"""A plan counts what is to do, and no more; its bytes are those of real files."""

import dataclasses
from pathlib import Path

import pytest
import record_example
import yaml
from deepcam.config import parse
from deepcam.data import convert, synthesis
from deepcam.errors import InputError
from deepcam.plan import plan, terminal
from deepcam.record import store
from deepcam.record.model import DatasetSummary, Settings

ROOT = Path(__file__).parents[3]
NOTHING = plan.Found(False, 0, False, frozenset(), (), False)
ENGINES = frozenset({("eager-fp32", "cpu"), ("aotinductor-auto", "cpu")})


def config(**data):
    made = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    made["data"] |= data
    return parse(made).model_dump(mode="json")


def make(found=NOTHING, **data):
    return plan.make(config(**data), ["cpu"], report_jobs=5, cores=2, found=found)


def jobs(made):
    return {stage.name: stage.jobs for stage in made.stages}


def seconds(made):
    return {stage.name: stage.seconds for stage in made.stages}


def record(cell, rate, **settings):
    """A record of the default configuration with this rate."""
    runs = 5 if cell.mode == "io" else 3
    default = {"warmup_runs": 1, "runs": runs, "min_seconds": 0.3, "drop_caches": False, "shuffle": "none"}
    made = record_example.record()
    return made.model_copy(
        update={
            "cell": cell,
            "settings": Settings(**default | settings),
            "dataset": DatasetSummary(
                source="synthetic", sample_shape=(768, 1152, 16), bytes=8, samples=["sample"] * 8
            ),
            "metrics": made.metrics.model_copy(update={"samples_per_second": rate}),
        }
    )


def test_bytes_are_those_of_real_files(tmp_path):
    path = tmp_path / "data-1996-06-01-00-0.h5"
    synthesis.write_sample(path, seed=1, height=96, width=144)
    npy = sum(entry.bytes for entry in convert.convert_file(path, tmp_path))
    assert plan.sample_bytes(96, 144) == (path.stat().st_size, npy)


def test_synthetic_samples_are_not_downloaded():
    assert make().download_bytes == 0
    assert make(source="nersc").download_bytes == 8 * plan.sample_bytes(768, 1152)[0]


def test_hdf5_files_that_are_not_kept_take_the_room_of_two_shards():
    hdf5, npy = plan.sample_bytes(768, 1152)
    assert make(num_files=64).disk_bytes == 64 * (hdf5 + npy)
    assert make(num_files=64, keep_hdf5=False).disk_bytes == 8 * hdf5 + 64 * npy


def test_only_what_is_missing_is_to_do():
    assert jobs(make()) == {"data": 6, "engines": 6, "benchmark": 36, "tables and figures": 5}
    cells = make().cells
    partly = plan.Found(True, 1, False, ENGINES - {("eager-fp32", "cpu")}, [record(cells[0], 1.0)], False)
    assert jobs(make(partly)) == {"data": 3, "engines": 3, "benchmark": 35, "tables and figures": 5}
    assert make(partly).new_samples == 4
    complete = plan.Found(True, 2, True, ENGINES, [record(cell, 1.0) for cell in cells], True)
    assert set(jobs(make(complete)).values()) == set(seconds(make(complete)).values()) == {0}


@pytest.mark.parametrize("other", [{"runs": 9}, {"min_seconds": 1.0}, {"shuffle": "rank"}])
def test_a_record_with_other_settings_is_measured_again(other):
    cell = make().cells[0]
    found = dataclasses.replace(NOTHING, records=[record(cell, 1.0, **other)])
    assert make(found).new_records.count(cell) == 1


def test_a_record_of_other_samples_is_measured_again():
    cell = make().cells[0]
    found = dataclasses.replace(NOTHING, records=[record(cell, 1.0)])
    assert make(found, num_files=16).new_records.count(cell) == 1


def test_what_was_measured_here_counts_more_than_what_is_assumed():
    alike = [cell for cell in make().cells if (cell.mode, cell.cache, cell.reader) == ("io", "cold", "pread")]
    slow = dataclasses.replace(NOTHING, records=[record(alike[0], 0.08, runs=9)])
    others = len(alike)
    assert make().guessed - make(slow).guessed == others > 1
    # A pass of 100 s instead of a fraction of one, six times a job: a warm-up, five runs.
    slower = seconds(make(slow))["benchmark"] - seconds(make())["benchmark"]
    assert slower == pytest.approx(600 * others, rel=0.01)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}'])
def test_what_is_no_record_is_named_as_the_workflow_would(tmp_path, text):
    (tmp_path / "0.json").write_text(text)
    with pytest.raises(InputError, match=r"0\.json: .*; delete it and run the workflow again"):
        store.read([tmp_path / "0.json"])


def test_jobs_that_would_be_ended_and_a_small_disk_are_told():
    text = terminal.text(make(num_files=20_000), config(num_files=20_000), ["cpu"], free_bytes=10**9)
    assert "NOT ENOUGH DISK: 2.55 TB are missing" in text
    assert "TOO LONG: 24 benchmark jobs" in text
    fine = terminal.text(make(), config(), ["cpu"], free_bytes=10**12)
    assert "NOT ENOUGH" not in fine and "TOO LONG" not in fine


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "-"), (2, "about 10 s"), (84, "about 80 s"), (341, "about 6 minutes"), (1234, "about 21 minutes"),
     (33000, "about 9 hours"), (2_340_000, "about 27 days")],
)  # fmt: skip
def test_times_pretend_no_precision(seconds, text):
    assert terminal.about(seconds) == text
