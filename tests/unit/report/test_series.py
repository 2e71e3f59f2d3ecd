"""Several results in their order: throughput of each configuration, and what changed between neighbours."""

import dataclasses

import pytest
from deepcam.record import precision
from deepcam.report.comparison import series, series_presentation
from deepcam.report.comparison.sides import Results
from deepcam.report.figures import style
from results_example import GRID, STEADY, scaled, started


def results(*by_cell, config=True):
    """Results named a, b and so on; each has other configurations if these are known."""
    names = "abcdef"
    return [
        Results(names[number], of_cell, {"data": {"seed": number}} if config else None)
        for number, of_cell in enumerate(by_cell)
    ]


@pytest.fixture
def three():
    """A cell in three results, and one that the second lacks and that is not valid in the third."""
    return results(
        {GRID[0]: started(GRID[0]), GRID[1]: started(GRID[1])},
        {GRID[0]: started(GRID[0], scaled(2.0), python="3.12")},
        {GRID[0]: started(GRID[0], [10.0], python="3.12"), GRID[1]: started(GRID[1], valid=False)},
    )


def throughput(made):
    return series.throughput([one.records for one in made])


def report(made):
    return series_presentation.markdown(made, throughput(made), series.changes(made), "1 slower.")


def test_each_result_has_the_mean_and_interval_of_its_starts(three):
    points = throughput(three)[GRID[0]]
    assert [point.samples_per_second for point in points] == pytest.approx([10, 20, 10], rel=1e-3)
    assert (points[0].ci_low, points[0].ci_high) == precision.interval(STEADY)
    assert (points[2].ci_low, points[2].ci_high, points[2].starts) == (None, None, 1)


def test_a_result_may_lack_a_configuration_or_have_it_not_valid(three):
    first, second, third = throughput(three)[GRID[1]]
    assert first.valid and second is None and not third.valid
    assert third.reasons == "run_seconds: expected at least 0.9 s, got 0.4 s"


def test_changes_are_those_between_neighbours(three):
    first, second = series.changes(three)
    assert [dataclasses.astuple(one) for one in first.differences] == [
        ("config.data.seed", "0", "1"), ("environment.python", "3.11", "3.12"),
    ]  # fmt: skip
    assert [one.key for one in second.differences] == ["config.data.seed"]
    assert first.drifts["storage"].ratio == pytest.approx(1.0)


def test_the_machine_drifts_from_neighbour_to_neighbour():
    fast, slow = ([{"storage_bytes_per_second": speed}] * len(STEADY) for speed in (2e9, 1e9))
    made = results(*({GRID[0]: started(GRID[0], probes=probes)} for probes in (fast, slow, slow)))
    assert [change.drifts["storage"].ratio for change in series.changes(made)] == pytest.approx([0.5, 1.0])
    assert "| storage | 0.500 (0.500 to 0.500) | 1.000 (1.000 to 1.000) |" in report(made)


def test_the_markdown_has_a_column_per_result_and_a_section_per_change(three):
    text = report(three)
    assert text.startswith(
        "# Comparison of 3 results\n\n1. `a`\n2. `b`\n3. `c`\n\n**Last (B) against first (A): 1 slower.**"
    )
    assert "| configuration | 1 | 2 | 3 |" in text
    assert f"| `{GRID[0].id}` | 10 (9.887 to 10.11) | 20 (19.77 to 20.23) | 10 |" in text
    assert f"| `{GRID[1].id}` | 10 (9.887 to 10.11) | - | 10 (9.887 to 10.11) INVALID |" in text
    assert text.count("## What changed from ") == 2 and "no config.yaml" not in text
    assert "## What changed from 1 to 2\n\n| key | 1 | 2 |" in text


def test_nothing_is_said_to_have_changed_in_unknown_configurations():
    text = report(results(*[{GRID[0]: started(GRID[0])}] * 3, config=False))
    assert "a config.yaml. It is missing in 1, 2, 3." in text
    assert text.count("No other recorded value differs.") == 2


def test_the_table_has_a_row_per_configuration_and_result_that_has_it(three):
    table = series_presentation.table(throughput(three), ["a", "b", "c"])
    assert list(table["result"]) == [1, 2, 3, 1, 3]
    assert list(table["name"]) == ["a", "b", "c", "a", "c"]
    assert list(table["valid"]) == [True] * 4 + [False]
    assert list(table["local_batch_size"]) == [1, 1, 1, 1, 1]
    assert list(table["inter_threads"]) == [1, 1, 1, 2, 2]


def test_the_figure_has_a_panel_per_configuration_with_gaps_and_hollow_markers(three):
    axes = [axes for axes in series_presentation.figure(throughput(three)).axes if axes.get_visible()]
    assert [one.get_title(loc="left") for one in axes] == [GRID[0].id, GRID[1].id]
    assert all(one.get_ylim()[0] == 0 and list(one.get_xticks()) == [1, 2, 3] for one in axes)
    line, *markers = axes[1].get_lines()
    assert [str(rate) for rate in line.get_ydata()][1] == "nan"
    assert [marker.get_markerfacecolor() for marker in markers] == [style.COLOURS[0], "white"]
    assert [len(one.collections) for one in axes] == [2, 2]  # intervals


def test_a_large_grid_is_drawn_where_it_varies_most(monkeypatch):
    monkeypatch.setattr(series_presentation, "MOST_PANELS", 1)
    found = throughput(
        results(*({cell: started(cell, scaled(factor**i)) for i, cell in enumerate(GRID[:3])} for factor in (1, 2, 1)))
    )
    figure = series_presentation.figure(found)
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == [GRID[2].id]
    assert figure.get_suptitle() == "the 1 that vary most; series.csv has all 3 configurations"
