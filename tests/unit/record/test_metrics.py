"""Metrics, tables and verdicts on known numbers."""

import statistics

import pandas as pd
import pytest
from deepcam.record import cell_summary, precision
from deepcam.report import tables
from record_example import FAST, content, in_epochs, invalid, judged, lasting, record, samples
from results_example import GRID, measured


def test_throughput_is_all_samples_over_the_slowest_rank():
    row = record().metrics
    assert row.samples_per_second == pytest.approx((2 + FAST) / 2)  # the median of two runs
    assert row.gigabytes_per_second == pytest.approx((2 + FAST) / 2)  # a sample of the example has 1e9 bytes
    assert row.seconds_per_sample == pytest.approx(2 / (2 + FAST))
    assert row.cpu_utilisation == pytest.approx((3 / (2 * 2.0) + 2.95 / (2 * 1.95)) / 2)
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
        lasting(run["ranks"][0], 3.0)
    assert judged(made).metrics.straggler_node == "n"


def test_the_slowest_rank_of_each_part_of_a_run_counts():
    made = content()
    for run in made["runs"]:
        in_epochs(run, [1.0, 3.0], [2.0, 2.0])
    assert judged(made).metrics.samples_per_second == pytest.approx(8 / (2.0 + 3.0))


def starts_of(*rates_of):
    """A record for each start, which has runs with the given rates in samples/s."""
    return [measured(GRID[0], rates) for rates in rates_of]


def test_a_start_counts_with_the_median_of_its_runs():
    row = cell_summary.summarize(starts_of([7.0, 8.0, 20.0], [16.0, 16.0], [4.0, 4.0]), [])
    assert (row.num_starts, row.num_runs) == (3, 7)
    assert row.samples_per_second == pytest.approx(8)  # the geometric mean of 8, 16 and 4
    assert (row.samples_per_second_min, row.samples_per_second_max) == pytest.approx((4, 16))
    assert row.cv_between_starts == pytest.approx(statistics.stdev([8, 16, 4]) / (28 / 3))
    assert row.cv_within_starts == pytest.approx(statistics.stdev([7, 8, 20]) / (35 / 3) / 3)


def test_three_starts_have_an_interval_and_two_have_none():
    three = cell_summary.summarize(starts_of([8.0], [10.0], [12.5]), [])
    low, high = precision.interval([8.0, 10.0, 12.5])
    assert (three.samples_per_second_ci_low, three.samples_per_second_ci_high) == pytest.approx((low, high))
    assert three.relative_half_width == pytest.approx((high - low) / 20)
    two = cell_summary.summarize(starts_of([8.0], [10.0]), [])
    assert (two.samples_per_second_ci_low, two.samples_per_second_ci_high, two.relative_half_width) == (None,) * 3
    assert two.cv_between_starts == pytest.approx(2**0.5 / 9)


def test_one_start_of_one_run_has_no_variation():
    row = cell_summary.summarize(starts_of([8.0]), [])
    assert (row.cv_between_starts, row.cv_within_starts) == (None, None)
    assert row.samples_per_second_min == row.samples_per_second_max == pytest.approx(8)


def test_the_table_says_why_measuring_ended():
    made = record()
    assert tables.summary([made], {made.cell.id: "precise"})["stopped"].tolist() == ["precise"]
    assert tables.summary([made])["stopped"].tolist() == [""]


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
            lasting(rank, rank["part_seconds"][0] * factor)
    return made


def compute_content(**fields):
    made = content(mode="compute", reader="none", cache="none", engine="eager-fp32", **fields)
    for run in made["runs"]:
        run["epochs"] = 0
        for rank in run["ranks"]:
            rank |= samples([])
    return made


def test_a_table_can_be_made_of_records_that_are_read_one_after_the_other():
    records = [record(mode="inference", engine="eager-fp32"), record(), judged(compute_content())]
    one_by_one = tables.summary_of_cells(iter([one]) for one in records)
    pd.testing.assert_frame_equal(one_by_one, tables.summary(records[::-1]))


def test_inference_finds_its_parts_among_the_cells_of_the_same_settings():
    inference, compute = record(mode="inference", engine="eager-fp32"), judged(compute_content())
    other = record(inter_threads=2)
    assert tables.summary([inference, compute, other])["bottleneck"].isna().all()
    table = tables.summary([inference, compute, record()]).set_index("mode")
    assert table.loc["inference", "overlap_efficiency"] == 1
    assert table.loc["inference", "bottleneck"] == "compute"


def test_an_invalid_cell_is_never_the_best():
    slow, fast = record(local_batch_size=1), content(local_batch_size=2)
    for number, run in enumerate(fast["runs"]):
        for rank in run["ranks"]:
            lasting(rank, 0.5, number)
    fast = judged(fast)
    assert tables.best(tables.summary([slow, fast]))["local_batch_size"].tolist() == [2]
    assert tables.best(tables.summary([slow, invalid(fast)]))["local_batch_size"].tolist() == [1]


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
