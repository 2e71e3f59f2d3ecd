"""All figures: they have a title and fit their texts, and the same cells give the same bytes."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from deepcam.grid import Cell
from deepcam.report import contents, tables
from deepcam.report.figures import style
from figure_example import module, texts, with_summary
from matplotlib.transforms import Bbox

DRAWN = [name for name in contents.FIGURES if name != contents.PREDICTIONS]


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_cells_give_the_same_bytes(name, all_tables, tmp_path):
    def drawn(place, of):
        shown = module(name).data(of)
        assert len(shown)
        style.save(module(name).draw(shown), tmp_path / f"{place}.svg", tmp_path / f"{place}.png")
        tables.write(shown, tmp_path / f"{place}.csv")
        return [(tmp_path / f"{place}.{suffix}").read_bytes() for suffix in ("svg", "png", "csv")]

    first = drawn("first", all_tables)
    shuffled = all_tables.summary.sample(frac=1, random_state=1)  # the order of the rows has no meaning
    with matplotlib.rc_context({"font.family": "serif", "axes.linewidth": 5, "figure.facecolor": "black"}):
        assert drawn("second", with_summary(all_tables, shuffled)) == first


def test_settings_of_other_programs_do_not_reach_matplotlib(tmp_path):
    (tmp_path / "rc").write_bytes(b"not \xff utf-8")
    preset = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": str(tmp_path / "rc")}
    command = [sys.executable, "-c", "from deepcam.report.figures import style; style.empty_figure('nothing')"]
    place = {"PYTHONPATH": str(Path(style.__file__).parents[3])}
    ended = subprocess.run(command, env=os.environ | place | preset, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("name", "grid"), [*((name, "large") for name in DRAWN), ("io_throughput", "few"), ("inference_throughput", "few")]
)
def test_a_figure_of_a_large_grid_can_be_drawn_from_its_csv(name, grid, request, tmp_path):
    """Title, legend, panels and foot are inside the figure, and do not overlap."""
    tables.write(module(name).data(request.getfixturevalue(grid)), tmp_path / "shown.csv")
    figure = module(name).draw(pd.read_csv(tmp_path / "shown.csv", keep_default_na=False, na_values=[""]))
    with matplotlib.rc_context(style.STYLE):
        figure.draw_without_rendering()
        title, foot, *rest = (artist.get_window_extent() for artist in [*figure.texts, *figure.legends])
        panels = Bbox.union([axes.get_tightbbox() for axes in figure.axes])
    from_top = [title, *rest, panels, foot]
    assert all(figure.bbox.padded(1).contains(*corner) for box in from_top for corner in (box.min, box.max))
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in itertools.pairwise(from_top))
    assert max(figure.get_size_inches()) <= 15


def test_every_figure_has_a_module_and_a_caption():
    for name in DRAWN:
        assert module(name).data and module(name).draw and module(name).title
    captions = {path.stem for path in (contents.CAPTIONS).glob("*.rst")}
    assert captions >= set(contents.FIGURES)


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_shows_its_title(name, all_tables):
    shown = module(name).data(all_tables)
    drawn = [" ".join(words.split()) for words in texts(module(name).draw(shown))]
    assert " ".join(module(name).title(shown).split()).replace("\u00a0", " ") in drawn


def test_an_empty_figure_says_why():
    (text,) = style.empty_figure("No configuration has data for this figure.").texts
    assert text.get_text() == "No configuration has data for this figure."


def test_labels_move_apart_in_their_order():
    assert style.apart([1.0, 1.1, 5.0, 1.05], 0.5) == [1.0, 2.0, 5.0, 1.5]


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (
            [Cell("io", "pread-discard", "warm", "none", 1, 1, 1, 1)],
            ["io_throughput", "batch_interval", "channel_ranges"],
        ),
        (
            [Cell("io", "pread-discard", "warm", "none", ranks, 1, 1, 2) for ranks in (1, 2)],
            ["io_throughput", "io_split", "batch_interval", "channel_ranges"],
        ),
        (
            [Cell("io", "pread", cache, "none", ranks, 1, 1, 1) for cache in ("cold", "warm") for ranks in (1, 2, 4)],
            ["io_throughput", "batch_interval", "scaling", "channel_ranges"],
        ),
        (
            [Cell("io", reader, "warm", "none", 1, 1, 1, 1) for reader in ("pread", "torch")],
            ["io_throughput", "reader_ranking", "batch_interval", "channel_ranges"],
        ),
        (
            [Cell("io", "pread", "warm", "none", 1, 1, 1, 1, place) for place in ("nvme", "lustre")],
            ["storage_ratio", "io_throughput", "batch_interval", "channel_ranges"],
        ),
        (
            [Cell("compute", "none", "none", "eager-fp32", 1, 1, 1, 1)],
            ["inference_throughput", "predictions", "channel_ranges"],
        ),
        (
            [Cell("compute", "none", "none", engine, 1, 1, 1, 1) for engine in ("eager-fp32", "tensorrt-fp16")],
            ["inference_throughput", "accuracy_throughput", "predictions", "channel_ranges"],
        ),
    ],
    ids=["I/O-only", "splits", "ranks", "readers", "storages", "compute-only", "engines"],
)
def test_a_grid_has_the_figures_that_it_has_data_for(cells, names):
    assert contents.figures(cells) == names
