"""A plan sums up the jobs of a dry run, and its bytes are those of real files."""

import numpy as np
import pytest
import record_example
from deepcam import grid
from deepcam.config import Data, parse
from deepcam.data import convert, synthesis
from deepcam.errors import InputError
from deepcam.plan import estimates, plan, terminal
from deepcam.plan.dry_run import Job
from deepcam.record import store

REPORT = [Job("list_records"), Job("aggregate_results"), Job("plot_bottleneck"), Job("write_summary"), Job("all")]
ENGINES = [
    Job("assemble_model"),
    *(Job("compile_engine", {"engine": name, "device": "cpu"}) for name in ("eager-fp32", "aotinductor-fp32")),
    Job("predict_reference", {"device": "cpu"}),
    Job("check_accuracy", {"engine": "eager-fp32", "device": "cpu"}),
    Job("choose_engine", {"engine": "aotinductor-auto", "device": "cpu"}),
]


def data_jobs(config, make_shard="synthesize_shard"):
    shards = grid.shard_ids(config.data.num_samples, config.data.files_per_shard)
    per_shard = [Job(rule, {"shard": shard}) for rule in (make_shard, "convert_shard") for shard in shards]
    return [Job("fetch_file_index"), *per_shard, Job("describe_dataset")]


def benchmark_jobs(config):
    return [Job("run_rounds", {"group": group}) for group in grid.groups(grid.cells(config), 8)]


def everything(config):
    return [*data_jobs(config), *ENGINES, *benchmark_jobs(config), *REPORT]


def make(jobs=None, rates=None, starts=None, **data):
    config = parse({"data": data})
    jobs = everything(config) if jobs is None else jobs
    return plan.make(config, ["cpu"], jobs, rates or {}, starts or {}, cores=2)


def jobs_of(made):
    return {stage.name: stage.jobs for stage in made.stages}


def seconds(made):
    return {stage.name: stage.seconds for stage in made.stages}


def record(cell, rate, sample_shape=(768, 1152, 16)):
    """A record of a cell with this rate."""
    made = record_example.record()
    dataset = made.dataset.model_copy(update={"sample_shape": sample_shape})
    metrics = made.metrics.model_copy(update={"samples_per_second": rate})
    return made.model_copy(update={"cell": cell, "dataset": dataset, "metrics": metrics})


def test_bytes_are_those_of_real_files(tmp_path):
    path = tmp_path / "data-1996-06-01-00-0.h5"
    synthesis.write_sample(path, seed=1, height=96, width=144)
    for header_bytes in (128, 4096):
        npy = sum(entry.bytes for entry in convert.convert_file(path, tmp_path, header_bytes))
        data = Data(height=96, width=144, npy_header_bytes=header_bytes)
        assert plan.sample_bytes(data) == (path.stat().st_size, npy)


def test_synthetic_samples_are_not_downloaded():
    assert make().download_bytes == 0
    archive = parse({"data": {"source": "nersc"}})
    made = plan.make(archive, ["cpu"], data_jobs(archive, "download_shard"), {}, {}, cores=2)
    assert made.download_bytes == 8 * plan.sample_bytes(Data())[0]
    assert seconds(made)["data"] > made.download_bytes / estimates.DOWNLOAD_RATE > 8


def test_hdf5_files_that_are_not_kept_take_the_room_of_two_shards():
    hdf5, npy = plan.sample_bytes(Data())
    assert make(num_files=64).disk_bytes == {"": 64 * (hdf5 + npy)}
    assert make(num_files=64, keep_hdf5=False).disk_bytes == {"": 8 * hdf5 + 64 * npy}


def test_copies_at_other_places_have_jobs_and_bytes_of_their_own(tmp_path):
    folders = {"nvme": "/nvme/data", "lustre-2": "/lustre/data"}
    config = parse({"data": {"num_files": 6, "dir": folders}})
    copies = [*(Job("copy_shard_to_lustre-2", {"shard": shard}) for shard in ("00000", "00001")),
              Job("describe_copies_on_lustre-2")]  # fmt: skip
    made = plan.make(config, ["cpu"], [*data_jobs(config), *copies], {}, {}, cores=2)
    hdf5, npy = plan.sample_bytes(Data())
    np.save(tmp_path / "data.npy", np.zeros((768, 1152, 16), np.float32))
    copy = (tmp_path / "data.npy").stat().st_size
    assert made.disk_bytes == {"nvme": 6 * (hdf5 + npy), "lustre-2": 6 * copy}
    assert jobs_of(made)["data"] == len(data_jobs(config)) + 3
    fewer = plan.make(config, ["cpu"], data_jobs(config), {}, {}, cores=2)
    assert fewer.disk_bytes["lustre-2"] == 0
    assert seconds(made)["data"] - seconds(fewer)["data"] == pytest.approx(6 * copy / estimates.DISK_RATE)


