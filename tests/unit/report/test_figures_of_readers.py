"""Figures of I/O-only throughput: which cells they select, and their titles."""

import large_grid
import pandas as pd
import pytest
from deepcam.report.page import results, rows
from figure_example import invalid, module, texts, title, with_summary


def test_io_throughput_shows_the_fastest_split_of_each_number_of_threads(all_tables):
    shown = module("io_throughput").data(all_tables)
    assert set(shown["ranks"]) == {4}  # the largest of equally common numbers
    two = shown[(shown["reader"] == "pread") & (shown["threads"] == 2)]
    assert two["inter_threads"].tolist() == [2, 2]  # cold and warm; the example is faster with 2 x 1 than with 1 x 2
    assert (shown["low"] <= shown["gigabytes_per_second"]).all()
    assert (shown["gigabytes_per_second"] <= shown["high"]).all()


def test_few_numbers_of_threads_are_bars_for_each_number_of_ranks(all_tables):
    two = with_summary(all_tables, all_tables.summary[all_tables.summary["intra_threads"] == 1])
    shown = module("io_throughput").data(two)
    assert set(shown["ranks"]) == {1, 2, 4}
    figure = module("io_throughput").draw(shown)
    assert len(figure.axes) == 2 * 3  # cache states and numbers of ranks
    assert len(figure.axes[0].patches) == 2 * 2  # readers and numbers of threads
    assert title("io_throughput", two) == (
        "Fastest reader: pread, 63.7 GB/s cold (100 % of the baseline) and 63.7 GB/s warm (100 % of the baseline)"
    )


def test_many_numbers_of_threads_are_a_panel_per_reader_for_the_most_common_ranks(large):
    shown = module("io_throughput").data(large)
    assert set(shown["ranks"]) == {8}
    figure = module("io_throughput").draw(shown)
    panels = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert panels[0] == "uring: 23.9 GB/s" and len(panels) == 9 + 2
    cold, warm = figure.axes[0], figure.axes[10]
    assert len({axes.get_ylim() for axes in figure.axes[:5]}) == 1 and cold.get_ylim() != warm.get_ylim()
    assert title("io_throughput", large) == (
        "Fastest readers with 8 ranks: uring, 23.9 GB/s cold (99 % of the baseline); "
        "pread, 97.6 GB/s warm (73 % of the baseline)"
    )


def test_an_invalid_cell_is_hollow_and_valid_cells_have_precedence(all_tables):
    def is_fastest(cells):
        pread = cells[(cells["mode"] == "io") & (cells["reader"] == "pread")]
        return cells.index == pread["samples_per_second"].idxmax()

    assert module("reader_ranking").data(invalid(all_tables, is_fastest))["valid"].all()
    nothing = invalid(all_tables, lambda cells: cells["valid"])
    shown = module("io_throughput").data(nothing)
    assert not shown["valid"].any()
    figure = module("io_throughput").draw(shown)
    assert any(line.get_markerfacecolor() == "white" for line in figure.axes[0].lines)
    for name in ("io_throughput", "reader_ranking", "io_split", "batch_interval"):
        assert title(name, nothing) == "No VALID I/O-only result"


def test_readers_are_ranked_by_their_best_valid_result(few):
    shown = module("reader_ranking").data(invalid(few, lambda cells: cells["reader"] == "uring"))
    cold = shown[shown["cache"] == "cold"]
    assert cold["reader"].tolist()[:3] == ["pread-discard", "pread", "dali-gds"]
    assert cold["reader"].iloc[-1] == "uring" and pd.isna(cold["baseline_share"].iloc[-1])
    assert cold["baseline_share"].iloc[0] == 1
    assert set(cold["equal_local_batch_size"]) == {2} and set(cold["equal_inter_threads"]) == {4}
    assert any("INVALID" in words for words in texts(module("reader_ranking").draw(shown)))


def test_the_share_of_the_baseline_is_that_of_the_results_page(few):
    _, on_page = results.readers(rows.prepare(few.summary))
    shares = {row.name: row.results["cold"].share for row in on_page}
    shown = module("reader_ranking").data(few)
    cold = shown[shown["cache"] == "cold"].set_index("reader")["baseline_share"]
    assert cold.to_dict() == pytest.approx(shares)


def test_the_heat_map_shows_the_largest_number_of_ranks_and_marks_the_fastest_split(all_tables):
    shown = module("io_split").data(all_tables)
    assert set(shown["ranks"]) == {4}
    assert len(shown) == 2 * 2 * 2 * 2
    figure = module("io_split").draw(shown)
    (frame,) = figure.axes[0].patches
    assert frame.get_xy() == (0.5, -0.5)  # two samples in flight, one chunk
    assert title("io_split", all_tables).startswith(
        "Fastest: pread with 2 samples in flight, each in 1 chunk (63.7 GB/s"
    )


def test_batch_intervals_are_compared_with_equal_settings(few):
    cells = few.summary.copy()
    cells.loc[(cells["reader"] == "uring") & (cells["local_batch_size"] == 1), "samples_per_second"] = 1e6
    shown = module("batch_interval").data(with_summary(few, cells))
    for _, cells in shown.groupby("cache"):
        assert len(cells[["ranks", "local_batch_size", "inter_threads", "intra_threads"]].drop_duplicates()) == 1
    assert set(shown.loc[shown["cache"] == "cold", "reader"]) == set(large_grid.COLD)


def interval(reader, batches, valid=True, **seconds):
    row = {"cache": "cold", "reader": reader, "num_batches": batches, "valid": valid}
    return row | {f"batch_interval_{name}_seconds": value for name, value in seconds.items()}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [interval("a", 5, p50=1, p95=2, p99=3, max=4)],
            "the longest batch interval of a (cold) is 4.0 times the median",
        ),
        ([interval("a", 20, p50=1, p95=2, p99=3, max=4)], "the p95 batch interval of a (cold) is 2.0 times the"),
        ([interval("a", 100, p50=1, p95=2, p99=3, max=4)], "the p99 batch interval of a (cold) is 3.0 times the"),
        (
            [interval("a", 100, p50=1, p95=1, p99=1, max=9), interval("b", 100, p50=1, p95=1, p99=2, max=2)],
            "the p99 batch interval of b (cold) is 2.0 times the",
        ),
        (
            [interval("a", 9, p50=1, p95=1, p99=1, max=2), interval("b", 9, False, p50=1, p95=1, p99=1, max=5)],
            "the longest batch interval of a (cold) is 2.0 times the",
        ),
    ],
    ids=["few batches", "20 batches", "100 batches", "longest of all", "invalid"],
)
def test_the_largest_tail_is_that_of_a_percentile_with_enough_batches(rows, words):
    assert module("batch_interval").title(pd.DataFrame(rows)).startswith(f"Largest tail: {words}")
