"""Records of GPUs that were throttled."""

from __future__ import annotations

from typing import Any

import pytest
from deepcam.record import device_checks
from record_example import content, judged, measurement


def of(**device: Any) -> dict[str, Any]:
    """A record in which the GPU of rank 1 did this in one of two runs, which took 1.95 s."""
    made = content()
    made["runs"][1]["ranks"][1]["device"] |= device
    return made


def result(made: dict[str, Any]) -> tuple[bool, str]:
    (check,) = device_checks.checks(measurement(made))
    assert (check.name, check.level) == ("gpu_throttled", "warning")
    return check.ok, str(check.actual)


@pytest.mark.parametrize(
    ("device", "actual"),
    [
        (
            {"throttled_shares": {"software power cap": 0.25, "hardware slowdown": 0.5}},
            "50% (hardware slowdown) on the GPU of rank 1 on n",
        ),
        ({"throttled_shares": {"hardware thermal slowdown": 0.06}}, "6% (hardware thermal slowdown)"),
        ({"power_violation_seconds": 0.195}, "10% (violations of power limits) on the GPU of rank 1 on n"),
        ({"throttled_shares": {}, "thermal_violation_seconds": 5.0}, "100% (violations of heat limits)"),
    ],
)
def test_a_throttled_gpu_is_a_warning(device: dict[str, Any], actual: str) -> None:
    made = of(**device)
    ok, found = result(made)
    assert not ok
    assert found.startswith(actual)
    metrics = judged(made).metrics
    assert metrics.valid
    assert "gpu_throttled" in metrics.warnings


@pytest.mark.parametrize(
    "device",
    [
        {"throttled_shares": {}},
        {"throttled_shares": {"software power cap": 0.05}},
        {"power_violation_seconds": 0.05, "thermal_violation_seconds": 0.0},
    ],
)
def test_moments_of_throttling_are_none(device: dict[str, Any]) -> None:
    made = of(**device)
    assert result(made)[0]
    assert "gpu_throttled" not in judged(made).metrics.warnings


def test_what_is_not_recorded_is_not_judged() -> None:
    clock = {"lowest": 345, "median": 345.0, "maximum": 1980}
    assert device_checks.checks(measurement(content())) == []
    assert device_checks.checks(measurement(of(sm_clock=clock, memory_clock=clock))) == []
