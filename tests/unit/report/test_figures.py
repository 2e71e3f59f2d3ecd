"""Figures: what each shows of which cells, that it can be drawn, and that the same cells give the same bytes."""

import importlib
import json

import pandas as pd
import pytest
from deepcam.climate import CHANNELS
from deepcam.grid import Cell
from deepcam.report import contents, tables
from deepcam.report.figures import style
from record_example import cell, verdict

DRAWN = [name for name in contents.FIGURES if name != contents.PREDICTIONS]


def summary():
    records = [
        cell(0.5 / (ranks * inter), reader=reader, cache=cache, ranks=ranks, inter_threads=inter, intra_threads=intra)
        for reader in ("pread", "pread-discard")
        for cache in ("cold", "warm")
        for ranks in (1, 2, 4)
        for inter in (1, 2)
        for intra in (1, 2)
    ]
    for engine, seconds in (("eager-fp32", 4.0), ("tensorrt-auto", 1.0)):
        none = {"reader": "none", "cache": "none"}
        records.append(cell(seconds, mode="compute", engine=engine, ranks=1, **none))
        records.append(cell(1.1 * seconds, mode="inference", engine=engine, ranks=1, reader="pread", cache="warm"))
    return tables.summary(records)


@pytest.fixture
def all_tables(tmp_path):
    for engine, cyclones in (("eager-fp32", 0.8), ("tensorrt-auto", 0.7)):
        (tmp_path / engine).mkdir()
        for device, less in (("cuda0", 0.0), ("cuda1", 0.1)):
            (tmp_path / engine / f"{device}.json").write_text(json.dumps(verdict(cyclones - less, less == 0)))
    described = [
        {"name": name, "minimum": -4.0, "maximum": 8.0, "mean": 2.0, "mean_square": 8.0, "nonfinite": 0}
        for name in CHANNELS
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"channels": described}))
    return tables.Tables(
        summary(), tables.accuracy(tmp_path.glob("*/*.json")), tables.channels(tmp_path / "dataset.json", (0, 1, 2, 10))
    )


def module(name):
    return importlib.import_module(f"deepcam.report.figures.{name}")


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_cells_give_the_same_bytes(name, all_tables, tmp_path):
    def drawn(place, of):
        shown = module(name).data(of)
        assert len(shown)
        style.save(module(name).draw(shown), tmp_path / f"{place}.svg", tmp_path / f"{place}.png")
        tables.write(shown, tmp_path / f"{place}.csv")
        return [(tmp_path / f"{place}.{suffix}").read_bytes() for suffix in ("svg", "png", "csv")]

    first = drawn("first", all_tables)
    shuffled = all_tables.summary.sample(frac=1, random_state=1)  # the order of a table's rows is no message
    assert drawn("second", tables.Tables(shuffled, all_tables.accuracy, all_tables.channels)) == first


@pytest.mark.parametrize("name", DRAWN)
def test_what_a_figure_shows_can_come_from_its_csv(name, all_tables, tmp_path):
    tables.write(module(name).data(all_tables), tmp_path / "shown.csv")
    module(name).draw(pd.read_csv(tmp_path / "shown.csv", keep_default_na=False, na_values=[""]))


def test_every_figure_has_a_module_and_a_caption():
    for name in DRAWN:
        assert module(name).data and module(name).draw
    captions = {path.stem for path in (contents.CAPTIONS).glob("*.rst")}
    assert captions >= set(contents.FIGURES)


def test_throughput_takes_the_best_split_of_as_many_threads(all_tables):
    shown = module("io_throughput").data(all_tables)
    two = shown[(shown["reader"] == "pread") & (shown["threads"] == 2) & (shown["ranks"] == 1)]
    assert two["inter_threads"].tolist() == [2, 2]  # cold and warm; 2 x 1 is faster than 1 x 2 here
    assert (shown["low"] <= shown["gigabytes_per_second"]).all()
    assert (shown["gigabytes_per_second"] <= shown["high"]).all()


def test_the_heat_map_is_of_the_largest_number_of_ranks(all_tables):
    shown = module("io_split").data(all_tables)
    assert set(shown["ranks"]) == {4}
    assert len(shown) == 2 * 2 * 2 * 2


