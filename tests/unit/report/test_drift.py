"""How the machine's own speed changed between two results, and what remains of their differences without it."""

import dataclasses
import math
import random

import pytest
from deepcam.report.comparison import drift, presentation, significance
from deepcam.report.comparison.sides import Results
from record_example import start
from results_example import GRID, STEADY, measured_content, started, with_check

COLD = GRID[0]
WARM = dataclasses.replace(COLD, cache="warm")
COMPUTE = dataclasses.replace(COLD, mode="compute", reader="none", cache="none", engine="eager-fp32")
INFERENCE = dataclasses.replace(COLD, mode="inference", engine="eager-fp32")
TRAIN = dataclasses.replace(COLD, mode="train")


def storage(*speeds):
    return [{"storage_bytes_per_second": float(speed)} for speed in speeds]


def test_each_cell_depends_on_one_speed():
    cells = (COLD, WARM, COMPUTE, INFERENCE, TRAIN)
    assert list(map(drift.limiting_speed, cells)) == ["storage", "memory", "compute", "compute", "compute"]


def test_the_drift_is_the_ratio_of_the_geometric_means_of_the_probes():
    a, b = started(COLD, probes=storage(1, 2, 4, 2, 2)), started(COLD, probes=storage(2, 4, 8, 4, 4))
    found = drift.between(a, b)
    assert found["storage"].ratio == pytest.approx(2)
    low, high = found["storage"].interval()
    assert low < 1.2 and high > 3
    assert found["memory"].interval() == pytest.approx((1, 1))


def test_probes_of_a_round_count_as_one_value():
    alone = started(COLD, probes=storage(1, 2, 4, 2, 2))
    crowded = alone + [record for cell in GRID[1:4] for record in started(cell, probes=storage(1, 2, 4, 2, 2))]
    one, many = (drift.between(side, side)["storage"].interval() for side in (alone, crowded))
    assert many == pytest.approx(one)


def test_rounds_of_other_numbers_of_nodes_are_other_rounds():
    [first] = started(COLD, [10.0], probes=storage(1))
    nodes = [first.environment.nodes[0], first.environment.nodes[0].model_copy(update={"name": "m"})]
    two_nodes = first.model_copy(update={"environment": first.environment.model_copy(update={"nodes": nodes})})
    assert drift.between([first] * 3, [first] * 3)["storage"].difference is None
    assert drift.between([first, two_nodes], [first])["storage"].difference is None
    three = [*started(COLD, [10.0] * 2, probes=storage(1, 1)), two_nodes]
    assert drift.between(three, three)["storage"].difference is not None


def test_a_speed_that_was_not_measured_is_left_out():
    some, none = started(COLD, probes=storage(1, 0, 2, 0, 4)), started(COLD, probes=storage(0, 0, 0, 0, 0))
    assert drift.between(some, some)["storage"].ratio == 1
    assert drift.within(some)["storage"] == pytest.approx(4)
    assert drift.between(some, none).keys() == {"memory", "compute"}
    assert "storage" not in drift.within(none)


def test_the_drift_within_a_side_is_the_last_third_against_the_first_in_the_order_of_time():
    records = []
    for number, (speed, date) in enumerate(zip((4, 4, 3, 2, 2, 1), "654321", strict=True)):
        made = measured_content(COLD, [10.0], date=f"2026-11-01T12:00:0{date}+00:00")
        made["start"] = start(number, storage_bytes_per_second=float(speed))
        records.append(with_check(made))
    assert drift.within(records)["storage"] == pytest.approx(4 / math.sqrt(2))
    assert drift.within(records[:2]) == {}


def compared(a, b):
    """The comparisons and the report of two results, given their records."""
    drifts = drift.between(*([record for of_cell in side.values() for record in of_cell] for side in (a, b)))
    cells = significance.compare(a, b, drifts)
    return cells, presentation.markdown(Results("a", a, {}), Results("b", b, {}), cells, drifts, [])


