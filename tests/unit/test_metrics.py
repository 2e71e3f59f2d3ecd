"""Metrics and validity checks on known numbers."""

import copy

import pytest
from deepcam import metrics, records, tables


def rank_run(seconds, names, **more):
    return {
        "seconds": seconds,
        "batch_seconds": [seconds / 2] * 2,
        "batch_samples": [1, 1],
        "samples": dict.fromkeys(names, 1),
        "cpu_seconds": seconds,
        "storage_bytes": 0,
        "reader": {"o_direct": True},
        "device": {"energy_joules": None, "utilisation": None, "memory_bytes": None},
    } | more


def record(**cell):
    run = {
        "passes": 1,
        "residency_low": 0.0,
        "residency_high": 0.0,
        "ranks": [rank_run(1.0, ["a.npy", "b.npy"]), rank_run(2.0, ["c.npy", "d.npy"])],
    }
    faster = copy.deepcopy(run)
    faster["ranks"][1]["seconds"] = 1.6
    made = {
        "schema_version": 1,
        "cell": {
            "mode": "io",
            "reader": "dali-direct",
            "cache": "cold",
            "engine": "none",
            "ranks": 2,
            "local_batch_size": 1,
            "inter_threads": 1,
            "intra_threads": 1,
        }
        | cell,
        "settings": {"warmup_runs": 0, "runs": 2, "min_seconds": 0.0},
        "dataset": {
            "source": "synthetic",
            "sample_shape": [2, 2, 16],
            "bytes": 4_000_000_000,
            "samples": ["a.npy", "b.npy", "c.npy", "d.npy"],
        },
        "engine": None,
        "environment": {
            "hostname": "n",
            "cpu": "x",
            "kernel": "6",
            "packages": {},
            "file_system": {},
            "ranks": [{"node": "n", "local_rank": i, "device": "cpu", "cores": [i]} for i in range(2)],
        },
        "runs": [run, faster],
        "checks": [],
        "metrics": {},
    }
    made["checks"] = metrics.checks(made)
    return made


def failed(made):
    return [check["name"] for check in metrics.checks(made) if not check["ok"]]


def test_throughput_is_all_samples_over_the_slowest_rank():
    row = metrics.summarize([record()])
    assert row["lowest_samples_per_second"] == pytest.approx(4 / 2.0)
    assert row["highest_samples_per_second"] == pytest.approx(4 / 1.6)
    assert row["samples_per_second"] == pytest.approx((2 + 2.5) / 2)
    assert row["gigabytes_per_second"] == pytest.approx(2.25)  # a sample of the example has 1e9 bytes
    assert row["seconds_per_sample"] == pytest.approx(1 / 2.25)
    assert row["spread"] == pytest.approx(0.25 / 2.25)
    assert row["cpu_utilisation"] == pytest.approx((3 / (2 * 2.0) + 3 / (2 * 1.6)) / 2)
    assert row["valid"] and row["invalid_reasons"] == ""


def test_repeats_are_pooled():
    assert metrics.summarize([record(), record()])["runs"] == 4


def test_the_example_is_a_valid_record():
    records.validate(record())


def test_a_good_record_fails_no_check():
    assert failed(record()) == []


def test_a_sample_read_twice_or_not_at_all_is_found():
    made = record()
    made["runs"][1]["ranks"][0]["samples"] = {"a.npy": 2}
    assert failed(made) == ["samples_once"]
    row = metrics.summarize([made | {"checks": metrics.checks(made)}])
    assert not row["valid"]
    assert row["invalid_reasons"] == (
        "samples_once: expected every sample once a pass, got 2 samples differ (first: a.npy)"
    )


def test_a_foreign_sample_is_found():
    made = record()
    made["runs"][0]["ranks"][0]["samples"]["z.npy"] = 1
    assert failed(made) == ["samples_once"]


@pytest.mark.parametrize(
    ("cache", "low", "high", "ok"),
    [("cold", 0.0, 0.01, True), ("cold", 0.0, 0.02, False), ("warm", 0.99, 1, True), ("warm", 0.98, 1, False)],
)
def test_residency_decides_on_cold_and_warm(cache, low, high, ok):
    made = record(cache=cache)
    for run in made["runs"]:
        run |= {"residency_low": low, "residency_high": high}
    assert (failed(made) == []) is ok


def test_missing_runs_and_ranks_are_found():
    made = record()
    made["settings"]["runs"] = 3
    made["cell"]["ranks"] = 4
    assert failed(made) == ["run_count", "rank_count"]


def test_a_reader_that_did_not_read_as_its_name_says_is_found():
    made = record()
    made["runs"][0]["ranks"][1]["reader"] = {"o_direct": False}
    assert failed(made) == ["o_direct"]


def test_gds_in_compatibility_mode_is_never_valid():
    made = record(reader="dali-gds")
    for run in made["runs"]:
        for rank in run["ranks"]:
            rank["reader"] = {"gds": True}
    assert failed(made) == []
    made["runs"][0]["ranks"][1]["reader"] = {"gds": False}
    assert failed(made) == ["gpudirect_storage"]


def test_a_gpu_that_ranks_share_counts_once():
    made = record()
    for run in made["runs"]:
        for rank, joules in zip(run["ranks"], (36.0, 40.0), strict=True):
            rank["device"] = {"energy_joules": joules, "utilisation": 0.5, "memory_bytes": 7}
    for place in made["environment"]["ranks"]:
        place["device"] = "cuda:0"
    row = metrics.summarize([made])
    assert (row["joules_per_sample"], row["device_utilisation"], row["device_memory_bytes"]) == (10, 0.5, 7)
    made["environment"]["ranks"][1]["device"] = "cuda:1"
    assert metrics.summarize([made])["joules_per_sample"] == 19


def test_without_a_gpu_nothing_is_said_of_its_energy():
    assert metrics.summarize([record()])["joules_per_sample"] is None


@pytest.mark.parametrize(
    ("inference", "io", "compute", "efficiency", "verdict"),
    [(9.5, 100, 10, 0.95, "compute"), (4.8, 5, 10, 0.96, "storage"), (4, 5, 10, 0.8, "contended")],
)
def test_the_bottleneck_is_the_lower_ceiling_if_inference_reaches_it(inference, io, compute, efficiency, verdict):
    found = metrics.bottleneck(inference, io, compute)
    assert found["overlap_efficiency"] == pytest.approx(efficiency)
    assert found["utilisation"] == inference / compute
    assert found["bottleneck"] == verdict


def test_inference_finds_its_ceilings_among_the_cells_of_the_same_settings():
    inference = record(mode="inference", engine="eager-fp32")
    compute = record(mode="compute", reader="none", cache="none", engine="eager-fp32")
    other = record(inter_threads=2)
    assert "bottleneck" not in tables.summary([inference, compute, other])
    table = tables.summary([inference, compute, record()]).set_index("mode")
    assert table.loc["inference", "overlap_efficiency"] == 1
    assert table.loc["inference", "bottleneck"] == "compute"


def test_an_invalid_cell_is_never_the_best():
    slow, fast = record(local_batch_size=1), record(local_batch_size=2)
    for run in fast["runs"]:
        run["ranks"][1]["seconds"] = 0.5
    assert tables.best(tables.summary([slow, fast]))["local_batch_size"].tolist() == [2]
    fast["checks"][0]["ok"] = False
    assert tables.best(tables.summary([slow, fast]))["local_batch_size"].tolist() == [1]


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "0.json").write_text('{"schema_version": 1}')
    with pytest.raises(Exception, match=r"0\.json: not a benchmark record"):
        records.read([tmp_path / "0.json"])