def test_scaling_compares_with_the_fewest_ranks(all_tables):
    shown = module("scaling").data(all_tables)
    pread = shown[(shown["reader"] == "pread") & (shown["cache"] == "warm")]
    assert pread["ranks"].tolist() == [1, 2, 4]
    assert pread["efficiency"].round(3).tolist() == [1, 1, 1]
    assert pread["nodes"].tolist() == [1, 1, 2]
    assert set(shown["mode"]) == {"io"}  # the others were measured with one number of ranks only


def test_no_panel_cuts_off_what_another_one_shows(all_tables):
    shown = module("io_throughput").data(all_tables)
    for axes in module("io_throughput").draw(shown).axes:
        assert axes.get_ylim()[0] == 0
        assert axes.get_ylim()[1] > shown["high"].max()


def test_a_percentile_of_few_batches_is_not_drawn(all_tables):
    shown = module("io_latency").data(all_tables)
    assert shown["batches"].max() < 10
    drawn = [line.get_marker() for line in module("io_latency").draw(shown).axes[0].lines]
    assert "D" not in drawn[:-5] and "s" not in drawn[:-5] and "o" in drawn


def test_an_invalid_cell_is_hollow_and_gives_way_to_a_valid_one(all_tables):
    cells = all_tables.summary.copy()
    fastest = cells[(cells["mode"] == "io") & (cells["reader"] == "pread")]["samples_per_second"].idxmax()
    cells.loc[fastest, "valid"] = False
    shown = module("io_latency").data(tables.Tables(cells, all_tables.accuracy, all_tables.channels))
    assert shown["valid"].all()
    cells["valid"] = False
    shown = module("io_throughput").data(tables.Tables(cells, all_tables.accuracy, all_tables.channels))
    assert not shown["valid"].any()
    axes = module("io_throughput").draw(shown).axes[0]
    assert any(line.get_markerfacecolor() == "white" for line in axes.lines)


def test_inference_shows_its_ceilings(all_tables):
    shown = module("bottleneck").data(all_tables)
    assert shown["bottleneck"].tolist() == ["compute", "compute"]
    figure = module("inference_throughput").draw(module("inference_throughput").data(all_tables))
    assert figure.axes[0].get_title(loc="left") == "reading only: 7.96 samples/s, above this scale"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "tensorrt-auto (fp16), compute only (ceiling)" in labels and "tensorrt-auto (fp16), pread warm" in labels


def test_accuracy_is_that_of_the_worst_device(all_tables):
    shown = module("accuracy_gate").data(all_tables)
    assert shown["engine"].tolist() == ["reference: eager fp32", "eager-fp32", "tensorrt-auto"]
    assert shown["tropical cyclone"].round(2).tolist() == [0.6, 0.7, 0.6]
    assert shown["passed"].tolist() == [True, False, False]
    against = module("accuracy_throughput").data(all_tables)
    assert against["engine"].tolist() == ["eager-fp32", "tensorrt-auto (fp16)"]
    assert against["mode"].tolist() == ["compute", "compute"]
    assert against["required_mean_iou"].tolist() == [pytest.approx(0.891)] * 2


def test_channels_are_told_with_their_deviation(all_tables):
    shown = module("channel_ranges").data(all_tables)
    assert shown["standard_deviation"].tolist() == [2.0] * 16
    assert shown.loc[shown["used"], "channel"].tolist() == ["TMQ", "U850", "V850", "PRECT"]


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ([Cell("io", "pread-discard", "warm", "none", 1, 1, 1, 1)], ["io_throughput", "io_latency", "channel_ranges"]),
        (
            [
                Cell("io", "pread-discard", "warm", "none", 2, 1, 1, 2),
                Cell("io", "pread-discard", "warm", "none", 1, 1, 1, 1),
            ],
            ["io_throughput", "io_split", "io_latency", "scaling", "channel_ranges"],
        ),
        (
            [Cell("compute", "none", "none", "eager-fp32", 1, 1, 1, 1)],
            ["inference_throughput", "accuracy_throughput", "accuracy_gate", "predictions", "channel_ranges"],
        ),
    ],
    ids=["reading", "splits and ranks", "computing"],
)
def test_a_grid_has_the_figures_that_it_has_cells_for(cells, names):
    assert contents.figures(cells) == names