def test_a_slower_machine_explains_a_slower_result():
    fast, slow = storage(2, 2.02, 1.98, 2.01, 2), storage(1, 1.01, 0.99, 1.005, 1)
    [cell], text = compared(
        {COLD: started(COLD, probes=fast)}, {COLD: started(COLD, [5, 5.02, 4.98, 5, 5], probes=slow)}
    )
    assert (cell.verdict, cell.ratio) == ("slower", pytest.approx(0.5, rel=0.01))
    assert cell.ratio_without_drift == pytest.approx(1, rel=0.01)
    assert cell.ci_low_without_drift < 1 < cell.ci_high_without_drift
    assert cell.p_corrected < 0.05 < cell.p_corrected_without_drift
    assert "| storage | 0.500 | 0.4" in text and "| memory | 1.000 | 1.000 to 1.000 |" in text
    assert "- Within A, last third of the probes / first third: storage 1.000, memory 1.000, compute 1.000." in text
    assert (
        "- The test finds a difference in 1 of 1 tested configuration. After a correction for the drift and its "
        "uncertainty, it finds one in 0 of 1." in text
    )


def test_an_uncertain_drift_leaves_the_result_uncertain():
    noisy = storage(1, 2, 1, 2, 1)
    [cell], _ = compared({COLD: started(COLD, probes=noisy)}, {COLD: started(COLD, [8.0] * 5, probes=noisy)})
    assert cell.ratio_without_drift == cell.ratio
    assert cell.verdict == "slower" and cell.p_corrected_without_drift > 0.05
    assert cell.ci_low_without_drift < cell.ci_low and cell.ci_high_without_drift > cell.ci_high


def test_a_cell_is_corrected_by_its_own_speed():
    fast, slow = storage(2, 2, 2, 2, 2), storage(1, 1, 1, 1, 1)
    a = {COLD: started(COLD, probes=fast), WARM: started(WARM, probes=fast)}
    b = {COLD: started(COLD, probes=slow), WARM: started(WARM, probes=slow)}
    found = {cell.cell: cell for cell in compared(a, b)[0]}
    assert found[COLD].ratio_without_drift == pytest.approx(2)
    assert found[WARM].ratio_without_drift == pytest.approx(1)


def test_two_rounds_do_not_tell_how_certain_the_drift_is():
    a = {COLD: started(COLD, STEADY[:2], probes=storage(2, 2))}
    b = {COLD: started(COLD, STEADY[:2], probes=storage(1, 1))}
    [cell], text = compared(a, b)
    assert cell.ratio_without_drift == pytest.approx(2)
    assert cell.ci_low_without_drift is None
    assert "| storage | 0.500 | - |" in text
    assert "The uncertainty of the drift is unknown, because it takes 3 rounds in A and in B." in text


def test_records_without_probes_are_named():
    with_probes, without = started(COLD), [record.model_copy(update={"start": None}) for record in started(COLD)]
    [cell], text = compared({COLD: with_probes}, {COLD: without})
    assert cell.ratio_without_drift is None and cell.p_corrected_without_drift is None
    assert "Unknown: the records of B have no measurement of the machine's speed." in text
    assert "records of A and B" in compared({COLD: without}, {COLD: without})[1]


def machine(rng, cells, starts, deviation, speed):
    """The records of a run on a machine of this speed, with a probe before each start."""
    found = {}
    for cell in cells:
        rates = [10 * speed * math.exp(rng.gauss(0, deviation)) for _ in range(starts)]
        probes = [
            {
                field: 1e9 * speed * math.exp(rng.gauss(0, 0.03))
                for field in ("storage_bytes_per_second", "memory_bytes_per_second", "hashing_bytes_per_second")
            }
            for _ in range(starts)
        ]
        found[cell] = started(cell, rates, probes=probes)
    return found


@pytest.mark.parametrize(
    ("deviation", "speed", "least", "most"),
    [(0.05, 0.97, 0.0, 0.05), (0.02, 0.9, 0.9, 1.0)],
    ids=["little drift", "much drift"],
)
def test_runs_of_the_same_program_on_a_drifting_machine_are_alike_without_the_drift(deviation, speed, least, most):
    rng = random.Random(1)
    cells = [dataclasses.replace(cell, inter_threads=n) for cell in (COLD, WARM) for n in range(1, 11)]
    found = [
        cell
        for _ in range(8)
        for cell in compared(machine(rng, cells, 5, deviation, 1.0), machine(rng, cells, 5, deviation, speed))[0]
    ]
    assert least <= sum(cell.verdict in ("slower", "faster") for cell in found) / len(found) <= most
    assert sum(cell.p_corrected_without_drift <= 0.05 for cell in found) <= 0.05 * len(found)
    assert sum(cell.ci_low_without_drift <= 1 <= cell.ci_high_without_drift for cell in found) >= 0.93 * len(found)
