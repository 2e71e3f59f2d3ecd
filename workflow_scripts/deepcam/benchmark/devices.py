"""Devices that engines run on: when work is done, copies, and metering. The CPU needs neither torch nor NVML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from deepcam import machine_topology
from deepcam.benchmark import gpu_meter
from deepcam.record.run_schema import DeviceUsage

PCI_DEVICES = Path("/sys/bus/pci/devices")


class Device(Protocol):
    """The timed loop's view of a device."""

    in_flight: int
    """Number of batches that may be queued while the host continues with the next."""

    def record_event(self) -> Callable[[], None]:
        """Return a function that waits until all work queued so far is done."""
        ...

    def finish(self) -> None:
        """Wait until the device has nothing to do, on any stream."""
        ...

    def to_device(self, batch: Any) -> Any:
        """Return a NumPy batch in the device's memory."""
        ...

    def start_metering(self) -> Callable[[], DeviceUsage]:
        """Start to meter the device. The returned function gives its usage since then, and is called once."""
        ...


def open_device(name: str) -> Device:
    """Return the device cpu or cuda:N. Raises InputError if there is no such GPU."""
    return Cpu() if name == "cpu" else Cuda(name)


def numa_node(name: str) -> int | None:
    """Return the NUMA node that a GPU is attached to; None if the kernel does not tell, and for the CPU."""
    if name == "cpu":
        return None
    import pynvml

    address = pynvml.nvmlDeviceGetPciInfo(_nvml_handle(name)).busId
    # NVML writes the domain with 8 digits, and the kernel with 4.
    return machine_topology.numa_node_of_device(PCI_DEVICES / address.lower()[-12:])


def _nvml_handle(name: str) -> Any:
    """Return NVML's handle of the GPU cuda:N. Its index may be another one: NVML ignores CUDA_VISIBLE_DEVICES."""
    import pynvml
    import torch

    from deepcam.model.device import torch_device

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(torch_device(name)).uuid}")


class Cpu:
    """A device whose work is done when the call returns."""

    in_flight = 0

    def record_event(self) -> Callable[[], None]:
        return lambda: None

    def finish(self) -> None:
        pass

    def to_device(self, batch: Any) -> Any:
        return batch

    def start_metering(self) -> Callable[[], DeviceUsage]:
        return DeviceUsage


class Cuda:
    """A GPU. Work is queued on the current stream, and one batch runs while the next is read and copied."""

    in_flight = 1

    def __init__(self, name: str) -> None:
        import torch

        from deepcam.model.device import torch_device

        torch.cuda.set_device(torch_device(name))
        self._name = name
        # Not the default stream, which other streams wait for unless they are created as non-blocking. PyTorch gives
        # out 32 streams of each priority in turn, and readers take new ones for each run. One of their priority would
        # some day copy and compute, one after the other.
        torch.cuda.set_stream(torch.cuda.Stream(priority=-1))
        self._torch = torch

    def record_event(self) -> Callable[[], None]:
        event = self._torch.cuda.Event(blocking=True)  # a host that spins would take a core from the reader
        event.record()
        return event.synchronize

    def finish(self) -> None:
        self._torch.cuda.synchronize(self._name)

    def to_device(self, batch: Any) -> Any:
        return self._torch.from_numpy(batch).cuda()

    def start_metering(self) -> Callable[[], DeviceUsage]:
        return gpu_meter.start(_nvml_handle(self._name))
