"""The precision of training follows from the device, and on a CPU from how fast it is."""

from __future__ import annotations

import pytest
from deepcam import machine
from deepcam.model import training_precision as module
from deepcam.model.training_precision import training_precision


@pytest.mark.parametrize(
    ("flags", "speed", "precision"),
    [
        ({"amx_bf16"}, 3.0, "bf16"),
        ({"avx512_bf16"}, 2.0, "bf16"),
        ({"avx512_bf16"}, 1.05, "fp32"),
        ({"avx512_bf16"}, 0.5, "fp32"),
        ({"avx2"}, 2.0, "fp32"),
    ],
)
def test_a_cpu_trains_in_bf16_if_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], speed: float, precision: str
) -> None:
    monkeypatch.setattr(machine, "cpu", lambda: ("cpu", frozenset(flags)))
    monkeypatch.setattr(module, "_bf16_speed", lambda threads: speed)
    assert training_precision("cpu") == precision


def test_a_gpu_trains_in_fp16() -> None:
    assert training_precision("cuda:0") == "fp16"


def test_the_speed_of_bf16_is_measured() -> None:
    assert 0.05 < module._bf16_speed(1) < 50
