"""Two results held against each other: ratios, verdicts, and what else differs, on known numbers."""

import dataclasses
import math
import statistics

import pytest
from deepcam.record import precision
from deepcam.report.comparison import differences, presentation, significance
from deepcam.report.comparison.sides import Results
from record_example import node, verdict
from results_example import GRID, STEADY, grid_of, measured, measured_content, noisy, scaled, started, with_check
from scipy import stats


def compared(a, b):
    """The comparison of one cell: of A's starts with B's, given their rates."""
    [found] = significance.compare({GRID[0]: started(GRID[0], a)}, {GRID[0]: started(GRID[0], b)}, {})
    return found


def of_grid(a, b):
    """The comparison of all cells, given the rates of a cell's starts as a function of its number."""
    return significance.compare(grid_of(a), grid_of(b), {})


def verdicts(cells):
    return {cell.cell: cell.verdict for cell in cells}


def test_the_ratio_is_that_of_the_geometric_means_of_the_starts():
    found = compared([8.0, 10.0, 12.5], [20.0, 20.0, 20.0])
    assert (found.a_samples_per_second, found.b_samples_per_second) == pytest.approx((10, 20))
    assert found.ratio == pytest.approx(2.0)
    assert (found.a_starts, found.b_starts) == (3, 3)


def test_a_start_counts_once_however_many_runs_it_has():
    many = [measured(GRID[0], [rate * factor for factor in (0.5, 0.99, 1, 1.01, 2)]) for rate in STEADY]
    [found] = significance.compare({GRID[0]: started(GRID[0])}, {GRID[0]: many}, {})
    alone = compared(STEADY, STEADY)
    assert (found.p, found.ci_low, found.ci_high) == pytest.approx((alone.p, alone.ci_low, alone.ci_high))


def test_p_and_interval_are_those_of_welch_with_a_wider_standard_error():
    a, b = [9.0, 10.0, 11.0, 10.5], [9.5, 12.0, 13.0, 12.5, 11.0]
    logs_a, logs_b = (list(map(math.log, values)) for values in (a, b))
    plain = stats.ttest_ind(logs_b, logs_a, equal_var=False)
    found = compared(a, b)
    assert found.p == pytest.approx(2 * stats.t.sf(plain.statistic / precision.WIDENING, plain.df))
    interval = plain.confidence_interval()
    middle = (interval.low + interval.high) / 2
    for end, widened in ((interval.low, found.ci_low), (interval.high, found.ci_high)):
        assert math.log(widened) == pytest.approx(middle + (end - middle) * precision.WIDENING)
    within = [value - statistics.fmean(logs) for logs in (logs_a, logs_b) for value in logs]
    assert found.deviation_between_starts == pytest.approx(math.sqrt(sum(value**2 for value in within) / 7))


def test_equal_starts_show_no_difference():
    found = compared(STEADY, STEADY)
    assert (found.ratio, found.p, found.verdict) == (1.0, 1.0, "no difference seen")
    assert 0.98 < found.ci_low < 1 < found.ci_high < 1.02
    assert compared([10.0] * 3, [10.0] * 3).verdict == "no difference seen"
    assert compared([10.0] * 3, [5.0] * 3).verdict == "slower"


@pytest.mark.parametrize(("factor", "verdict"), [(0.8, "slower"), (1.25, "faster")])
def test_a_change_by_a_fifth_is_found_with_its_interval(factor, verdict):
    found = compared(STEADY, scaled(factor))
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(factor)
    assert factor * 0.98 <= found.ci_low < factor < found.ci_high <= factor * 1.02
    assert found.p == found.p_corrected < 0.001


def test_noise_is_no_difference_and_passes():
    cells = of_grid(noisy, lambda i: noisy(100 + i))
    assert set(verdicts(cells).values()) == {"no difference seen"}
    assert significance.regressions(cells, 0.95) == []


def test_the_correction_tells_luck_in_one_of_many_cells_from_a_regression():
    luck = [9.6, 9.7, 9.8, 9.85, 9.9]  # p = 0.02 alone
    assert compared(STEADY, luck).verdict == "slower"
    among = of_grid(lambda i: STEADY, lambda i: STEADY if i else luck)
    assert verdicts(among)[GRID[0]] == "no difference seen"
    assert among[0].p < 0.05 < among[0].p_corrected


def test_one_slower_cell_among_many_is_found():
    cells = of_grid(lambda i: STEADY, lambda i: STEADY if i else scaled(0.9))
    assert [cell.verdict for cell in cells] == ["slower"] + ["no difference seen"] * (len(GRID) - 1)


