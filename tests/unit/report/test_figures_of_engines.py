"""Figures of the bottleneck, engines, scaling and channels: which cells they select, and their titles."""

import pandas as pd
import pytest
from deepcam.report import tables
from figure_example import invalid, module, texts, title, with_summary


def test_the_bottleneck_is_that_of_the_fastest_engine_and_reader(all_tables, few):
    assert title("bottleneck", all_tables) == (
        "Compute-bound (warm): end-to-end runs at 91 % of compute-only, and I/O-only is 2.2 times as fast"
    )
    assert title("bottleneck", few) == (
        "Storage-bound (cold): end-to-end runs at 96 % of I/O-only, and compute-only is 11 times as fast"
    )
    rows = module("bottleneck").data(few)
    assert rows[["engine", "reader"]].duplicated().sum() == 0
    assert rows["samples_per_second"].is_monotonic_decreasing


def test_headroom_within_the_intervals_is_not_claimed(few):
    cells = few.summary.copy()
    cells.loc[cells["mode"] == "inference", "samples_per_second_ci_high"] = 1e9
    shown = module("bottleneck").data(with_summary(few, cells))
    assert module("bottleneck").title(shown).endswith("of I/O-only")
    assert "×" not in "".join(texts(module("bottleneck").draw(shown)))


def test_the_bottleneck_has_a_row_for_at_most_twelve(few):
    rows = module("bottleneck").data(few)
    many = pd.concat([rows.assign(reader=f"{name}{i}") for i in range(4) for name in ("a", "b")])
    figure = module("bottleneck").draw(many)
    assert len(figure.axes[0].get_yticks()) == 12
    assert "12 of 32 rows are shown, the fastest ones." in " ".join("".join(texts(figure)).split())


def test_few_batch_sizes_are_bars_and_more_are_lines(few, large):
    figure = module("inference_throughput").draw(module("inference_throughput").data(few))
    assert len(figure.axes) == 1 and "tensorrt-fp16-graphs" in texts(figure)
    figure = module("inference_throughput").draw(module("inference_throughput").data(large))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "tensorrt-fp16-graphs", "aotinductor-auto (fp16)", "eager-fp32"
    ]  # fmt: skip
    assert figure.axes[0].get_yscale() == "log"
    assert title("inference_throughput", large) == (
        "Fastest: end-to-end 394 samples/s with tensorrt-fp16-graphs; "
        "compute-only 3,078 samples/s with tensorrt-fp16-graphs"
    )


def test_the_accuracy_of_the_worst_device_is_shown(all_tables):
    against = module("accuracy_throughput").data(all_tables)
    assert against["engine"].tolist() == ["eager-fp32", "tensorrt-auto"]
    assert against["mode"].tolist() == ["compute", "compute"]
    assert against["mean_iou"].round(3).tolist() == [0.833, 0.8]
    assert against["required_mean_iou"].tolist() == [pytest.approx(0.891)] * 2
    assert title("accuracy_throughput", all_tables) == "eager-fp32 and tensorrt-auto miss the accuracy target"


def test_the_lead_of_the_fastest_engine_is_told_with_its_accuracy(large):
    assert title("accuracy_throughput", large) == (
        "tensorrt-fp16-graphs is 4.1 times as fast as eager-fp32 and keeps 99.93 % of FP32 accuracy"
    )


def test_engines_of_equal_precision_and_accuracy_are_not_compared(large):
    same = large.accuracy.assign(mean_iou=0.88)
    cells = large.summary.assign(precision="fp32")
    assert module("accuracy_throughput").data(tables.Tables(cells, same, large.channels)).empty
    assert not module("accuracy_throughput").data(tables.Tables(cells, large.accuracy, large.channels)).empty
    assert not module("accuracy_throughput").data(tables.Tables(large.summary, same, large.channels)).empty


def test_efficiency_is_relative_to_the_fewest_ranks(all_tables):
    shown = module("scaling").data(all_tables)
    pread = shown[(shown["reader"] == "pread") & (shown["cache"] == "warm")]
    assert pread["ranks"].tolist() == [1, 2, 4]
    assert pread["efficiency"].round(3).tolist() == [1, 1, 1]
    assert pread["num_nodes"].tolist() == [1, 1, 2]
    assert set(shown["mode"]) == {"io"}  # the other modes were measured with one number of ranks
    assert title("scaling", all_tables) == (
        "Scaling efficiency: pread 100 % at 4 ranks (I/O-only, cold); pread 100 % at 4 ranks (I/O-only, warm)"
    )


def test_a_line_has_three_numbers_of_ranks_and_one_batch_size_and_number_of_threads(large):
    shown = module("scaling").data(large)
    settings = ["local_batch_size", "inter_threads", "intra_threads"]
    assert len(shown.groupby(["reader", *settings])) == shown["reader"].nunique() == 2
    two = large.summary[large.summary["ranks"].isin((1, 8))]
    assert module("scaling").data(with_summary(large, two)).empty


def test_an_invalid_end_is_no_scaling(all_tables):
    only = invalid(all_tables, lambda cells: (cells["ranks"] == 4) & (cells["cache"] == "cold"))
    assert title("scaling", only) == "Scaling efficiency: pread 100 % at 4 ranks (I/O-only, warm)"


def test_channels_are_shown_with_their_standard_deviation(all_tables):
    shown = module("channel_ranges").data(all_tables)
    assert shown["standard_deviation"].tolist() == [2.0] * 16
    assert shown.loc[shown["used"], "channel"].tolist() == ["TMQ", "U850", "V850", "PRECT"]


def channel(name, minimum, maximum, deviation=1.0, nonfinite=0):
    return {
        "channel": name, "mean": 0.0, "standard_deviation": deviation, "minimum": minimum, "maximum": maximum,
        "nonfinite": nonfinite, "used": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([channel("a", -3, 2), channel("b", -1, 1)], "Largest deviation: a, 3.0 standard deviations below its mean"),
        (
            [channel("a", -3, 40, nonfinite=5)],
            "1 channel has values that are not finite; Largest deviation: a, 40 standard deviations above its mean",
        ),
        ([channel("a", 0, 0, deviation=0.0)], "All channels are constant"),
    ],
)
def test_the_title_of_the_channels_names_the_largest_deviation(rows, words):
    shown = pd.DataFrame(rows)
    assert module("channel_ranges").title(shown) == words
    module("channel_ranges").draw(shown)
