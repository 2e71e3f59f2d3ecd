"""Throughput over time: time windows of a run, the title, and the histogram of batch intervals."""

import sys

import numpy as np
import pandas as pd
import plot_time_series
import pytest
from deepcam.grid import Cell
from deepcam.record.packed import pack
from deepcam.report.figures import time_series
from record_example import content, judged, nanoseconds
from results_example import started, write

CELL = Cell("io", "pread", "cold", "none", 2, 1, 1, 1)


def record(*ranks, parts=1):
    """The record of one run in which each rank has these batch intervals in seconds, one sample a batch."""
    made = content()
    run = made["runs"][0]
    run |= {key: [0.0] * parts for key in ("page_cache_residency_min", "page_cache_residency_max")}
    for rank, intervals in zip(run["ranks"], ranks, strict=True):
        lengths = [sum(part) for part in np.array_split(intervals, parts)]
        rank |= {
            "batch_interval_nanoseconds": nanoseconds(intervals),
            "batch_samples": pack([1] * len(intervals)),
            "part_seconds": lengths,
        }
    return judged(made | {"runs": [run]})


def windows(made):
    shown = time_series.data({0: made})
    return shown[["begin_seconds", "end_seconds", "samples_per_second"]].round(6).to_numpy().tolist()


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (record([1.0] * 8, [1.0] * 8), [[0, 4, 2], [4, 8, 2]]),
        (record([1.0] * 4 + [3.0] * 4, [1.0] * 4 + [3.0] * 4), [[0, 8, 2 * (4 + 4 / 3) / 8], [8, 16, 2 / 3]]),
        (record([1.0] * 3, [1.0] * 3), [[0, 3, 2]]),
        (record([1.0] * 8, [0.5] * 8), [[0, 4, 3], [4, 8, 1]]),
        # In each of two parts, the faster rank waits for the slower one.
        (record([1.0] * 8, [0.5] * 8, parts=2), [[0, 4, 2], [4, 8, 2]]),
    ],
    ids=["steady", "slower later", "few batches", "a rank is done sooner", "it waits in each part"],
)
def test_a_window_has_the_throughput_of_all_ranks_in_it(made, expected):
    assert windows(made) == [[pytest.approx(value, abs=1e-5) for value in row] for row in expected]


def test_runs_follow_each_other_without_the_pause_between_them():
    shown = time_series.data({3: judged(content())})
    assert shown["start"].tolist() == [3, 3] and shown["run"].tolist() == [0, 1]
    assert shown["begin_seconds"].iloc[1] == shown["end_seconds"].iloc[0] == 2
    assert shown["median_samples_per_second"].nunique() == 1


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ([10, 9.5], "x: throughput is always at least 95 % of the median"),
        ([10, 9, 2], "x: throughput falls to 20 % of the median in start 1 after 2.0 s"),
    ],
)
def test_the_title_says_where_throughput_was_lowest(rates, words):
    shown = pd.DataFrame({"start": 1, "begin_seconds": range(len(rates)), "samples_per_second": rates})
    shown = shown.assign(median_samples_per_second=10)
    assert time_series.title(shown, "x").replace("\u00a0", " ") == words


def test_a_configuration_is_named_in_words():
    assert time_series.name(CELL, True) == "I/O-only, pread, cold, 2 ranks, batch 1, 1 thread"
    compute = Cell("compute", "none", "none", "eager-fp32", 1, 2, 1, 1)
    assert time_series.name(compute, False) == "compute-only, eager-fp32, 1 rank, batch 2, INVALID"


def test_every_batch_interval_is_in_one_bin_of_the_histogram():
    made = record([0.0, 0.001, 0.0099, 1.0], [1.0, 1.01, 1.2, 20.0])
    found = time_series.histogram([made, made])
    assert found["batches"].tolist() == [2, 2, 2, 6, 2, 2]
    assert (found["high_seconds"] / found["low_seconds"]).round(4).nunique() == 1
    ones = found[found["batches"] == 6].iloc[0]
    assert ones["low_seconds"] == 1 and ones["high_seconds"] < 1.2


def test_every_configuration_gets_its_files_and_the_same_ones_again(tmp_path, monkeypatch):
    other = Cell("io", "pread", "warm", "none", 2, 1, 1, 1)
    results = write(tmp_path, {CELL: started(CELL, [9, 11]), other: started(other, [10], valid=False)})

    def drawn(name, listed):
        records = results / "benchmark/records.txt"
        records.write_text("".join(f"results/{path.relative_to(results)}\n" for path in listed))
        arguments = ["--records", str(records), "--output", str(tmp_path / name)]
        monkeypatch.setattr(sys, "argv", ["plot_time_series", *arguments])
        plot_time_series.main()
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    first = drawn("first", sorted(results.glob("benchmark/*/*.json")))
    suffixes = ("svg", "png", "csv", "histogram.csv")
    assert first.keys() == {f"{cell.id}.{suffix}" for cell in (CELL, other) for suffix in suffixes}
    shown = pd.read_csv(tmp_path / f"first/{CELL.id}.csv")
    assert shown["start"].unique().tolist() == [0, 1]
    assert drawn("second", results.glob(f"benchmark/{other.id}/*.json")).items() <= first.items()
