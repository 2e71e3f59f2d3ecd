"""Two results held against each other: ratios, verdicts, and what else differs, on known numbers."""

import dataclasses

import pytest
from deepcam.report.comparison import differences, presentation, significance
from deepcam.report.comparison.sides import Results
from record_example import node, verdict
from results_example import GRID, STEADY, grid_of, measured, measured_content, noisy, scaled, with_check


def compared(a, b):
    """The comparison of one cell: of A's starts with B's, each a list of rates."""
    cell = GRID[0]
    [found] = significance.compare({cell: [measured(cell, r) for r in a]}, {cell: [measured(cell, r) for r in b]})
    return found


def verdicts(cells):
    return {cell.cell: cell.verdict for cell in cells}


def test_the_ratio_is_that_of_the_medians_of_all_starts():
    found = compared([[8.0, 9.0, 10.0], [11.0, 12.0, 30.0]], [[20.0, 21.0, 22.0]])
    assert (found.a_samples_per_second, found.b_samples_per_second) == pytest.approx((10.5, 21.0))
    assert found.ratio == pytest.approx(2.0)
    assert (found.a_runs, found.b_runs, found.a_starts, found.b_starts) == (6, 3, 2, 1)
    # Of the 84 ways to deal nine ranks to 6 and 3, 7 put B as high as here, or higher; two-sided.
    assert found.p == pytest.approx(14 / 84)


def test_identical_runs_show_no_difference():
    found = compared([STEADY], [STEADY])
    assert (found.ratio, found.p, found.verdict) == (1.0, 1.0, "no difference seen")
    assert 0.98 < found.ci_low < 1 < found.ci_high < 1.03


@pytest.mark.parametrize(("factor", "verdict"), [(0.8, "slower"), (1.25, "faster")])
def test_a_change_by_a_fifth_is_found_with_its_interval(factor, verdict):
    found = compared([STEADY], [scaled(factor)])
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(factor)
    assert factor * 9.9 / 10.1 <= found.ci_low < factor < found.ci_high <= factor * 10.1 / 9.9
    assert found.p == pytest.approx(2 / 252)  # every run of one side before every run of the other


def test_noise_is_no_difference_and_passes():
    cells = significance.compare(grid_of(lambda i: noisy(i, 10)), grid_of(lambda i: noisy(100 + i, 10)))
    assert set(verdicts(cells).values()) == {"no difference seen"}
    assert significance.regressions(cells, 0.95) == []


def test_the_correction_tells_luck_in_one_of_many_cells_from_a_regression():
    luck = [9.6, 9.65, 9.7, 9.75, 9.97]  # p = 0.016 alone
    alone = significance.compare({GRID[0]: [measured(GRID[0])]}, {GRID[0]: [measured(GRID[0], luck)]})
    assert alone[0].verdict == "slower"
    among = significance.compare(grid_of(lambda i: STEADY), grid_of(lambda i: STEADY if i else luck))
    assert verdicts(among)[GRID[0]] != "slower"
    assert among[0].p_corrected > 0.05


def test_three_runs_a_side_are_too_few_however_far_apart():
    found = compared([[10.0, 10.1, 10.2]], [[1.0, 1.1, 1.2]])
    assert (found.verdict, found.p) == ("too few runs", None)
    assert found.ci_high < 0.13


def test_two_runs_have_no_interval():
    found = compared([STEADY], [[5.0, 5.1]])
    assert (found.verdict, found.ci_low, found.ci_high) == ("too few runs", None, None)


def test_few_runs_are_not_called_equal_where_many_cells_would_hide_a_regression():
    cells = significance.compare(grid_of(lambda i: STEADY), grid_of(lambda i: STEADY if i else scaled(0.8)))
    assert set(verdicts(cells).values()) == {"too few runs"}
    assert significance.runs_needed(len(GRID)) == 6  # 2 / 924 of all ways to deal 12 ranks, times 8 cells
    more = [10 + step / 100 for step in range(6)]
    cells = significance.compare(grid_of(lambda i: more), grid_of(lambda i: more if i else scaled(0.8, more)))
    assert [cell.verdict for cell in cells] == ["slower"] + ["no difference seen"] * (len(GRID) - 1)


def test_regressions_come_first_and_lone_cells_last():
    factors = [1.0, 1.25, 0.8, 0.7]
    a = {cell: [measured(cell)] for cell in GRID[:5]}
    b = {cell: [measured(cell, scaled(factor))] for cell, factor in zip(GRID, factors, strict=False)}
    b[GRID[5]] = [measured(GRID[5])]
    found = [(cell.cell, cell.verdict) for cell in significance.compare(a, b)]
    assert found == list(
        zip(
            [GRID[i] for i in (3, 2, 0, 1, 4, 5)],
            ["slower", "slower", "no difference seen", "faster", "only in A", "only in B"],
            strict=True,
        )
    )


