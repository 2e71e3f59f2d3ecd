"""Which side limits, and how precise the numbers are: levels and reasons, for made-up results."""

import pytest
from deepcam.report.page import confidence, rows
from page_example import CASES, limits, row, table


def side(*made):
    prepared = rows.prepare(table(*made))
    found = confidence.side(prepared, rows.comparisons(prepared))
    return found.level, found.reasons


def precision(*made, stopped=(), cautions=(), invalid=()):
    prepared = rows.prepare(table(*made, stopped=stopped))
    found = confidence.precision(prepared, rows.comparisons(prepared), 0.1, cautions, invalid)
    return found.level, [reason.replace("\u00a0", " ") for reason in found.reasons]


def test_the_separation_of_the_limits_is_the_first_reason():
    level, reasons = side(*CASES["compute"])
    assert level == "high"
    assert reasons == [
        "I/O-only is at least 16 times compute-only, even at the unfavourable ends of both intervals.",
        "The verdict holds as long as storage delivers more than 0.105 GB/s.",
        "The only end-to-end configuration is compute-bound.",
    ]


def test_overlapping_intervals_are_said_to_overlap():
    assert side(*CASES["balanced"])[:2] == (
        "low",
        [
            "The intervals of I/O-only and compute-only overlap.",
            "The only end-to-end configuration is balanced.",
        ],
    )


def test_a_loss_that_the_intervals_could_explain_is_told_beside_the_verdict():
    level, reasons = side(*limits(87, 900, 100, half=0.05))
    assert level == "high"
    assert reasons[1].replace("\u00a0", " ") == (
        "End-to-end is 87 % of its lower limit (cold), but may reach 90 % within the intervals."
    )
    assert reasons[2].startswith("The verdict holds as long as ") and reasons[3].endswith("compute-bound.")


def test_single_starts_have_no_intervals_to_speak_of():
    assert side(*limits(2, 36, 2, num_starts=1))[1][0] == "I/O-only is 18 times compute-only."


def test_the_least_separation_counts_if_both_states_have_the_same_limit():
    _, reasons = side(*CASES["compute"], *limits(2.05, 110, 2.1, cache="warm"))
    assert reasons[0].startswith("I/O-only is at least 16 times") and len(reasons) == 3
    assert reasons[2] == "2 of 2 end-to-end configurations can be compared: all 2 compute-bound."


def test_states_with_different_limits_have_a_reason_each():
    _, reasons = side(*limits(95, 100, 700), *limits(670, 3000, 700, cache="warm"))
    assert [("(cold)" in reason, "(warm)" in reason) for reason in reasons[:2]] == [(True, False), (False, True)]


def test_other_configurations_that_disagree_are_counted():
    _, reasons = side(*CASES["storage"], *limits(20, 100, 700, inter_threads=4), row("inference", 1.0, ranks=2))
    assert reasons[-1] == "2 of 3 end-to-end configurations can be compared: 1 storage-bound, 1 overlap-limited."


@pytest.mark.parametrize(("half", "level"), [(0.05, "high"), (0.1, "medium"), (0.2, "low")], ids=["5", "10", "20"])
def test_precision_is_that_of_the_widest_interval(half, level):
    assert precision(*limits(2, 36, 2.1, half=half)) == (
        level,
        [f"Differences below {half:.0%} between the compared measurements are noise.".replace("%", " %")],
    )


def test_drift_is_a_reason_and_does_not_take_the_verdict_away():
    level, reasons = precision(*limits(2.6, 36, 2))
    assert level == "low"
    assert reasons == [
        "Differences below 30 % between the compared measurements are noise.",
        "End-to-end was 30 % (cold) above its lower limit: the machine’s speed changed between runs. The verdict "
        "holds.",
    ]
    assert not precision(*CASES["measurement-conflict"])[1][1].endswith("holds.")


def test_a_reader_above_its_baseline_is_drift():
    _, reasons = precision(*limits(2, 36, 2, 30))
    assert reasons[1].startswith("pread reached 120 % of the read-and-discard baseline (cold): the machine’s speed")


@pytest.mark.parametrize(("starts", "words"), [(1, "one start"), (2, "two starts")])
def test_few_starts_are_a_reason(starts, words):
    level, reasons = precision(*limits(2, 36, 2.1, num_starts=starts))
    assert level == "low"
    assert reasons[0].startswith("Differences below at least ")
    assert reasons[1] == (
        f"At least one of the compared configurations has only {words}, so the variation between starts is unknown."
    )
    assert precision(*limits(2, 36, 2.1, num_starts=3))[1] == [
        "Differences below 2 % between the compared measurements are noise."
    ]


def test_a_busy_machine_makes_precision_low_and_leaves_the_verdict():
    made = limits(2, 36, 2.1, warnings="background_cpu_load_small: expected at most 10%, got 20%")
    level, reasons = precision(*made)
    assert level == "low" and reasons[1] == "The machine was busy: other processes used some of the job’s cores."
    assert side(*made)[0] == "high"


def test_configurations_that_were_not_measured_to_the_target_are_counted():
    _, reasons = precision(*CASES["compute"], stopped=["max_starts", "minutes", ""])
    assert reasons[-1] == "2 of 4 configurations were not measured to the requested precision of ±10 %."


def test_at_most_six_reasons_are_given_and_invalid_results_are_among_them():
    made = limits(2.6, 36, 2, num_starts=1, warnings="background_cpu_load_small: expected at most 10%, got 20%")
    _, reasons = precision(*made, cautions=["a", "b", "c", "d"], invalid=["1 of 3 is INVALID"])
    assert len(reasons) == 6 and reasons[-2:] == ["a", "1 of 3 is INVALID"]
    assert len(precision(*made, cautions=["a", "b", "c", "d"])[1]) == 6
