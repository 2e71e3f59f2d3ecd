"""What a GPU did during a run, from a module that stands in for NVML."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from deepcam.benchmark import devices, gpu_meter, joined_parts
from deepcam.benchmark.timed_loop import Part
from deepcam.record.run_schema import ClockMegahertz, DeviceUsage

IDLE, CLOCKS_SET, POWER_CAP, HARDWARE, SYNC_BOOST, HEAT, HARDWARE_HEAT, POWER_BRAKE = (1 << bit for bit in range(8))
"""The reasons for lower clocks, as in nvml.h."""

SM, MEMORY, POWER, THERMAL = 1, 2, 0, 1
"""NVML's numbers of clocks and of policies that limit them."""

SAMPLE = gpu_meter.ClockSampler.sample


class NVMLError(Exception):
    """What nvidia-ml-py raises."""


def unsupported(*_: Any) -> None:
    """A function whose reading the card does not have."""
    raise NVMLError


def in_turn(*readings: Any) -> Callable[..., Any]:
    """A function that gives one reading after the other."""
    left = iter(readings)
    return lambda *_: next(left)


def violations(*of_power_and_heat: tuple[int, int]) -> Callable[..., Any]:
    """The function that gives the two counters, in nanoseconds, at one time after the other."""
    left = {POWER: iter(pair[0] for pair in of_power_and_heat), THERMAL: iter(pair[1] for pair in of_power_and_heat)}
    return lambda handle, policy: SimpleNamespace(violationTime=next(left[policy]))


def metered(monkeypatch: pytest.MonkeyPatch, samples: int, **functions: Callable[..., Any]) -> DeviceUsage:
    """The usage of a GPU in a run with so many samples of its clocks, with an NVML that has these functions only."""
    constants = {
        "NVML_GPU_UTILIZATION_SAMPLES": 1,
        "NVML_CLOCK_SM": SM,
        "NVML_CLOCK_MEM": MEMORY,
        "NVML_PERF_POLICY_POWER": POWER,
        "NVML_PERF_POLICY_THERMAL": THERMAL,
    }
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=NVMLError, **constants, **functions))
    monkeypatch.setattr(devices, "_nvml_handle", lambda name: name)
    left, done = [None] * samples, threading.Event()

    def limited(self: gpu_meter.ClockSampler) -> None:
        if left:
            left.pop()
            SAMPLE(self)
        if not left:
            done.set()

    monkeypatch.setattr(gpu_meter.ClockSampler, "sample", limited)
    monkeypatch.setattr(gpu_meter, "SAMPLE_SECONDS", 0.001 if samples else 3600)
    gpu = object.__new__(devices.Cuda)
    gpu._name = "cuda:0"
    usage = gpu.start_metering()
    assert not samples or done.wait(10)
    found = usage()
    assert "gpu-meter" not in {thread.name for thread in threading.enumerate()}
    return found


@pytest.mark.parametrize(("percent", "utilisation"), [([5, 80, 100], 0.9), ([5], None), ([], None)])
def test_the_utilisation_is_that_of_the_run_and_not_of_the_time_before_it(
    monkeypatch: pytest.MonkeyPatch, percent: list[int], utilisation: float | None
) -> None:
    usage = metered(
        monkeypatch,
        samples=0,
        nvmlDeviceGetTotalEnergyConsumption=in_turn(1000, 4000),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=7),
        nvmlDeviceGetSamples=lambda *_: (
            None,
            [SimpleNamespace(sampleValue=SimpleNamespace(uiVal=value)) for value in percent],
        ),
    )
    assert (usage.energy_joules, usage.utilisation, usage.memory_bytes) == (3.0, utilisation, 7)