@pytest.mark.parametrize("starts", [1, 2])
def test_under_three_starts_nothing_is_judged(starts):
    found = compared(STEADY, [5.0, 5.1][:starts])
    assert (found.verdict, found.p, found.ci_low, found.ci_high) == ("too few starts", None, None, None)
    assert found.ratio == pytest.approx(0.5, rel=0.02)


def test_regressions_come_first_and_lone_cells_last():
    factors = [1.0, 1.25, 0.8, 0.7]
    a = {cell: started(cell) for cell in GRID[:5]}
    b = {cell: started(cell, scaled(factor)) for cell, factor in zip(GRID, factors, strict=False)}
    b[GRID[5]] = started(GRID[5])
    found = [(cell.cell, cell.verdict) for cell in significance.compare(a, b, {})]
    assert found == list(
        zip(
            [GRID[i] for i in (3, 2, 0, 1, 4, 5)],
            ["slower", "slower", "no difference seen", "faster", "only in A", "only in B"],
            strict=True,
        )
    )


def test_a_cell_that_is_not_valid_has_its_reason_and_its_interval_but_no_test():
    cell = GRID[0]
    [found] = significance.compare({cell: started(cell)}, {cell: started(cell, scaled(0.5), valid=False)}, {})
    assert (found.verdict, found.p, found.p_corrected) == ("not valid", None, None)
    assert found.ci_low < 0.5 < found.ci_high
    assert found.reasons.startswith("B: run_seconds: expected at least 0.9 s, got 0.79 s; ")


def test_cells_that_are_not_valid_do_not_count_in_the_correction():
    a, b = (grid_of(lambda i: noisy(i)), grid_of(lambda i: noisy(50 + i)))
    alone = significance.compare({GRID[0]: a[GRID[0]]}, {GRID[0]: b[GRID[0]]}, {})
    b |= {cell: started(cell, valid=False) for cell in GRID[1:]}
    found = {cell.cell: cell for cell in significance.compare(a, b, {})}
    assert found[GRID[0]].p_corrected == alone[0].p_corrected


def shortfall(a, b, least=0.9):
    """The regressions of one cell, given its records."""
    cells = significance.compare({GRID[0]: a} if a else {}, {GRID[0]: b} if b else {}, {})
    return significance.regressions(cells, least)


def test_falling_short_takes_the_whole_interval():
    good = started(GRID[0])
    assert shortfall(good, started(GRID[0], scaled(0.95))) == []
    assert shortfall(good, started(GRID[0], [6.0, 6.0, 8.9, 11.0, 11.0])) == []
    [line] = shortfall(good, started(GRID[0], scaled(0.8)))
    assert line.startswith(f"{GRID[0].id}: 0.800 (0.7") and line.endswith("is under 0.9")


def test_one_regression_among_many_good_cells_falls_short():
    cells = of_grid(lambda i: STEADY, lambda i: STEADY if i else scaled(0.8))
    assert len(significance.regressions(cells, 0.9)) == 1


def test_what_cannot_be_judged_falls_short_if_it_was_valid_in_the_baseline():
    good, bad = started(GRID[0]), started(GRID[0], valid=False)
    assert shortfall(good, bad) == [f"{GRID[0].id}: valid in A, not valid in B"]
    assert shortfall(good, None) == [f"{GRID[0].id}: valid in A, missing in B"]
    assert shortfall(good, started(GRID[0], [10.0, 10.0])) == [
        f"{GRID[0].id}: fewer than 3 starts in A or B, so no interval to judge by"
    ]
    assert (
        shortfall(bad, good)
        == shortfall(None, good)
        == ["no configuration is valid in A, so there is nothing to compare B with"]
    )
    cells = significance.compare({GRID[0]: good, GRID[1]: bad}, {cell: good for cell in GRID[:3]}, {})
    assert significance.regressions(cells, 0.9) == []


