"""Records whose threads or whose CPU time were fewer than their cores promise."""

from __future__ import annotations

from typing import Any

import pytest
from deepcam.record import core_checks
from record_example import content, judged, measurement


def failed(made: dict[str, Any]) -> dict[str, str]:
    return {check.name: check.actual for check in core_checks.checks(measurement(made)) if not check.ok}


@pytest.mark.parametrize(
    ("sets", "actual"),
    [
        (["0-1"], None),
        (["0-1", "0-63"], None),
        (["0-3", "0"], "threads of rank 1 on n that may use 0 only"),
        (["0,2-3"], "threads of rank 1 on n that may use 0,2-3 only"),
    ],
)
def test_a_thread_that_may_use_fewer_cores_than_its_rank_is_found(sets: list[str], actual: str | None) -> None:
    made = content()
    made["environment"]["ranks"][1]["cores"] = [0, 1]
    made["runs"][0]["ranks"][1]["thread_cores"] = sets
    assert failed(made) == ({"thread_cores": actual} if actual else {})
    assert judged(made).metrics.valid is not bool(actual)


@pytest.mark.parametrize(("seconds", "actual"), [(0.03, None), (0.5, "12.8%")])
def test_a_job_that_its_quota_held_back_is_found(seconds: float, actual: str | None) -> None:
    """Of 1.95 s on two cores."""
    made = content()
    made["runs"][1]["ranks"][0]["throttled_seconds"] = seconds
    assert failed(made) == ({"cpu_throttling": actual} if actual else {})
    assert judged(made).metrics.valid is not bool(actual)


def test_what_is_not_recorded_is_not_judged() -> None:
    made = content()
    for rank in (rank for run in made["runs"] for rank in run["ranks"]):
        rank |= {"thread_cores": None, "throttled_seconds": None}
    for place in made["environment"]["ranks"]:
        place["scheduling"] = None
    assert core_checks.checks(measurement(made)) == []


def test_a_job_whose_control_groups_are_not_visible_has_a_warning() -> None:
    made = content()
    for rank in (rank for run in made["runs"] for rank in run["ranks"]):
        rank["throttled_seconds"] = None
    assert failed(made) == {"cpu_throttling_unknown": "none on n"}
    assert judged(made).metrics.valid


@pytest.mark.parametrize(
    ("cores", "gpu", "actual"),
    [
        (1, 1, None),
        (0, 1, "rank 1 on n has cores of NUMA node 0 and a GPU of NUMA node 1"),
        (None, 1, None),
        (0, None, None),
    ],
)
def test_a_rank_far_from_its_gpu_has_a_warning(cores: int | None, gpu: int | None, actual: str | None) -> None:
    made = content()
    made["environment"]["ranks"][1] |= {"device": "cuda:0", "numa_node": cores, "device_numa_node": gpu}
    assert failed(made) == ({"gpu_numa_node": actual} if actual else {})
    assert judged(made).metrics.valid


def test_a_job_with_another_priority_has_a_warning() -> None:
    made = content()
    made["environment"]["ranks"][1]["scheduling"] = "SCHED_OTHER, nice 19"
    assert failed(made) == {"scheduling": "SCHED_OTHER, nice 0; SCHED_OTHER, nice 19"}
    assert judged(made).metrics.valid


@pytest.mark.parametrize(("utilisation", "busy"), [(0.4, False), (0.6, True)])
def test_programs_on_the_cores_that_the_job_does_not_use_are_a_warning(utilisation: float, busy: bool) -> None:
    """The job keeps about one and a half of four cores busy."""
    made = content()
    made["environment"]["nodes"][0]["logical_cores"] = 4
    for run in made["runs"]:
        run["ranks"][0]["node_cpu_utilisation"] = utilisation
    assert set(failed(made)) == ({"other_cores_busy"} if busy else set())
    assert judged(made).metrics.valid