def test_a_cell_that_is_not_valid_has_its_reason_and_no_other_verdict():
    cell = GRID[0]
    [found] = significance.compare({cell: [measured(cell)]}, {cell: [measured(cell, scaled(0.5), valid=False)]})
    assert (found.verdict, found.p) == ("not valid", None)
    assert found.reasons == "B: throughput_cv: expected at most 10%, got 14%"


def shortfall(a, b, least=0.9):
    cell = GRID[0]
    return significance.regressions(significance.compare({cell: [a]} if a else {}, {cell: [b]} if b else {}), least)


def test_falling_short_takes_the_whole_interval():
    good = measured(GRID[0])
    assert shortfall(good, measured(GRID[0], scaled(0.95))) == []
    assert shortfall(good, measured(GRID[0], [6.0, 6.0, 8.9, 11.0, 11.0])) == []
    [line] = shortfall(good, measured(GRID[0], scaled(0.8)))
    assert line.startswith(f"{GRID[0].id}: 0.800 (0.7") and line.endswith("is under 0.9")


def test_one_regression_among_many_good_cells_falls_short():
    cells = significance.compare(grid_of(lambda i: STEADY), grid_of(lambda i: STEADY if i else scaled(0.8)))
    assert len(significance.regressions(cells, 0.9)) == 1


def test_what_cannot_be_judged_falls_short_if_it_was_valid_in_the_baseline():
    good, bad = measured(GRID[0]), measured(GRID[0], valid=False)
    assert shortfall(good, bad) == [f"{GRID[0].id}: valid in A, not valid in B"]
    assert shortfall(good, None) == [f"{GRID[0].id}: valid in A, missing in B"]
    assert shortfall(good, measured(GRID[0], [10.0, 10.0]))[0].endswith("so no interval to judge by")
    assert shortfall(bad, good) == shortfall(None, good) == ["A has no valid cell to hold B against"]
    cells = significance.compare({GRID[0]: [good], GRID[1]: [bad]}, {cell: [good] for cell in GRID[:3]})
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
    new["dataset"] = {**new["dataset"], "source": "nersc", "sample_shape": [768, 1152, 16]}
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
        ("dataset.sample_shape", "[2, 2, 16]", "[2, 2, 16]; [768, 1152, 16]"),
        ("dataset.source", "synthetic", "nersc; synthetic"),
        ("engine.eager-fp32.torch", "2.13", "2.13; 2.14"),
        ("environment.node.name", "old", "new; old"),
        ("environment.packages.torch", "2.13", "2.13; 2.14"),
        ("environment.variables.OMP_NUM_THREADS", "-", "1"),
        ("settings.shuffle", "none", "none; rank"),
    ]


def test_configurations_differ_only_if_both_are_known():
    known, unknown = Results("a", {}, {"devices": "cpu"}), Results("b", {}, None)
    assert differences.differences(known, unknown) == []
    [caveat] = [line for line in presentation.caveats(known, unknown, []) if "config.yaml" in line]
    assert caveat.endswith("no config.yaml in B.")


def test_the_report_says_what_too_few_runs_and_one_start_mean():
    known = {cell: [measured(cell, [10, 11, 12])] for cell in GRID[:2]}
    slower = {GRID[0]: [measured(GRID[0], [5, 6, 7])], GRID[1]: known[GRID[1]]}
    a, b = Results("a", known, None), Results("b", slower, None)
    report = presentation.markdown(a, b, significance.compare(known, slower), [])
    assert (
        "2 of 2 cells have too few runs for a verdict" in report
        and "in 1 of them the whole interval is below 1" in report
    )
    assert "takes 5 runs in A and in B: raise benchmark.starts" in report
    assert "- One start: " in report and "no config.yaml in A and B" in report
    assert "Nothing that was recorded." in report
    twice = {cell: starts * 2 for cell, starts in known.items()}
    report = presentation.markdown(a, a, significance.compare(twice, twice), [])
    assert "- One start: " not in report and "too few" not in report


def test_the_figure_draws_a_long_grid_and_an_empty_one():
    cells = significance.compare(grid_of(lambda i: STEADY), grid_of(lambda i: scaled(1 - i / 20)))
    drawn = presentation.figure(cells)
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert labels == [cell.id for cell in reversed(GRID)]  # slowest at the top
    bottom, top = drawn.axes[0].get_ylim()
    assert bottom > top
    assert drawn.get_figheight() > presentation.figure(cells[:1]).get_figheight() + 0.2 * (len(GRID) - 1)
    assert presentation.figure([]).axes
