"""Devices: what is metered, and the stream that computes."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from deepcam.benchmark import devices


@pytest.mark.parametrize(("percent", "utilisation"), [([5, 80, 100], 0.9), ([5], None), ([], None)])
def test_the_utilisation_is_that_of_the_run_and_not_of_the_time_before_it(
    monkeypatch: pytest.MonkeyPatch, percent: list[int], utilisation: float | None
) -> None:
    energy = iter([1000, 4000])
    nvml = SimpleNamespace(
        NVMLError=RuntimeError,
        NVML_GPU_UTILIZATION_SAMPLES=1,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(energy),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=7),
        nvmlDeviceGetSamples=lambda *_: (
            None,
            [SimpleNamespace(sampleValue=SimpleNamespace(uiVal=value)) for value in percent],
        ),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(devices, "_nvml_handle", lambda name: name)
    gpu = object.__new__(devices.Cuda)
    gpu._name = "cuda:0"
    usage = gpu.start_metering()()
    assert (usage.energy_joules, usage.utilisation, usage.memory_bytes) == (3.0, utilisation, 7)


@pytest.mark.gpu
def test_no_stream_that_a_reader_gets_is_the_one_that_computes() -> None:
    devices.open_device("cuda:0")
    computing = torch.cuda.current_stream().cuda_stream
    assert computing not in {torch.cuda.Stream().cuda_stream for _ in range(100)}