def test_places_on_one_disk_share_its_space():
    folders = {"a": "/disk/a", "b": "/disk/b", "c": "/other"}
    config = parse({"data": {"dir": folders}})
    copies = [Job(f"copy_shard_to_{place}", {"shard": "00000"}) for place in "bc"]
    made = plan.make(config, ["cpu"], [*data_jobs(config), *copies], {}, {}, cores=2)
    free = made.disk_bytes["a"] + made.disk_bytes["b"] - 10**6
    text = terminal.text(made, config, ["cpu"], [terminal.Disk("ab", free), terminal.Disk("c", 10**12)])
    assert "more in /disk/a and /disk/b, which together have" in text and "more in /other, which has 1 TB free" in text
    assert text.count("NOT ENOUGH DISK SPACE") == 1 and "NOT ENOUGH DISK SPACE: 1 MB are missing" in text


def test_the_last_shard_may_be_smaller():
    assert make(num_files=10).new_samples == 10
    assert make([Job("convert_shard", {"shard": "00002"})], num_files=10).new_samples == 2


def test_only_what_is_missing_is_to_do():
    assert jobs_of(make()) == {"data": 6, "engines": 6, "benchmark": 1, "tables and figures": 5}
    shard, engine = Job("convert_shard", {"shard": "00001"}), ENGINES[1]
    partly = make([shard, engine, *REPORT])
    assert jobs_of(partly) == {"data": 1, "engines": 1, "benchmark": 0, "tables and figures": 5}
    assert (partly.new_samples, partly.new_engines, partly.new_starts) == (4, 1, 0)
    complete = make([])
    assert set(jobs_of(complete).values()) == set(seconds(complete).values()) == {0}


def test_cells_lack_the_starts_that_they_have_no_record_of():
    cells, least = make().cells, parse({}).benchmark.min_starts
    assert make().new_starts == least * len(cells)
    begun = make(starts={cells[0].id: least + 1, cells[1].id: 1})
    assert begun.new_starts == least * len(cells) - least - 1
    assert cells[0] not in begun.new_cells and cells[1] in begun.new_cells
    assert seconds(begun)["benchmark"] < seconds(make())["benchmark"]


def test_every_job_is_in_a_stage():
    made = make([*REPORT, Job("a_rule_that_is_new")])
    assert jobs_of(made) == {"data": 0, "engines": 0, "benchmark": 0, "tables and figures": 6}


def test_rates_are_those_of_records_with_samples_of_the_same_shape():
    cell = grid.cells(parse({}))[0]
    records = [record(cell, 1.0), record(cell, 3.0), record(cell, 2.0), record(cell, 100, sample_shape=(96, 144, 16))]
    assert estimates.measured_rates(records, parse({}).data) == {estimates.rate_key(cell): 2.0}


def test_the_rate_of_an_invalid_record_is_not_used():
    cell = grid.cells(parse({}))[0]
    invalid = record(cell, 1.0)
    invalid = invalid.model_copy(update={"metrics": invalid.metrics.model_copy(update={"valid": False})})
    assert estimates.measured_rates([invalid], parse({}).data) == {}


def test_what_was_measured_here_counts_more_than_what_is_assumed():
    alike = [cell for cell in make().cells if (cell.mode, cell.cache, cell.reader) == ("io", "cold", "pread")]
    slow = {estimates.rate_key(alike[0]): 0.08}
    others = len(alike)
    assert make().assumed - make(rates=slow).assumed == others > 1
    # An epoch of 100 s instead of a fraction of one, for the warm-up and for each run of a start.
    slower = seconds(make(rates=slow))["benchmark"] - seconds(make())["benchmark"]
    benchmark = parse({}).benchmark
    assert slower == pytest.approx(100 * (1 + benchmark.runs) * benchmark.min_starts * others, rel=0.01)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}'])
def test_what_is_no_record_is_named_as_the_workflow_would(tmp_path, text):
    (tmp_path / "0.json").write_text(text)
    with pytest.raises(InputError, match=r"0\.json: .*; delete it and run the workflow again"):
        store.read([tmp_path / "0.json"])


def test_jobs_that_would_be_ended_and_a_small_disk_are_told():
    config = parse({"data": {"num_files": 20_000}})
    text = terminal.text(make(num_files=20_000), config, ["cpu"], [terminal.Disk([""], 10**9)])
    assert "NOT ENOUGH DISK SPACE: 2.55 TB are missing" in text
    assert "TOO LONG: starts of " in text
    fine = terminal.text(make(), parse({}), ["cpu"], [terminal.Disk([""], 10**12)])
    assert "NOT ENOUGH" not in fine and "TOO LONG" not in fine


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "-"), (2, "about 10 s"), (84, "about 80 s"), (341, "about 6 minutes"), (1234, "about 21 minutes"),
     (33000, "about 9 hours"), (2_340_000, "about 27 days")],
)  # fmt: skip
def test_times_pretend_no_precision(seconds, text):
    assert terminal.about(seconds) == text