def test_clocks_are_those_of_the_run_beside_the_highest_that_the_card_supports(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {SM: iter([1980, 1200, 1755]), MEMORY: iter([2619] * 3)}
    usage = metered(
        monkeypatch,
        samples=3,
        nvmlDeviceGetClockInfo=lambda handle, clock: next(rates[clock]),
        nvmlDeviceGetMaxClockInfo=lambda handle, clock: {SM: 1980, MEMORY: 2619}[clock],
    )
    assert usage.sm_clock == ClockMegahertz(lowest=1200, median=1755, maximum=1980)
    assert usage.memory_clock == ClockMegahertz(lowest=2619, median=2619, maximum=2619)


def test_violations_are_those_of_the_run_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = violations((5_000_000_000, 7), (5_250_000_000, 7))
    usage = metered(monkeypatch, samples=0, nvmlDeviceGetViolationStatus=counters)
    assert (usage.power_violation_seconds, usage.thermal_violation_seconds) == (0.25, 0)


@pytest.mark.parametrize(
    "function", ["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"]
)
def test_reasons_have_an_old_and_a_new_name(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    usage = metered(monkeypatch, samples=4, **{function: in_turn(0, POWER_CAP, POWER_CAP | HARDWARE | POWER_BRAKE, 0)})
    assert usage.throttled_shares == {
        "software power cap": 0.5,
        "hardware slowdown": 0.25,
        "hardware power brake": 0.25,
    }


def test_a_driver_without_the_new_name_is_asked_by_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = metered(
        monkeypatch,
        samples=2,
        nvmlDeviceGetCurrentClocksEventReasons=unsupported,
        nvmlDeviceGetCurrentClocksThrottleReasons=in_turn(HEAT, HEAT | HARDWARE_HEAT),
    )
    assert usage.throttled_shares == {"software thermal slowdown": 1, "hardware thermal slowdown": 0.5}


def test_an_idle_gpu_and_clocks_that_somebody_set_are_not_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = metered(
        monkeypatch,
        samples=3,
        nvmlDeviceGetCurrentClocksEventReasons=in_turn(IDLE, CLOCKS_SET | SYNC_BOOST, 0),
    )
    assert usage.throttled_shares == {}


@pytest.mark.parametrize("samples", [0, 2])
def test_what_a_card_or_a_library_does_not_have_is_null(monkeypatch: pytest.MonkeyPatch, samples: int) -> None:
    assert metered(monkeypatch, samples) == DeviceUsage()
    names = (
        "TotalEnergyConsumption", "ViolationStatus", "ClockInfo", "MaxClockInfo", "MemoryInfo", "Samples",
        "CurrentClocksEventReasons", "CurrentClocksThrottleReasons",
    )  # fmt: skip
    assert metered(monkeypatch, samples, **{f"nvmlDeviceGet{name}": unsupported for name in names}) == DeviceUsage()


def test_a_clock_without_a_highest_rate_has_null_there(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = metered(
        monkeypatch, samples=2, nvmlDeviceGetClockInfo=lambda *_: 900, nvmlDeviceGetMaxClockInfo=unsupported
    )
    assert usage.sm_clock == ClockMegahertz(lowest=900, median=900, maximum=None)


def clock(lowest: int, median: float) -> ClockMegahertz:
    return ClockMegahertz(lowest=lowest, median=median, maximum=1980)


def run_of(usages: Iterable[tuple[float, DeviceUsage]]) -> DeviceUsage:
    """The usage in a run of parts with these seconds and usages."""
    part = Part(1.0, [1], [1], Counter(), 0.0, None, frozenset(), 1, 0, 0, {}, DeviceUsage(), 0)
    parts = [dataclasses.replace(part, seconds=seconds, device=usage) for seconds, usage in usages]
    return joined_parts.joined(parts, {}).device


def test_a_run_of_several_parts_has_the_lowest_clock_and_all_throttling() -> None:
    first = DeviceUsage(
        energy_joules=5.0,
        sm_clock=clock(1500, 1900.0),
        throttled_shares={"software power cap": 0.5},
        power_violation_seconds=0.25,
        thermal_violation_seconds=0.0,
    )
    second = DeviceUsage(
        energy_joules=7.0,
        sm_clock=clock(1200, 1700.0),
        throttled_shares={"hardware slowdown": 1.0},
        power_violation_seconds=0.5,
    )
    short = DeviceUsage(energy_joules=1.0, power_violation_seconds=0.0, thermal_violation_seconds=0.0)
    usage = run_of([(3.0, first), (1.0, second), (0.05, short)])
    assert usage == DeviceUsage(
        energy_joules=13.0,
        sm_clock=clock(1200, 1800.0),
        throttled_shares={"hardware slowdown": 0.25, "software power cap": 0.375},
        power_violation_seconds=0.75,
    )
    assert run_of([(1.0, DeviceUsage())]) == DeviceUsage()