def test_differences_name_machine_software_settings_dataset_engine_and_configuration():
    cell = dataclasses.replace(GRID[0], mode="compute", engine="eager-fp32")
    engine = {"precision": "fp32", "torch": "2.13", "build_seconds": 1.0, "accuracy": []}
    old = measured_content(cell, nodes=[node("old")], date="1", packages={"torch": "2.13", "dali": "1"})
    old |= {"engine": engine}
    new = measured_content(cell, nodes=[node("new")], date="2", packages={"torch": "2.14"}, background_cpu_load=0.05)
    new |= {"engine": engine | {"torch": "2.14", "build_seconds": 2.0, "accuracy": [verdict()]}}
    new["environment"]["variables"] = {"OMP_NUM_THREADS": "1", "SLURM_JOB_ID": "7"}
    new["settings"] |= {"shuffle": "rank"}
    size = 4 * (4 * 768 * 1152 * 16 + 4096)
    new["dataset"] = {**new["dataset"], "source": "nersc", "sample_shape": [768, 1152, 16], "bytes": size}
    other = new | {
        "cell": dataclasses.asdict(GRID[1]),
        "environment": new["environment"] | {"nodes": [node("lone", cpu="other")]},
    }
    old, new, other = (with_check(made) for made in (old, new, other))
    found = differences.differences(
        Results("a", {cell: [old]}, {"benchmark": {"runs": 3}, "engines": [1], "data": {"dir": ""}}),
        Results("b", {cell: [new, old], GRID[1]: [other]}, {"benchmark": {"runs": 5}, "engines": [1]}),
    )
    assert [dataclasses.astuple(each) for each in found] == [
        ("config.benchmark.runs", "3", "5"),
        ("config.data.dir", '""', "-"),
        ("dataset.bytes", "4000000000", "226508800; 4000000000"),
        ("dataset.header_bytes", "0", "0; 4096"),
        ("dataset.sample_shape", "[3125, 5000, 16]", "[3125, 5000, 16]; [768, 1152, 16]"),
        ("dataset.source", "synthetic", "nersc; synthetic"),
        ("engine.eager-fp32.torch", "2.13", "2.13; 2.14"),
        ("environment.node.name", "old", "new; old"),
        ("environment.packages.torch", "2.13", "2.13; 2.14"),
        ("environment.variables.OMP_NUM_THREADS", "-", "1"),
        ("settings.shuffle", "none", "none; rank"),
    ]


def test_differences_name_a_quota_and_a_cleared_binding():
    old, new = (
        measured(GRID[0], nodes=[node("n", cpu_quota=quota)], variables=variables)
        for quota, variables in ((None, {}), (0.5, {"DEEPCAM_CLEARED_OMP_PROC_BIND": "close"}))
    )
    found = differences.differences(Results("a", {GRID[0]: [old]}, None), Results("b", {GRID[0]: [new]}, None))
    assert [dataclasses.astuple(each) for each in found] == [
        ("environment.node.cpu_quota", "null", "0.5"),
        ("environment.variables.DEEPCAM_CLEARED_OMP_PROC_BIND", "-", "close"),
    ]


def test_configurations_differ_only_if_both_are_known():
    known, unknown = Results("a", {}, {"devices": "cpu"}), Results("b", {}, None)
    assert differences.differences(known, unknown) == []
    [caveat] = [line for line in presentation.caveats(known, unknown, []) if "config.yaml" in line]
    assert caveat.endswith("no config.yaml in B.")


def report(a, b):
    """The Markdown text of a comparison of two results without probes and configurations, given their records."""
    sides = Results("a", a, None), Results("b", b, None)
    return presentation.markdown(*sides, significance.compare(a, b, {}), {}, [])


def test_the_report_says_what_too_few_starts_mean():
    few = {cell: started(cell, [10.0]) for cell in GRID[:2]}
    text = report(few, few)
    assert (
        "- 2 configurations with fewer than 3 starts in A or B cannot be judged, which does not mean that they are "
        "equal: raise benchmark.min_starts." in text
    )
    assert "no config.yaml in A and B" in text and "No other recorded value differs." in text
    assert "Starts needed" not in text
    enough = {cell: started(cell) for cell in GRID[:2]}
    assert "fewer than 3" not in report(enough, enough)


def test_the_report_says_how_many_starts_a_difference_takes():
    rates = grid_of(lambda i: [10.0 * factor for factor in (0.9, 1.0, 1.1, 1.0, 0.95)])
    text = report(rates, rates)
    assert f"- Starts deviate by 7.4 % (median of {len(GRID)} configurations). Starts needed in A and in B" in text
    assert "probability: 233 for 3 %, 87 for 5 %, 25 for 10 %, 9 for 20 %." in text
    noise = grid_of(lambda i: [1.0, 10.0, 100.0])
    assert "over 1,000 for 3 %" in report(noise, noise)


def test_the_figure_draws_a_long_grid_and_an_empty_one():
    cells = of_grid(lambda i: STEADY, lambda i: scaled(1 - i / 20))
    drawn = presentation.figure(cells)
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert labels == [cell.id for cell in reversed(GRID)]  # slowest at the top
    bottom, top = drawn.axes[0].get_ylim()
    assert bottom > top
    assert drawn.get_figheight() > presentation.figure(cells[:1]).get_figheight() + 0.2 * (len(GRID) - 1)
    assert presentation.figure([]).axes
