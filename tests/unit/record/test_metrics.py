"""Metrics, tables and verdicts on known numbers."""

import pytest
from deepcam.record import cell_summary, metrics
from deepcam.report import tables
from record_example import FAST, record


def test_throughput_is_all_samples_over_the_slowest_rank():
    row = cell_summary.row([record()])
    assert row["lowest_samples_per_second"] == pytest.approx(4 / 2.0)
    assert row["highest_samples_per_second"] == pytest.approx(FAST)
    assert row["samples_per_second"] == pytest.approx((2 + FAST) / 2)
    assert row["gigabytes_per_second"] == pytest.approx((2 + FAST) / 2)  # a sample of the example has 1e9 bytes
    assert row["seconds_per_sample"] == pytest.approx(2 / (2 + FAST))
    assert row["spread"] == pytest.approx((FAST - 2) / (FAST + 2))
    assert row["cpu_utilisation"] == pytest.approx((3 / (2 * 2.0) + 3 / (2 * 1.95)) / 2)
    assert row["samples_per_second_per_rank"] == pytest.approx(row["samples_per_second"] / 2)
    assert row["rank_imbalance"] == pytest.approx((1 - 1 / 2 + 1 - 1 / 1.95) / 2)
    assert row["node_cpu_utilisation"] == 0.5
    assert row["memory_bytes"] == 6
    assert row["valid"] and row["invalid_reasons"] == "" and row["warnings"] == ""


def test_the_slowest_node_is_where_the_last_rank_was_in_most_runs():
    made = record()
    made["environment"]["ranks"][1]["node"] = "m"
    assert cell_summary.row([made])["slowest_node"] == "m"
    for run in made["runs"]:
        run["ranks"][0]["seconds"] = 3.0
    assert cell_summary.row([made])["slowest_node"] == "n"


def test_repeats_are_pooled():
    assert cell_summary.row([record(), record()])["runs"] == 4


def test_a_gpu_that_ranks_share_counts_once():
    made = record()
    for run in made["runs"]:
        for rank, joules in zip(run["ranks"], (36.0, 40.0), strict=True):
            rank["device"] = {"energy_joules": joules, "utilisation": 0.5, "memory_bytes": 7}
    for place in made["environment"]["ranks"]:
        place["device"] = "cuda:0"
    row = cell_summary.row([made])
    assert (row["joules_per_sample"], row["device_utilisation"], row["device_memory_bytes"]) == (10, 0.5, 7)
    made["environment"]["ranks"][1]["device"] = "cuda:1"
    assert cell_summary.row([made])["joules_per_sample"] == 19


def test_without_a_gpu_nothing_is_said_of_its_energy():
    assert cell_summary.row([record()])["joules_per_sample"] is None


@pytest.mark.parametrize(
    ("inference", "io", "compute", "efficiency", "verdict"),
    [
        (9.5, 100, 10, 0.95, "compute"),
        (4.8, 5, 10, 0.96, "storage"),
        (4, 5, 10, 0.8, "contended"),
        (6, 5, 10, 1.2, "inconsistent"),
    ],
)
def test_the_bottleneck_is_the_lower_ceiling_if_inference_reaches_it(inference, io, compute, efficiency, verdict):
    found = metrics.bottleneck(*(metrics.Rate(rate, rate, rate) for rate in (inference, io, compute)))
    assert found["overlap_efficiency"] == pytest.approx(efficiency)
    assert found["utilisation"] == inference / compute
    assert found["bottleneck"] == verdict and found["bottleneck_certain"]


def test_a_verdict_that_the_runs_extremes_would_change_is_not_certain():
    found = metrics.bottleneck(metrics.Rate(9.2, 8.8, 9.4), metrics.Rate(100, 90, 110), metrics.Rate(10, 9.9, 10))
    assert found["overlap_efficiency_low"] == pytest.approx(0.88)
    assert found["overlap_efficiency_high"] == pytest.approx(9.4 / 9.9)
    assert found["bottleneck"] == "compute" and not found["bottleneck_certain"]


def test_inference_above_its_ceilings_is_a_warning():
    compute = record(mode="compute", reader="none", cache="none", engine="eager-fp32")
    for run in compute["runs"]:
        for rank in run["ranks"]:
            rank["seconds"] *= 2
    table = tables.summary([record(mode="inference", engine="eager-fp32"), compute, record()]).set_index("mode")
    assert table.loc["inference", "bottleneck"] == "inconsistent"
    assert (
        "expected at most 110% of the lower of reading and computing alone, got 200%"
        in (table.loc["inference", "warnings"])
    )


def test_inference_finds_its_ceilings_among_the_cells_of_the_same_settings():
    inference = record(mode="inference", engine="eager-fp32")
    compute = record(mode="compute", reader="none", cache="none", engine="eager-fp32")
    other = record(inter_threads=2)
    assert tables.summary([inference, compute, other])["bottleneck"].isna().all()
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


def test_the_interval_of_the_median_holds_it_and_is_the_same_every_time():
    rates = [9.0, 10.0, 10.1, 10.2, 12.0]
    low, high = metrics.median_interval(rates)
    assert 9.0 <= low < 10.1 < high <= 12.0
    assert metrics.median_interval(rates) == (low, high)
    assert metrics.median_interval(rates[:4]) == (None, None)


def test_a_bottleneck_needs_valid_ceilings():
    inference = record(mode="inference", engine="eager-fp32")
    compute = record(mode="compute", reader="none", cache="none", engine="eager-fp32")
    io = record()
    io["checks"][0]["ok"] = False
    assert tables.summary([inference, compute, io])["bottleneck"].isna().all()


def test_storage_is_sized_by_the_fastest_valid_compute_cell():
    slow = record(mode="compute", reader="none", cache="none", engine="eager-fp32")
    fast = record(mode="compute", reader="none", cache="none", engine="eager-fp32", local_batch_size=2)
    for run in fast["runs"]:
        for rank in run["ranks"]:
            rank["seconds"] /= 2
    sized = tables.sizing(tables.summary([slow, fast]))
    rate = 2 + FAST  # of one node's CPU, with samples of 1e9 bytes
    assert sized["local_batch_size"].tolist() == [2]
    assert sized["gigabytes_per_second_for_64"].tolist() == [pytest.approx(rate * 64 * 0.9)]
    fast["checks"][0]["ok"] = False
    assert tables.sizing(tables.summary([slow, fast]))["local_batch_size"].tolist() == [1]
    assert tables.sizing(tables.summary([record()])).empty
