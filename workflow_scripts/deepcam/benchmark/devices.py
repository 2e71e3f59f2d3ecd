"""Devices that engines run on: when queued work is done, and what it cost. The CPU needs neither torch nor NVML."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from deepcam.errors import InputError
from deepcam.record.model import DeviceUsage


class Device(Protocol):
    """What the timed loop knows of a device."""

    in_flight: int
    """Batches that may be queued while the host goes on to the next."""

    def record_event(self) -> Callable[[], None]:
        """A function that returns when all work queued so far is done."""
        ...

    def to_device(self, batch: Any) -> Any:
        """A NumPy batch in the device's memory."""
        ...

    def start_metering(self) -> Callable[[], DeviceUsage]:
        """Start metering; the function returned ends it."""
        ...


def open_device(name: str) -> Device:
    """The device `name`: cpu, or cuda:N. InputError where there is no such one."""
    return Cpu() if name == "cpu" else Cuda(name)


class Cpu:
    """Work is done when the call returns."""

    in_flight = 0

    def record_event(self) -> Callable[[], None]:
        return lambda: None

    def to_device(self, batch: Any) -> Any:
        return batch

    def start_metering(self) -> Callable[[], DeviceUsage]:
        return DeviceUsage


class Cuda:
    """Work is queued on the current stream. One batch runs while the next one is read and copied."""

    in_flight = 1

    def __init__(self, name: str) -> None:
        import torch

        index = int(name.removeprefix("cuda:"))
        if index >= torch.cuda.device_count():
            raise InputError(f"device {name}: PyTorch sees {torch.cuda.device_count()} CUDA devices; choose another")
        torch.cuda.set_device(index)
        # Not the default stream: with that, others that do not ask to be left out of it would wait for each other.
        torch.cuda.set_stream(torch.cuda.Stream())
        self._torch = torch

    def record_event(self) -> Callable[[], None]:
        event = self._torch.cuda.Event(blocking=True)  # a host that spins would take a core from the reader
        event.record()
        return event.synchronize

    def to_device(self, batch: Any) -> Any:
        return self._torch.from_numpy(batch).cuda()

    def start_metering(self) -> Callable[[], DeviceUsage]:
        import pynvml

        pynvml.nvmlInit()
        uuid = self._torch.cuda.get_device_properties(self._torch.cuda.current_device()).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")

        def ask(question: Callable[..., Any], *arguments: Any) -> Any:
            try:
                return question(handle, *arguments)
            except pynvml.NVMLError:  # not every card and driver tells everything
                return None

        started, before = time.time(), ask(pynvml.nvmlDeviceGetTotalEnergyConsumption)

        def usage() -> DeviceUsage:
            after = ask(pynvml.nvmlDeviceGetTotalEnergyConsumption)
            memory = ask(pynvml.nvmlDeviceGetMemoryInfo)
            samples = ask(pynvml.nvmlDeviceGetSamples, pynvml.NVML_GPU_UTILIZATION_SAMPLES, int(started * 1e6))
            percent = [sample.sampleValue.uiVal for sample in samples[1]] if samples else []
            return DeviceUsage(
                energy_joules=None if before is None or after is None else (after - before) / 1000,
                utilisation=sum(percent) / len(percent) / 100 if percent else None,
                memory_bytes=memory.used if memory else None,
            )

        return usage
