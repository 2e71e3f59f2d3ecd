"""What a GPU does during a run: energy, utilisation, memory, clocks and throttling, from NVIDIA's NVML.

A card or a driver may lack any of NVML's readings, and versions of nvidia-ml-py any of its functions. What is missing
is null in the record.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from deepcam.record.run_schema import ClockMegahertz, DeviceUsage, ThrottleReason

SAMPLE_SECONDS = 0.1
"""Time between two samples of the clocks. More would take time from the threads of the reader."""

REASON_FUNCTIONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
"""The present name of the function, and its name in drivers before 535 and in nvidia-ml-py before 12.535."""

REASONS: dict[int, ThrottleReason] = {
    0x04: "software power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}
"""NVML's reasons for lower clocks that count as throttling, by their bits in nvml.h. An idle GPU and clocks that
somebody has set are reasons, too, but do not count."""


def start(handle: Any) -> Callable[[], DeviceUsage]:
    """Start to meter the GPU with this handle of NVML. The returned function ends that, and gives the usage."""
    import pynvml

    def query(name: str, *arguments: Any) -> Any:
        """What NVML's function of this name returns for the GPU; None if it is missing or not supported."""
        function = getattr(pynvml, name, None)
        try:
            return None if function is None else function(handle, *arguments)
        except pynvml.NVMLError:
            return None

    def violations() -> list[int | None]:
        """How long power and heat have held the clocks back since the driver was loaded, nanoseconds."""
        policies = (pynvml.NVML_PERF_POLICY_POWER, pynvml.NVML_PERF_POLICY_THERMAL)
        found = [query("nvmlDeviceGetViolationStatus", policy) for policy in policies]
        return [status and status.violationTime for status in found]

    sampler = ClockSampler(query, pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM)
    sampler.start()
    started, violated, energy = time.time(), violations(), query("nvmlDeviceGetTotalEnergyConsumption")

    def usage() -> DeviceUsage:
        joules = _increase(energy, query("nvmlDeviceGetTotalEnergyConsumption"), 1e3)
        power, thermal = (_increase(before, after, 1e9) for before, after in zip(violated, violations(), strict=True))
        sampler.stop()
        memory = query("nvmlDeviceGetMemoryInfo")
        samples = query("nvmlDeviceGetSamples", pynvml.NVML_GPU_UTILIZATION_SAMPLES, int(started * 1e6))
        # The first one also covers time before the start.
        percent = [sample.sampleValue.uiVal for sample in samples[1][1:]] if samples else []
        return DeviceUsage(
            energy_joules=joules,
            utilisation=sum(percent) / len(percent) / 100 if percent else None,
            memory_bytes=memory.used if memory else None,
            sm_clock=sampler.clock(pynvml.NVML_CLOCK_SM),
            memory_clock=sampler.clock(pynvml.NVML_CLOCK_MEM),
            throttled_shares=sampler.throttled_shares(),
            power_violation_seconds=power,
            thermal_violation_seconds=thermal,
        )

    return usage


class ClockSampler(threading.Thread):
    """Takes samples of clocks, and of the reasons why they are not higher, until it is stopped."""

    def __init__(self, query: Callable[..., Any], *clocks: int) -> None:
        """`query` calls a function of NVML by its name. `clocks` are NVML's numbers of clocks."""
        super().__init__(name="gpu-meter", daemon=True)
        self._query = query
        self._stopped = threading.Event()
        self._megahertz: dict[int, list[int]] = {clock: [] for clock in clocks}
        self._reasons: list[int] = []

    def run(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.sample()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join()

    def sample(self) -> None:
        """Take one sample. A reading that NVML does not give is left out."""
        for clock, samples in self._megahertz.items():
            if (megahertz := self._query("nvmlDeviceGetClockInfo", clock)) is not None:
                samples.append(megahertz)
        for name in REASON_FUNCTIONS:
            if (reasons := self._query(name)) is not None:
                self._reasons.append(reasons)
                return

    def clock(self, clock: int) -> ClockMegahertz | None:
        """The samples of a clock; None without any."""
        samples = self._megahertz[clock]
        if not samples:
            return None
        limit = self._query("nvmlDeviceGetMaxClockInfo", clock)
        return ClockMegahertz(lowest=min(samples), median=float(statistics.median(samples)), maximum=limit)

    def throttled_shares(self) -> dict[ThrottleReason, float] | None:
        """Each reason's share of the samples, without those that were never given; None without any sample."""
        if not self._reasons:
            return None
        counts = {reason: sum(bool(mask & bit) for mask in self._reasons) for bit, reason in REASONS.items()}
        return {reason: number / len(self._reasons) for reason, number in counts.items() if number}


def _increase(before: int | None, after: int | None, unit: float) -> float | None:
    """The difference of two readings of a counter, in another unit; None if one is unknown."""
    return None if before is None or after is None else (after - before) / unit
