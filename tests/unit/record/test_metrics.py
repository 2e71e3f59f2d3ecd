"""Metrics, tables and verdicts on known numbers."""

import pytest
from deepcam.record import cell_summary, metrics
from deepcam.report import tables
from record_example import FAST, content, invalid, judged, record


def test_throughput_is_all_samples_over_the_slowest_rank():
    row = record().metrics
    assert row.samples_per_second_min == pytest.approx(4 / 2.0)
    assert row.samples_per_second_max == pytest.approx(FAST)
    assert row.samples_per_second == pytest.approx((2 + FAST) / 2)
    assert row.gigabytes_per_second == pytest.approx((2 + FAST) / 2)  # a sample of the example has 1e9 bytes
    assert row.seconds_per_sample == pytest.approx(2 / (2 + FAST))
    assert row.throughput_cv == pytest.approx((FAST - 2) / (FAST + 2))
    assert row.cpu_utilisation == pytest.approx((3 / (2 * 2.0) + 3 / (2 * 1.95)) / 2)
    assert row.samples_per_second_per_rank == pytest.approx(row.samples_per_second / 2)
    assert row.straggler_gap == pytest.approx((1 - 1 / 2 + 1 - 1 / 1.95) / 2)
    assert row.node_cpu_utilisation == 0.5
    assert row.peak_rss_bytes == 6
    assert row.valid and row.invalid_reasons == "" and row.warnings == ""


def test_the_straggler_node_has_the_slowest_rank_in_most_runs():
    made = content()
    made["environment"]["ranks"][1]["node"] = "m"
    assert judged(made).metrics.straggler_node == "m"
    for run in made["runs"]:
        run["ranks"][0]["seconds"] = 3.0
    assert judged(made).metrics.straggler_node == "n"


def test_the_runs_of_all_starts_are_pooled():
    records = [record(), record()]
    assert cell_summary.summarize(records, []).num_runs == 4


def test_a_gpu_that_ranks_share_counts_once():
    made = content()
    for run in made["runs"]:
        for rank, joules in zip(run["ranks"], (36.0, 40.0), strict=True):
            rank["device"] = {"energy_joules": joules, "utilisation": 0.5, "memory_bytes": 7}
    for place in made["environment"]["ranks"]:
        place["device"] = "cuda:0"
    row = judged(made).metrics
    assert (row.joules_per_sample, row.device_utilisation, row.device_memory_bytes) == (10, 0.5, 7)
    made["environment"]["ranks"][1]["device"] = "cuda:1"
    assert judged(made).metrics.joules_per_sample == 19


def test_without_a_gpu_there_is_no_energy():
    assert record().metrics.joules_per_sample is None


def slowed(made, factor):
    """The content `made` with all times multiplied by `factor`."""
    for run in made["runs"]:
        for rank in run["ranks"]:
            rank["seconds"] *= factor
    return made


def compute_content(**fields):
    return content(mode="compute", reader="none", cache="none", engine="eager-fp32", **fields)


def test_inference_finds_its_parts_among_the_cells_of_the_same_settings():
    inference, compute = record(mode="inference", engine="eager-fp32"), judged(compute_content())
    other = record(inter_threads=2)
    assert tables.summary([inference, compute, other])["bottleneck"].isna().all()
    table = tables.summary([inference, compute, record()]).set_index("mode")
    assert table.loc["inference", "overlap_efficiency"] == 1
    assert table.loc["inference", "bottleneck"] == "compute"


def test_an_invalid_cell_is_never_the_best():
    slow, fast = record(local_batch_size=1), content(local_batch_size=2)
    for run in fast["runs"]:
        run["ranks"][1]["seconds"] = 0.5
    fast = judged(fast)
    assert tables.best(tables.summary([slow, fast]))["local_batch_size"].tolist() == [2]
    assert tables.best(tables.summary([slow, invalid(fast)]))["local_batch_size"].tolist() == [1]


def test_the_interval_of_the_median_contains_it_and_is_reproducible():
    rates = [9.0, 10.0, 10.1, 10.2, 12.0]
    low, high = metrics.median_interval(rates)
    assert 9.0 <= low < 10.1 < high <= 12.0
    assert metrics.median_interval(rates) == (low, high)
    assert metrics.median_interval(rates[:4]) == (None, None)


def test_a_bottleneck_needs_valid_parts():
    inference, compute = record(mode="inference", engine="eager-fp32"), judged(compute_content())
    assert tables.summary([inference, compute, invalid(record())])["bottleneck"].isna().all()


def test_storage_is_sized_by_the_fastest_valid_compute_cell():
    slow, fast = judged(compute_content()), judged(slowed(compute_content(local_batch_size=2), 1 / 2))
    sized = tables.sizing(tables.summary([slow, fast]))
    rate = 2 + FAST  # of one node's CPU, with samples of 1e9 bytes
    assert sized["local_batch_size"].tolist() == [2]
    assert sized["gigabytes_per_second_for_64"].tolist() == [pytest.approx(rate * 64 * 0.9)]
    assert tables.sizing(tables.summary([slow, invalid(fast)]))["local_batch_size"].tolist() == [1]
    assert tables.sizing(tables.summary([record()])).empty
